"""Worker processes: started, watched, started anew when they die, and disturbed. None outlives the caller."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from services.process import LAUNCHER, STARTER

from trial.world import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from trial.world import World

LOOK_S: Final = 0.1
STOP_S: Final = 60.0
KILLED: Final = -int(signal.SIGKILL)
EXPECTED: Final = frozenset({0, KILLED, 75})  # Any other exit code is a failure of the worker, but for
UNREACHABLE: Final = 4  # while the broker or the database are away: whoever starts then says so and ends.


@dataclass
class Member:
    """One worker.

    Attributes:
        name: For people.
        process: As it runs now.
        log: What it said, over all its lives.
        sent: The last signal that it was sent from here.
        paused: Whether it is stopped in its tracks.
        leaving: Whether it is not to be started anew.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    sent: int | None = None
    paused: bool = False
    leaving: bool = False

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def holder(self) -> str:
        """What it calls itself in leases: how it ends."""
        return f"/{self.process.pid}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there."""
        self.sent = number
        if self.alive:
            os.kill(self.process.pid, number)


@dataclass
class Crew:
    """Workers of one fleet.

    Attributes:
        world: Whose.
        folder: Of their logs.
        variables: More of their environment.
        told: Told of deaths: who, how, by whose hand.
        deaths: How many died or ended, other than on leaving.
        own_deaths: How many of these killed themselves at a failpoint.
        excused_until: Monotonic seconds: so long the broker or the database may be away.
        failures: Exit codes that nobody expects, with the end of the log.
    """

    world: World
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    told: Callable[[Member, int], None] = lambda _member, _code: None
    deaths: int = 0
    own_deaths: int = 0
    excused_until: float = 0.0
    failures: list[str] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._gate = threading.RLock()
        self._end = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="crew", daemon=True)
        self._watcher.start()

    def join(self, name: str) -> Member:
        """Start a worker that stays: it is started anew whenever it ends."""
        with self._gate:
            log = self.folder / f"{name}.log"
            self.members[name] = Member(name, self._start(log), log)
            return self.members[name]

    def leave(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Have a worker leave for good."""
        with self._gate:
            self.members[name].leaving = True
            self.members[name].send(number)

    def alive(self) -> list[Member]:
        """Return those that run and are not paused or leaving."""
        with self._gate:
            return [member for member in self.members.values() if member.alive and not (member.paused or member.leaving)]

    def _start(self, log: Path) -> subprocess.Popen[bytes]:
        words = [*PROGRAM, "--home", str(self.world.root), "worker", *self.words]
        with log.open("ab") as file:
            return STARTER.submit(
                subprocess.Popen,
                [PROGRAM[0], str(LAUNCHER), "9", "", *words],
                env={**self.world.environment, **self.variables},
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            ).result()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_S):
            with self._gate:
                for member in list(self.members.values()):
                    if (code := member.process.poll()) is not None:
                        self._ended(member, code)

    def _ended(self, member: Member, code: int) -> None:
        if not self._is_expected(member, code):
            self.failures.append(f"{member.name} ended with {code}: {member.log.read_text('utf-8', 'replace')[-1_500:]}")
        self.told(member, code)
        if member.leaving:
            del self.members[member.name]
            return
        self.deaths += 1
        self.own_deaths += code == KILLED and member.sent != signal.SIGKILL
        member.sent, member.paused = None, False
        member.process = self._start(member.log)

    def _is_expected(self, member: Member, code: int) -> bool:
        asked = code == -signal.SIGTERM and member.sent == signal.SIGTERM  # It had not got as far as to handle signals.
        return code in EXPECTED or asked or (code == UNREACHABLE and time.monotonic() < self.excused_until)

    def dismiss(self) -> None:
        """Have everybody leave in good order, and wait."""
        with self._gate:
            for name, member in self.members.items():
                member.send(signal.SIGCONT)
                self.leave(name)
        end = time.monotonic() + STOP_S
        while self.members and time.monotonic() < end:
            time.sleep(LOOK_S)
        if self.members:
            self.failures.append(f"{', '.join(self.members)} did not stop in {STOP_S:.0f} s")

    def close(self) -> None:
        """Kill whoever is left."""
        self._end.set()
        self._watcher.join()
        for member in self.members.values():
            member.process.kill()
            member.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def drain(world: World, folder: Path, count: int, seconds: float) -> list[str]:
    """Run workers that end when nothing is left to do and every window is final; return what went wrong."""
    words = [*PROGRAM, "--home", str(world.root), "worker", "--until-idle", "--finalise"]
    logs = [folder / f"drain-{number}.log" for number in range(count)]
    processes = []
    for log in logs:
        with log.open("ab") as file:
            command = [PROGRAM[0], str(LAUNCHER), "9", "", *words]
            options = {"env": world.environment, "stdout": file, "stderr": file, "stdin": subprocess.DEVNULL}
            processes.append(STARTER.submit(subprocess.Popen, command, **options).result())
    end, wrong = time.monotonic() + seconds, []
    try:
        for process, log in zip(processes, logs, strict=True):
            code: int | None = None
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(max(0.1, end - time.monotonic()))
            if code != 0:
                how = f"ended with {code}" if code is not None else f"was not done after {seconds:.0f} s"
                wrong.append(f"{log.stem} {how}: {log.read_text('utf-8', 'replace')[-1_500:]}")
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return wrong
