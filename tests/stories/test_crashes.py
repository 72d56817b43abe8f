"""The engine in memory, broken at every statement of every commit: what landed, landed once, and nothing is lost."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from guardian.adapters.memory.store import MemoryStore
from guardian.engine.fates import StoreBusyError
from guardian.testing.stories import Plot, World

EVENTS = Plot(hours=7, an_hour=10, drifts=(1, 4)).events()
BATCH = 25
STATEMENTS = (
    "advance", "put_states", "put_panes", "put_runs", "put_fates", "put_dead_letters", "put_artifacts", "append_records",
    "put_verdicts", "put_alerts", "put_requests", "announce",
)  # fmt: skip


class Crash(BaseException):
    """The process is gone."""


class Statements:
    """A transaction that breaks before one of its statements."""

    def __init__(self, transaction, broken: str, error: BaseException) -> None:
        self._transaction, self._broken, self._error = transaction, broken, error

    def __getattr__(self, name: str):
        if name == self._broken:
            raise self._error
        return getattr(self._transaction, name)


@dataclass
class Faulty:
    """A store of which one commit breaks: before a statement, before the commit, or after it with the reply lost.

    Attributes:
        commit: Number of the commit that breaks, from 0; -1 for none.
        where: The statement, `commit` or `reply`.
        error: What is raised.
    """

    commit: int
    where: str
    error: BaseException
    inner: MemoryStore = field(default_factory=MemoryStore)
    commits: int = 0
    broken: bool = False

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    @contextmanager
    def begin(self):
        number, self.commits = self.commits, self.commits + 1
        mine = number == self.commit
        self.broken = self.broken or mine
        with self.inner.begin() as transaction:
            yield Statements(transaction, self.where, self.error) if mine else transaction
            if mine and self.where == "commit":
                raise self.error
        if mine and self.where == "reply":
            raise self.error


@pytest.fixture(scope="module")
def outcome():
    return World().run(EVENTS, BATCH)


@pytest.fixture(scope="module")
def commits() -> int:
    store = Faulty(-1, "", Crash())
    World(store=store).run(EVENTS, BATCH)
    return store.commits


def run(store: Faulty):
    """Run the story; whatever crash comes, start anew on the same store and go on."""
    world = World(store=store)
    for first in range(0, len(EVENTS), BATCH):
        world.tell(EVENTS[first : first + BATCH])
    for work in (world.activate, lambda: world.drain(BATCH), lambda: world.engine.end()):
        try:
            work()
        except Crash:
            world.start()
            work()
    assert store.broken
    return world


@pytest.mark.parametrize("where", [*STATEMENTS, "commit", "reply"])
def test_a_crash_at_any_statement_then_a_restart_gives_the_same_log(outcome, commits, where):
    first = ([*STATEMENTS, "commit", "reply"].index(where)) % 3
    for number in range(first, commits, 3):
        world = run(Faulty(number, where, Crash()))
        assert world.outcome() == outcome, number
        check_coverage(world)


@pytest.mark.parametrize("where", ["put_panes", "commit", "reply"])
def test_a_busy_store_is_tried_again_and_a_lost_reply_is_not_counted_twice(outcome, commits, where):
    for number in range(commits):
        world = run(Faulty(number, where, StoreBusyError("the database is locked", hint="wait")))
        assert world.outcome() == outcome, number
        check_coverage(world)


def test_a_restart_after_every_step_changes_nothing(outcome):
    world = World()
    world.activate()
    for first in range(0, len(EVENTS), BATCH):
        world.tell(EVENTS[first : first + BATCH])
    while world.engine.step(BATCH):
        world.start()
    world.engine.end()
    assert world.outcome() == outcome


def test_a_process_that_was_fenced_does_nothing_and_goes_on_from_what_the_other_did(outcome):
    world = World()
    world.activate()
    for first in range(0, len(EVENTS), BATCH):
        world.tell(EVENTS[first : first + BATCH])
    zombie = world.engine
    world.start()
    while world.engine.step(BATCH):
        zombie, world.engine = world.engine, zombie
    world.engine.end()
    assert world.outcome() == outcome
    check_coverage(world)


def check_coverage(world) -> None:
    """Coverage intervals tile the log."""
    from guardian.audit.chain import parse_record

    at = 0
    for (stream, _), record in sorted(world.tables.records.items()):
        if stream.startswith("intake/") and record.kind == "coverage":
            body = parse_record(record.body_bytes)["body"]
            assert body["from_offset"] == at
            at = body["to_offset"]
    assert at == len(EVENTS)
