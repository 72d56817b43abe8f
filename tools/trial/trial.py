"""One trial: events flow, workers count them, things go wrong, and the outcome is held against the undisturbed engine's."""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from guardian.adapters.sql.database import Database
from guardian.adapters.sql.store import SqlStore
from guardian.errors import UnreachableError
from trial.crew import KILLED, Crew, Member, drain
from trial.events import Feeder, events_of, slices
from trial.faults import AWAY, FAULTS
from trial.oracle import Oracle
from trial.proxy import Proxy
from trial.topics import check_topics
from trial.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from services.postgres import Postgres

    from guardian.testing.outcomes import Outcome
    from services.kafka import Kafka

DRAIN_S: Final = 300.0
SLICE_S: Final = 1.0
AWAY_S: Final = 45.0  # So long after a server is back a worker that was starting may still give up on it.
QUIET_S: Final = 5.0
FOLLOW_S: Final = 90.0  # So soon after a fault counting goes on.
FAILPOINTS: Final = ("after_cas", "after_panes", "after_records", "before_commit", "after_commit")
SETTINGS: Final = {
    "GUARDIAN_SESSION_TIMEOUT": "6s",
    "GUARDIAN_BATCH_EVENTS": "2000",
    "GUARDIAN_BATCH_WAIT": "2s",  # So that whoever is stopped has records in its hands that others count meanwhile.
    "GUARDIAN_CHECKPOINT_EVERY": "10s",
}


@dataclass(frozen=True)
class Plan:
    """What is to happen.

    Attributes:
        seed: Of every choice.
        models: Of the demo.
        events: How many of theirs; None takes all.
        seconds: Over which they are sent.
        faults: Kinds, in order (`faults.FAULTS`).
        pause_s: Least and most between two faults.
        failpoint: The chance to die at each of the five places of a landing.
        crew: Names of the workers that stay.
    """

    seed: int
    models: tuple[str, ...]
    events: int | None
    seconds: float
    faults: tuple[str, ...]
    pause_s: tuple[float, float] = (2.0, 6.0)
    failpoint: float = 0.01
    crew: tuple[str, ...] = ("a", "b")


@dataclass(frozen=True)
class Line:
    """A fault: when, what, whom, and what followed."""

    at: float
    what: str
    whom: str
    followed: str


@dataclass
class Report:
    """How a trial ended.

    Attributes:
        lines: Faults, those of failpoints among them.
        wrong: Everything that must not be; empty is success.
        facts: What a person may want to know.
    """

    lines: list[Line] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.wrong


