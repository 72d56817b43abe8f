"""Whether a fleet under faults ends as an undisturbed engine does: `make torture`.

A real broker and a real PostgreSQL are started, workers count the demo's events while they come in, and everything that can go
wrong does, from a seed that is printed. Nothing is left running. Exit code 0: the outcomes are equal.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from services.postgres import Postgres
from trial.faults import FAULTS
from trial.storm import Storm, StormPlan
from trial.trial import Plan, Report, Trial, row_of

from services.kafka import Kafka

ALL: Final = ("employment-ma", "car-loan")
QUICK: Final = ("car-loan",)
MIX: Final = (  # What every torture has; more are drawn from it.
    "kill", "zombie", "zombie-judge", "broker-pause", "broker-restart", "database-kill", "commit-lost", "answer-lost",
    "terminate", "connections-cut", "kill", "zombie", "database-kill", "answer-lost", "broker-hiccup", "broker-kill",
    "kill", "zombie-judge", "commit-lost", "terminate", "zombie", "kill",
)  # fmt: skip


def main() -> int:
    options = _options()
    print(f"seed {options.seed}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # As Ctrl-C: everything that was started is stopped.
    models = QUICK if options.quick or options.storm else ALL
    with tempfile.TemporaryDirectory(prefix="guardian-torture-") as folder, Kafka() as kafka, Postgres() as postgres:
        if options.storm:
            storm = StormPlan(options.seed, models, options.events, options.seconds or 60.0)
            report = Storm(storm, Path(folder), kafka, postgres, _say).run()
        else:
            count = options.faults if options.faults is not None else 8 if options.quick else len(MIX)
            seconds = options.seconds or 14.0 * count
            plan = Plan(options.seed, models, options.events, seconds, faults_of(options.seed, count))
            report = Trial(plan, Path(folder), kafka, postgres, _say).run()
    return _tell(report)


def faults_of(seed: int, count: int) -> tuple[str, ...]:
    """Return so many kinds of faults in an order of the seed's: each kind of the mix before any is drawn again."""
    dice = random.Random(seed)
    first = list(dict.fromkeys(MIX))
    rest = [dice.choice(MIX) for _ in range(max(0, count - len(MIX)))]
    chosen = [*first, *MIX][:count] if count < len(MIX) else [*MIX, *rest]
    dice.shuffle(chosen)
    return tuple(chosen)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="of every choice")
    parser.add_argument("--events", type=int, help="how many of the demo's events; default all")
    parser.add_argument("--quick", action="store_true", help="the smaller model alone, and eight faults")
    parser.add_argument("--faults", type=int, help=f"how many, of {', '.join(FAULTS)}")
    parser.add_argument("--seconds", type=float, help="over which the events are sent")
    parser.add_argument("--storm", action="store_true", help="one to four workers that join and leave, instead of faults")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


def _tell(report: Report) -> int:
    print(f"\n{'time':>9}  {'what':<16} {'whom':<22} what followed")
    for line in sorted(report.lines, key=lambda line: line.at):
        print(row_of(line))
    print()
    for fact in report.facts:
        print(fact)
    for line in report.wrong:
        print(f"WRONG: {line}")
    print("EQUAL to the undisturbed engine" if report.ok else "NOT EQUAL to the undisturbed engine")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
