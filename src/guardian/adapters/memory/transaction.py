"""The write side in memory: one open transaction on a copy of the tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from guardian.audit.leaf import FIRST_PREV, Head
from guardian.audit.record import seal
from guardian.engine.fates import StoreRefusedError
from guardian.engine.outbox import OutboxRow, cloud_event
from guardian.engine.ports import Claim, Positioned, Standing
from guardian.pipeline.state import CLOCK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardian.adapters.memory.store import Tables
    from guardian.effects import (
        AlertWrite,
        Announcement,
        Artifact,
        DeadLetter,
        Fates,
        PaneWrite,
        Record,
        RequestWrite,
        RunDrop,
        RunWrite,
        StateWrite,
        VerdictEntry,
    )
    from guardian.engine.ports import Partition


RUNNING: Final = "running"  # The status of a partition unless it is set.


class MemoryTransaction:
    """`engine.ports.Transaction` on tables that nobody else sees yet."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def advance(self, claim: Claim, next_offset: int, tail: str) -> bool:
        """Compare and swap the position."""
        held = self._tables.standings.get(claim.partition)
        if held is None or held.claim != claim:
            return False
        moved = replace(held, claim=replace(claim, next_offset=next_offset), tail=tail or held.tail)
        self._tables.standings[claim.partition] = moved
        return True

    def lock(self, partitions: Sequence[Partition]) -> list[Standing]:
        """Make sure the partitions have rows; nobody else writes while a transaction is open."""
        for partition in partitions:
            self._tables.standings.setdefault(partition, unclaimed(partition))
        return [self._tables.standings[partition] for partition in partitions]

    def clocks(self, topic: str, model: str) -> dict[int, bytes]:
        """Return the model's stored clock blobs by number of partition."""
        return clocks(self._tables, topic, model)

    def set_status(self, partition: Partition, status: str) -> None:
        """Mark a partition `running` or `halted`."""
        held = self._tables.standings.get(partition, unclaimed(partition))
        self._tables.standings[partition] = replace(held, status=status)

    def put_states(self, partition: Partition, writes: Sequence[StateWrite]) -> None:
        """Replace named state blobs."""
        for write in writes:
            self._tables.states[partition, (write.model, write.name)] = write

    def put_panes(self, partition: Partition, writes: Sequence[PaneWrite], next_offset: int) -> None:
        """Replace pane spaces, each with the offset that it was written at."""
        for write in writes:
            key = (write.model, write.version, write.start, write.space, write.parameters)
            self._tables.panes[partition, key] = write
            self._tables.pane_offsets[partition, key] = next_offset

    def put_runs(self, partition: Partition, writes: Sequence[RunWrite], drops: Sequence[RunDrop]) -> None:
        """Insert new ledger runs; delete old ones."""
        gone = {(drop.model, drop.run) for drop in drops}
        for key in gone:
            self._tables.runs.pop((partition, key), None)
        for write in writes:
            if (write.model, write.run) not in gone:
                _insert(self._tables.runs, (partition, (write.model, write.run)), write)

    def put_fates(self, partition: Partition, writes: Sequence[Fates]) -> None:
        """Replace intake counters."""
        for write in writes:
            for counter, n in write.counts.items():
                self._tables.fates[partition, (write.model, write.pane, counter)] = n

    def put_dead_letters(self, partition: Partition, letters: Sequence[DeadLetter], recorded_at: int) -> None:
        """Insert dead letters."""
        for letter in letters:
            place = (partition, letter.offset, letter.row)
            _insert(self._tables.dead_letters, place, letter)
            self._tables.letter_times[place] = recorded_at

    def put_artifacts(self, artifacts: Sequence[Artifact]) -> None:
        """Insert what is not there yet."""
        for artifact in artifacts:
            self._tables.artifacts.setdefault(artifact.digest, artifact.data)

    def append_records(self, records: Sequence[Record], recorded_at: int) -> None:
        """Append audit records. Raises RecordRefusedError; StoreRefusedError for an id already there."""
        for record in records:
            head = self._tables.heads.get(record.stream, Head(record.stream, 0, FIRST_PREV))
            place = (record.stream, head.size)
            _insert(self._tables.record_ids, record.id, place)
            sealed = seal(*place, head.hash, record.kind, record.id, record.model, recorded_at, record.body)
            self._tables.records[place] = sealed
            self._tables.heads[record.stream] = Head(record.stream, head.size + 1, sealed.hash)

    def put_verdicts(self, entries: Sequence[VerdictEntry]) -> None:
        """Insert revisions; the greatest of the newest call is the latest."""
        newest: dict[str, int] = {}
        for entry in entries:
            _insert(self._tables.verdicts, (entry.id, entry.revision), entry)
            newest[entry.id] = max(entry.revision, newest.get(entry.id, entry.revision))
        self._tables.latest.update(newest)

    def put_alerts(self, writes: Sequence[AlertWrite]) -> None:
        """Replace or remove alert rows."""
        for write in writes:
            if write.gone:
                self._tables.alerts.pop(write.id, None)
            else:
                self._tables.alerts[write.id] = write

    def put_requests(self, writes: Sequence[RequestWrite]) -> None:
        """Replace retraining rows."""
        for write in writes:
            self._tables.requests[write.id] = write

    def announce(self, announcements: Sequence[Announcement], recorded_at: int) -> None:
        """Insert outbox rows; an id already there is not inserted again."""
        for said in announcements:
            if said.id in self._tables.told:
                continue
            seq = self._tables.outbox_ends.get(said.topic, 0) + 1
            row = OutboxRow(said.topic, seq, said.id, said.key, cloud_event(said, seq), recorded_at)
            self._tables.outbox[said.topic, seq] = row
            self._tables.told[said.id] = seq
            self._tables.outbox_ends[said.topic] = seq

    def add_positioned(self, partition: Partition, kind: str, offset: int, body: Mapping[str, Any], recorded_at: int) -> int:
        """Insert a positioned record; return its seq."""
        seq = len(self._tables.positioned) + 1
        self._tables.positioned[seq] = (partition, Positioned(seq, kind, offset, dict(body)))
        return seq

    def raise_catalog(self, partition: Partition) -> int:
        """Raise the partition's catalog number and return it."""
        held = self._tables.standings.get(partition, unclaimed(partition))
        raised = replace(held.claim, catalog=held.claim.catalog + 1)
        self._tables.standings[partition] = replace(held, claim=raised)
        return raised.catalog


def unclaimed(partition: Partition) -> Standing:
    """Return where a partition stands that nobody has claimed yet."""
    return Standing(Claim(partition, 0, 0, 0), RUNNING, "", "")


def clocks(tables: Tables, topic: str, model: str) -> dict[int, bytes]:
    """Return the model's stored clock blobs by number of partition."""
    found = ((own.number, write) for (own, key), write in tables.states.items() if own.topic == topic and key == (model, CLOCK))
    return {number: write.blob for number, write in sorted(found, key=lambda pair: pair[0])}


def _insert(rows: dict[Any, Any], key: Any, value: Any) -> None:
    if key in rows:
        raise StoreRefusedError(f"the store refused: {key!r} is there already", hint="report it: nothing was written")
    rows[key] = value