class Trial:
    """What faults are injected into.

    Attributes:
        dice: Every choice comes from it.
        kafka: The broker.
        postgres: The database server.
        feeder: Sends the events.
        proxy: Stands between workers and the database.
        world: The fleet's home.
        crew: The workers.
        report: Written along the way.
    """

    def __init__(self, plan: Plan, folder: Path, kafka: Kafka, postgres: Postgres, say: Callable[[str], None]) -> None:
        self.plan, self.folder, self.kafka, self.postgres, self._say = plan, folder, kafka, postgres, say
        self.dice = random.Random(plan.seed)
        self.report = Report()
        self._begin = time.monotonic()
        self._interruptions = 0
        self._lines = threading.Lock()
        self._prefix = f"trial-{os.getpid()}-{self.dice.getrandbits(32):08x}"
        name = self._prefix.replace("-", "_")
        self._direct = postgres.create_database(name)
        self._database = name

    def run(self) -> Report:
        """Do everything; nothing is left running."""
        with Proxy(self.postgres.port) as self.proxy:
            behind = self._direct.replace(f":{self.postgres.port}/", f":{self.proxy.port}/")
            self.world = World(
                self.folder / "home",
                self.kafka.bootstrap,
                behind,
                self._prefix,
                self._direct,
                SETTINGS,
            )
            self.world.make(self.plan.models)
            self._database_view = Database.at_url(self._direct)
            self.store = SqlStore(self._database_view)
            try:
                self._play(self._streams())
            finally:
                self._database_view.close()
                self.kafka.resume()
        return self.report

    def _streams(self) -> list[list[bytes]]:
        streams = [events_of(self.world.home.policies, model) for model in self.plan.models]
        total = sum(map(len, streams))
        share = 1.0 if self.plan.events is None else min(1.0, self.plan.events / total)
        return [stream[: int(len(stream) * share)] for stream in streams]

    def _play(self, streams: list[list[bytes]]) -> None:
        self._begin = time.monotonic()
        total = sum(map(len, streams))
        points = ",".join(f"{name}:{self.plan.failpoint}" for name in FAILPOINTS)
        variables = {"GUARDIAN_FAILPOINTS": points} if self.plan.failpoint else {}
        parts = slices(streams, max(1, int(self.plan.seconds / SLICE_S)))
        self.feeder = feeder = Feeder(self.world.kafka, parts, self.plan.seconds)
        with (
            Oracle(self.folder / "oracle", self.plan.models, streams) as oracle,
            Crew(self.world, self.folder, variables, told=self._died) as self.crew,
        ):
            self._say(f"{total:,} events, topics {self._prefix}.*, database {self._database}")
            try:
                for name in self.plan.crew:
                    self.crew.join(name)
                feeder.start()
                self._inject()
                feeder.allowed = 1.0
                while feeder.is_alive():
                    feeder.join(1.0)
            finally:
                feeder.stop()
            feeder.join()
            if feeder.failure:
                raise feeder.failure
            self._settle()
            self.crew.dismiss()
            self.report.wrong += self.crew.failures
            self._judge(oracle.outcome(), total, feeder)

    def _inject(self) -> None:
        for number, kind in enumerate(self.plan.faults, 1):
            self.feeder.allowed = number / len(self.plan.faults)
            time.sleep(self.dice.uniform(*self.plan.pause_s))
            at, before = self.elapsed, self.counted()
            if kind in AWAY:
                self.crew.excused_until = float("inf")
            whom = FAULTS[kind](self)
            self.crew.excused_until = time.monotonic() + AWAY_S if kind in AWAY else 0.0
            self._interruptions += 2  # It may have hit two relays, one after the other.
            self._note(Line(at, kind, whom, self._followed(before)))

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begin

    def counted(self) -> int:
        """Return how many records are counted; -1 while the database does not answer."""
        try:
            return sum(standing.claim.next_offset for standing in self.store.standings(self.world.kafka.events))
        except UnreachableError:
            return -1

    def _followed(self, before: int) -> str:
        """Wait until more is counted than was before the fault; say how long it took."""
        begin, first = time.monotonic(), max(before, self.counted())
        while time.monotonic() < begin + FOLLOW_S:
            time.sleep(0.1)
            if self.counted() > first:
                return f"counted on after {time.monotonic() - begin:.1f} s"
            if time.monotonic() > begin + QUIET_S and self._is_drained():
                return "nothing was left to count"
        self.report.wrong.append(f"after {self.elapsed:.0f} s nothing more was counted within {FOLLOW_S:.0f} s")
        return "NOTHING FOLLOWED"

    def _is_drained(self) -> bool:
        from guardian.adapters.kafka import admin

        try:
            ends = admin.extents(self.world.kafka, self.world.kafka.events)
            return self.counted() >= sum(extent.end for extent in ends.values())
        except UnreachableError:
            return False

    def _settle(self) -> None:
        """Wait until everything that was sent is counted by the workers that were disturbed."""
        end = time.monotonic() + DRAIN_S
        while not self._is_drained():
            if time.monotonic() > end:
                self.report.wrong.append(f"not everything was counted {DRAIN_S:.0f} s after the last fault")
                return
            time.sleep(0.5)

    def _died(self, member: Member, code: int) -> None:
        if member.leaving:
            return
        self._interruptions += 1
        if code == KILLED and member.sent is None:
            self._note(Line(self.elapsed, "failpoint", member.name, "started anew"))

    def _note(self, line: Line) -> None:
        with self._lines:
            self.report.lines.append(line)
        self._say(row_of(line))

    def _judge(self, expected: Outcome, total: int, feeder: Feeder) -> None:
        wrong, facts = self.report.wrong, self.report.facts
        wrong += drain(self.world, self.folder, len(self.plan.crew), DRAIN_S)
        outcome = self.world.outcome()
        wrong += expected.differences(outcome)
        wrong += self.world.tiling()
        self.world.guardian("audit", "verify")
        lost, copies = check_topics(self.world, self._interruptions)
        wrong += lost
        facts += [
            f"{total:,} events, {feeder.resent} sent again by their producer, {self.counted():,} records counted",
            f"panes: {len(outcome.panes)}, final verdicts: {len(outcome.finals)}, alerts: {len(outcome.alerts)}",
            f"workers that ended: {self.crew.deaths}, by their own hand in a commit: {self.crew.own_deaths}",
            f"commits that were cut: {self.proxy.cuts}",
            f"epochs {[standing.claim.epoch for standing in self.store.standings(self.world.kafka.events)]}",
            f"{copies} copies on topics",
        ]


def row_of(line: Line) -> str:
    """Return a line of the table."""
    return f"{line.at:7.1f} s  {line.what:<16} {line.whom:<22} {line.followed}"
