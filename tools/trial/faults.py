"""What is done to a fleet, each kind by name. A fault ends before it returns; it says whom it hit."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

from guardian.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trial.crew import Member
    from trial.trial import Trial

ZOMBIE_S: Final = 9.0  # Longer than a session of six seconds.
ZOMBIE_JUDGE_S: Final = 13.0  # Longer than a lease of ten.
PAUSE_S: Final = 20.0
CUT_S: Final = 15.0


def kill(trial: Trial) -> str:
    """Kill -9."""
    member = _any(trial)
    member.send(signal.SIGKILL)
    return f"worker {member.name}"


def terminate(trial: Trial) -> str:
    """Ask one to end."""
    member = _any(trial)
    member.send(signal.SIGTERM)
    return f"worker {member.name}"


def zombie(trial: Trial) -> str:
    """Stop one in its tracks for longer than a session, and let it wake up."""
    member = _any(trial)
    _asleep(member, ZOMBIE_S)
    return f"worker {member.name}, {ZOMBIE_S:.0f} s"


def zombie_judge(trial: Trial) -> str:
    """Do so with who judges, for longer than its lease."""
    lease = f"judge/{trial.dice.choice(trial.plan.models)}"
    member = _holder(trial, lease) or _any(trial)
    _asleep(member, ZOMBIE_JUDGE_S)
    return f"worker {member.name}, {ZOMBIE_JUDGE_S:.0f} s"


def broker_pause(trial: Trial) -> str:
    """Stop the broker in its tracks."""
    trial.kafka.pause()
    time.sleep(PAUSE_S)
    trial.kafka.resume()
    return f"Kafka, {PAUSE_S:.0f} s"


def broker_hiccup(trial: Trial) -> str:
    """The same for a moment."""
    trial.kafka.pause()
    time.sleep(PAUSE_S / 4)
    trial.kafka.resume()
    return f"Kafka, {PAUSE_S / 4:.0f} s"


def broker_restart(trial: Trial) -> str:
    """Stop the broker in good order and start it over its data."""
    trial.kafka.restart()
    return "Kafka"


def broker_kill(trial: Trial) -> str:
    """Kill -9 the broker and start it over its data."""
    trial.kafka.kill()
    trial.kafka.start()
    return "Kafka"


def database_kill(trial: Trial) -> str:
    """Kill -9 everything of PostgreSQL, and start it over its data."""
    trial.postgres.kill()
    time.sleep(trial.dice.uniform(0.0, 3.0))
    trial.postgres.start()
    return "PostgreSQL"


def commit_lost(trial: Trial) -> str:
    """Cut a connection so that its COMMIT never arrives."""
    return _cut(trial, lose_answer=False)


def answer_lost(trial: Trial) -> str:
    """Cut a connection so that its COMMIT lands and nobody hears of it."""
    return _cut(trial, lose_answer=True)


def connections_cut(trial: Trial) -> str:
    """Cut every connection to the database."""
    trial.proxy.cut_all()
    return "all connections"


FAULTS: Final[dict[str, Callable[[Trial], str]]] = {
    "kill": kill,
    "terminate": terminate,
    "zombie": zombie,
    "zombie-judge": zombie_judge,
    "broker-pause": broker_pause,
    "broker-hiccup": broker_hiccup,
    "broker-restart": broker_restart,
    "broker-kill": broker_kill,
    "database-kill": database_kill,
    "commit-lost": commit_lost,
    "answer-lost": answer_lost,
    "connections-cut": connections_cut,
}

AWAY: Final = frozenset({  # Kinds in which a server is away for a while.
    "broker-pause", "broker-hiccup", "broker-restart", "broker-kill", "database-kill", "connections-cut",
})  # fmt: skip


def _any(trial: Trial) -> Member:
    while not (alive := trial.crew.alive()):
        time.sleep(0.1)
    return trial.dice.choice(sorted(alive, key=lambda member: member.name))


def _holder(trial: Trial, lease: str) -> Member | None:
    try:
        holder = trial.store.holder(lease)
    except UnreachableError:
        return None
    return next((member for member in trial.crew.alive() if holder.endswith(member.holder)), None)


def _asleep(member: Member, seconds: float) -> None:
    member.paused = True
    member.send(signal.SIGSTOP)
    time.sleep(seconds)
    member.send(signal.SIGCONT)
    member.paused = False
    member.sent = None


def _cut(trial: Trial, *, lose_answer: bool) -> str:
    before, end = trial.proxy.cuts, time.monotonic() + CUT_S
    trial.proxy.cut_at_commit(lose_answer=lose_answer)
    while trial.proxy.cuts == before and time.monotonic() < end:
        time.sleep(0.05)
    return "a step's COMMIT" if trial.proxy.cuts > before else "no step came by"
