"""A record whose reading fails in a way that nobody foresaw is set aside; its neighbours are counted."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from guardian.adapters.memory.store import MemoryStore
from guardian.engine import partition_reader
from guardian.engine.activation import activate
from guardian.engine.fleet import Fleet
from guardian.engine.partition_reader import Pace
from guardian.engine.ports import Partition
from guardian.testing.stories import START, Plot, References, files
from guardian.units import DAY_MS

TOPIC = "guardian.events"
PLACE = Partition(TOPIC, 0)
NOW = START + 60 * DAY_MS


@dataclass
class Record:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def fleet_on(store) -> Fleet:
    store.ensure_partitions(TOPIC, 1)
    activate(store, TOPIC, files(), References(), NOW)
    return Fleet(store, "me", pace=Pace(50, 0), tick_every_ms=DAY_MS, placement_of=lambda _: None, now=lambda: NOW)


def counted(records) -> MemoryStore:
    store = MemoryStore()
    fleet = fleet_on(store)
    fleet.assigned({PLACE: (0, len(records))})
    fleet.deliver(PLACE, records)
    while store.standings(TOPIC)[0].claim.next_offset < len(records):
        fleet.work()
    return store


@pytest.mark.parametrize("bad", [0, 17, 119])
def test_a_record_that_cannot_be_read_is_set_aside_and_its_neighbours_are_counted(bad, monkeypatch):
    events = [said.event for said in Plot(hours=5).events()][:120]
    records = [Record(offset, NOW, None, event) for offset, event in enumerate(events)]
    want = counted([Record(r.offset, NOW, None, b"{" if r.offset == bad else r.value) for r in records])
    unwrap = partition_reader.unwrap

    def fails(those, pairs):
        if any(record.offset == bad for record in those):
            raise ZeroDivisionError("nobody foresaw this")
        return unwrap(those, pairs)

    monkeypatch.setattr(partition_reader, "unwrap", fails)
    store = counted(records)
    (letter,) = store.tables.dead_letters.values()
    assert (letter.offset, letter.reason, letter.size) == (bad, "unreadable", len(events[bad]))
    assert {key: write.blob for key, write in store.tables.panes.items()} == {k: w.blob for k, w in want.tables.panes.items()}


def test_a_failure_that_is_no_records_ends_the_worker(monkeypatch):
    def fails(*_):
        raise ZeroDivisionError("whatever comes")

    monkeypatch.setattr(partition_reader.Counting, "count", fails)
    with pytest.raises(ZeroDivisionError):
        counted([Record(0, NOW, None, b"{}")])
