"""Emitting: every event once, in order, in bounded appends, and the report says what the log holds."""

from hypothesis import given
from hypothesis import strategies as st

from guardian.adapters.memory.store import MemoryLog
from guardian.engine.emit import EmitReport, emit


@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 3))
def test_every_event_lands_once_in_order(n, batch, before):
    log, told, clock = MemoryLog(), [], iter(range(100, 1_000))
    log.append([b"earlier"] * before, 1)
    events = [b"%d" % i for i in range(n)]
    report = emit(log, iter(events), now=lambda: next(clock), progress=told.append, batch=batch)
    deliveries = log.read(before, 1_000)
    assert [event for delivery in deliveries for event in delivery.events] == events
    assert all(len(delivery.events) <= batch for delivery in deliveries)
    assert [delivery.received_at for delivery in deliveries] == list(range(100, 100 + len(deliveries)))
    assert told == [len(delivery.events) for delivery in deliveries]
    assert report == EmitReport(n, before, before + n)


def test_events_are_taken_as_they_are_needed():
    log = MemoryLog()

    def events():
        for i in range(10):
            assert i - log.end() < 3
            yield b"%d" % i

    emit(log, events(), now=lambda: 0, batch=3)
    assert log.end() == 10
