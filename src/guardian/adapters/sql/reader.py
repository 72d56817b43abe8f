"""The read side: the rows that people see, built from the read models and the audit records behind them.

Every row is a JSON value whose instants are RFC 3339 in UTC. A verdict's row is taken from its audit record: the `verdict` table
only says where it lies.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import func, select

from guardian.adapters.sql.tables import INT, table
from guardian.errors import InvalidStateError, NotFoundError
from guardian.units import format_time

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from sqlalchemy import Connection

    from guardian.adapters.sql.database import Database

RECORDS_AT_ONCE: Final = 100  # Audit records fetched and parsed together: bounds memory.
ROWS_AT_ONCE: Final = 1_000  # Rows fetched together where no limit is given; a limit's rows are held, to be turned round.
LAST_CHARACTER: Final = "\U0010ffff"  # No id has it.
RUNGS_MAX: Final = 2  # Verdicts that one measurement can have: warn and error.
DUE_POINT: Final = ("window_end", "due_at", "model", "policy", "version")  # Of a verdict, in the order of printing.

MEASUREMENT_FIELDS: Final = (
    "model", "version", "policy", "rule", "metric", "subject", "window", "value", "interval", "n", "detail", "due_at", "final",
)  # fmt: skip
ALERT_FIELDS: Final = (
    "id", "model", "version", "policy", "rule", "severity", "metric", "subject", "state", "started_at", "first_window",
    "last_window", "value", "interval", "threshold", "n", "summary", "replaces", "condition", "reason", "ended_at", "stale",
    "labels", "annotations",
)  # fmt: skip
RETRAINING_FIELDS: Final = (
    "id", "model", "version", "state", "reason", "alert_ids", "proposed_at", "decided_by", "decided_at", "history",
    "premise_retracted",
)  # fmt: skip
AUDIT_FIELDS: Final = ("stream", "seq", "id", "kind", "recorded_at", "model", "body", "prev", "hash")
DEADLETTER_FIELDS: Final = (
    "topic", "partition", "offset", "reason", "detail", "place", "model", "size", "sha256", "sample", "recorded_at",
)  # fmt: skip
INTAKE_FIELDS: Final = ("model", "pane", "fate", "n")
MODEL_FIELDS: Final = ("model", "version", "first_pane", "last_pane", "panes", "verdicts", "firing")
WINDOW_FIELDS: Final = ("model", "version", "window", "final", "violated", "satisfied", "inconclusive", "unknown")
SHOWN_STATES: Final = ("firing", "resolved")  # Of alerts, unless all are asked for.


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are wanted; None does not narrow.

    Attributes:
        since: Windows that end after this instant, records written at or after it; UTC milliseconds.
        until: Windows that end at or before it, records written before it.
        limit: At most so many rows, the newest ones.
        everything: Superseded revisions, pending and retracted alerts as well.
    """

    model: str | None = None
    policy: str | None = None
    rule: str | None = None
    verdict: str | None = None
    severity: str | None = None
    state: str | None = None
    since: int | None = None
    until: int | None = None
    limit: int | None = None
    everything: bool = False


class Reader:
    """What `guardian get` reads. Rows come oldest first, lazily, from one state of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def verdicts(self, wanted: Filter) -> Iterator[dict[str, Any]]:
        """Yield verdict rows: latest revisions, or all. Raises InvalidStateError where a record is not what the index says."""
        with self._database.reading() as connection:
            for entry, body, row in self._verdicts(connection, wanted):
                yield _verdict_row(entry, body, row)

    def measurements(self, wanted: Filter) -> Iterator[dict[str, Any]]:
        """Yield what was measured, once for both rungs of a rule."""
        limit = wanted.limit
        twice = wanted if limit is None else replace(wanted, limit=RUNGS_MAX * limit)
        with self._database.reading() as connection:
            rows = _once(self._verdicts(connection, twice))
            yield from rows if limit is None else deque(rows, maxlen=limit)

    def _verdicts(self, connection: Connection, wanted: Filter) -> Iterator[tuple[Any, Mapping[str, Any], Mapping[str, Any]]]:
        verdict = table("verdict")
        narrow = _where(verdict, wanted, "model", "policy", "rule", "verdict", "severity")
        narrow += _between(verdict.c.window_end, wanted, ends=True)
        if not wanted.everything:
            narrow.append(verdict.c.latest)
        # Rows of one record come together, so that each record is fetched and parsed once.
        order = [verdict.c[name] for name in (*DUE_POINT, "record", "position")]
        query = select(verdict).where(*narrow).order_by(*_newest(order, wanted)).limit(wanted.limit)
        groups = groupby(_oldest_first(connection, query, wanted), key=lambda entry: entry.record)
        numbered = ((record, list(own)) for record, own in groups)
        while part := list(islice(numbered, RECORDS_AT_ONCE)):
            bodies = _bodies(connection, [record for record, _ in part])
            for record, own in part:
                body = bodies.get(record, {})
                for entry in own:
                    yield entry, body, _row_at(body, entry)

    def verdict_record(self, id_: str, revision: int | None = None) -> tuple[dict[str, Any], int]:
        """Return the audit record of one revision of a verdict (the latest without one), and the row's place in it.

        `id_` may be the beginning of an id. Raises NotFoundError unless exactly one verdict has it.
        """
        verdict = table("verdict")
        which = verdict.c.latest if revision is None else verdict.c.revision == revision
        # A range of the key: LIKE knows no upper and lower case in SQLite, and uses no index there.
        query = select(verdict).where(verdict.c.id >= id_, verdict.c.id <= id_ + LAST_CHARACTER, which).limit(2)
        with self._database.reading() as connection:
            found = connection.execute(query).all()
            if len(found) != 1:
                what = "more than one verdict has" if found else "no verdict has"
                hint = "guardian get verdicts -o json shows ids; write more of it, or ID@REVISION"
                raise NotFoundError(f"{what} the id {id_}{'' if revision is None else f'@{revision}'}", hint=hint)
            record = _bodies(connection, [found[0].record]).get(found[0].record, {})
            _row_at(record, found[0])
        return record, found[0].position

    def windows(self, wanted: Filter) -> Iterator[dict[str, Any]]:
        """Yield windows that were judged, with how many latest verdicts came out how."""
        verdict = table("verdict")
        key = (verdict.c.model, verdict.c.version, verdict.c.window_start, verdict.c.window_end)
        narrow = [verdict.c.latest, *_where(verdict, wanted, "model", "policy", "rule", "severity")]
        narrow += _between(verdict.c.window_end, wanted, ends=True)
        counted = select(*key, verdict.c.verdict, verdict.c.final, func.count()).where(*narrow)
        order = _newest([key[3], key[2], key[0], key[1]], wanted)
        query = counted.group_by(*key, verdict.c.verdict, verdict.c.final).order_by(*order)
        with self._database.reading() as connection, closing(_paged(connection, query)) as found:
            groups = groupby(found, key=lambda row: tuple(row[:4]))
            rows = (_window_row(window, list(counts)) for window, counts in groups)
            yield from rows if wanted.limit is None else list(islice(rows, wanted.limit))[::-1]

    def models(self, wanted: Filter) -> Iterator[dict[str, Any]]:
        """Yield models and versions with what is counted and judged of them."""
        pane, verdict, alert = table("pane"), table("verdict"), table("alert")
        with self._database.reading() as connection:
            n_panes = func.count(pane.c.start.distinct())  # Each may lie in several partitions, under several parameters.
            panes = select(pane.c.model, pane.c.version, func.min(pane.c.start), func.max(pane.c.start), n_panes)
            counted = panes.where(pane.c.space == "inputs", *_where(pane, wanted, "model")).group_by(pane.c.model, pane.c.version)
            judged = _counts(connection, verdict, verdict.c.latest)
            firing = _counts(connection, alert, alert.c.state == "firing")
            for model, version, first, last, n in connection.execute(counted.order_by(pane.c.model, pane.c.version)):
                values = (model, version, _time(first), _time(last), n, judged[model, version], firing[model, version])
                yield dict(zip(MODEL_FIELDS, values, strict=True))

    def alerts(self, wanted: Filter) -> Iterator[dict[str, Any]]:
        """Yield alert rows: firing and resolved ones, or all."""
        alert = table("alert")
        narrow = _where(alert, wanted, "model", "policy", "rule", "severity", "state")
        narrow += _between(alert.c.first_window, wanted)
        if not wanted.everything and wanted.state is None:
            narrow.append(alert.c.state.in_(SHOWN_STATES))
        order = [alert.c.first_window, alert.c.id]
        yield from self._kept(select(alert.c.row).where(*narrow), order, wanted, ALERT_FIELDS)

    def retraining(self, wanted: Filter) -> Iterator[dict[str, Any]]:
        """Yield retraining requests."""
        request = table("retraining")
        narrow = [*_where(request, wanted, "model", "state"), *_between(request.c.proposed_at, wanted)]
        order = [request.c.proposed_at, request.c.id]
        yield from self._kept(select(request.c.row).where(*narrow), order, wanted, RETRAINING_FIELDS)

    def _kept(self, query: Any, order: list[Any], wanted: Filter, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        query = query.order_by(*_newest(order, wanted)).limit(wanted.limit)
        with self._database.reading() as connection:
            for (text,) in _oldest_first(connection, query, wanted):
                row = json.loads(text)
                yield {name: row.get(name) for name in names}

    def audit(self, wanted: Filter) -> Iterator[dict[str, Any]]:
        """Yield audit records by (recorded_at, stream, seq), with their bodies read but nothing verified."""
        record = table("audit_record")
        order = [record.c.recorded_at, record.c.stream, record.c.seq]
        narrow = [*_where(record, wanted, "model"), *_between(record.c.recorded_at, wanted)]
        query = (
            select(*(record.c[name] for name in AUDIT_FIELDS))
            .where(*narrow)
            .order_by(*_newest(order, wanted))
            .limit(wanted.limit)
        )
        with self._database.reading() as connection:
            for found in _oldest_first(connection, query, wanted):
                row = dict(zip(AUDIT_FIELDS, found, strict=True))
                yield row | {"recorded_at": _time(found.recorded_at), "body": msgspec.json.decode(found.body)["body"]}

    def dead_letters(self, wanted: Filter) -> Iterator[dict[str, Any]]:
        """Yield events that could not be counted; bytes of the sample that are no text are shown as U+FFFD."""
        letter = table("dead_letter")
        narrow = [*_where(letter, wanted, "model"), *_between(letter.c.recorded_at, wanted)]
        order = [letter.c.recorded_at, letter.c.topic, letter.c.part, letter.c.offset, letter.c.row]
        columns = (letter.c["part" if name == "partition" else name] for name in DEADLETTER_FIELDS)
        query = select(*columns).where(*narrow).order_by(*_newest(order, wanted)).limit(wanted.limit)
        with self._database.reading() as connection:
            for found in _oldest_first(connection, query, wanted):
                row = dict(zip(DEADLETTER_FIELDS, found, strict=True))
                yield row | {"sample": found.sample.decode(errors="replace"), "recorded_at": _time(found.recorded_at)}

    def intake(self, wanted: Filter) -> Iterator[dict[str, Any]]:
        """Yield what became of events, by model and by the pane of each event's time."""
        fate = table("fate")
        narrow = [fate.c.n != 0, *_where(fate, wanted, "model"), *_between(fate.c.pane, wanted)]
        order = [fate.c.pane, fate.c.model, fate.c.counter]
        total = func.sum(fate.c.n).cast(INT)  # Over partitions; PostgreSQL adds whole numbers up to a decimal.
        query = select(fate.c.model, fate.c.pane, fate.c.counter, total).where(*narrow).group_by(*order)
        query = query.order_by(*_newest(order, wanted)).limit(wanted.limit)
        with self._database.reading() as connection:
            for model, pane, counter, n in _oldest_first(connection, query, wanted):
                yield dict(zip(INTAKE_FIELDS, (model, _time(pane), counter, n), strict=True))


def _where(rows: Any, wanted: Filter, *names: str) -> list[Any]:
    asked = ((name, getattr(wanted, name)) for name in names)
    return [rows.c[name] == value for name, value in asked if value is not None]


def _between(at: Any, wanted: Filter, *, ends: bool = False) -> list[Any]:
    # A window [start, end) lies within (since, until] by its end; what happened at an instant, within [since, until).
    narrow = []
    if wanted.since is not None:
        narrow.append(at > wanted.since if ends else at >= wanted.since)
    if wanted.until is not None:
        narrow.append(at <= wanted.until if ends else at < wanted.until)
    return narrow


def _newest(order: list[Any], wanted: Filter) -> list[Any]:
    return order if wanted.limit is None else [column.desc() for column in order]


def _oldest_first(connection: Connection, query: Any, wanted: Filter) -> Iterable[Any]:
    if wanted.limit is not None:
        return connection.execute(query).all()[::-1]
    return _paged(connection, query)


def _paged(connection: Connection, query: Any) -> Generator[Any]:
    # Whoever asked may stop before the end: the cursor, which PostgreSQL keeps in the server, is closed with this generator.
    with connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE}) as found:
        yield from found


def _once(found: Iterable[tuple[Any, Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield what was measured of verdicts in the order of `_verdicts`; a rule's rungs at one due point say the same."""
    for _, together in groupby(found, key=lambda one: tuple(getattr(one[0], name) for name in DUE_POINT)):
        seen: set[tuple[str, str]] = set()
        for entry, record, row in together:
            if (entry.rule, entry.subject) not in seen:
                seen.add((entry.rule, entry.subject))
                verdict = _verdict_row(entry, record, row)
                yield {name: verdict[name] for name in MEASUREMENT_FIELDS}


def _bodies(connection: Connection, ids: list[str]) -> dict[str, dict[str, Any]]:
    record = table("audit_record")
    found = connection.execute(select(record.c.id, record.c.body).where(record.c.id.in_(set(ids))))
    return {id_: msgspec.json.decode(data) for id_, data in found}


def _row_at(record: Mapping[str, Any], entry: Any) -> Mapping[str, Any]:
    rows = record.get("body", {}).get("rows", ())
    row = rows[entry.position] if entry.position < len(rows) else {}
    if row.get("id") != entry.id:
        raise InvalidStateError(
            f"verdict {entry.id}@{entry.revision} is not at place {entry.position} of audit record {entry.record}",
            hint="run guardian audit verify",
        )
    return row


def _verdict_row(entry: Any, record: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": entry.id,
        "model": entry.model,
        "version": entry.version,
        "policy": entry.policy,
        "rule": entry.rule,
        "severity": entry.severity,
        "metric": row["metric"],
        "subject": row["subject"],
        "window": {"start": _time(entry.window_start), "end": _time(entry.window_end)},
        "revision": entry.revision,
        "final": entry.final,
        "due_at": _time(entry.due_at),
        "recorded_at": record["recorded_at"],
        "verdict": entry.verdict,
        "reason": entry.reason,
        "value": row["value"],
        "interval": row["interval"],
        "threshold": row["threshold"],
        "n": row["n"],
        "detail": row["detail"],
        "alert_id": row["alert_id"],
        "digests": {**record["body"]["digests"], "evidence": row["evidence"]},
    }


def _window_row(window: tuple[Any, ...], counts: list[Any]) -> dict[str, Any]:
    model, version, start, end = window
    by_verdict = dict.fromkeys(WINDOW_FIELDS[4:], 0)
    for *_, verdict, _final, n in counts:
        by_verdict[verdict] = by_verdict.get(verdict, 0) + n
    final = all(row.final for row in counts)
    return {
        "model": model,
        "version": version,
        "window": {"start": _time(start), "end": _time(end)},
        "final": final,
        **by_verdict,
    }


def _counts(connection: Connection, rows: Any, condition: Any) -> defaultdict[tuple[str, str], int]:
    query = select(rows.c.model, rows.c.version, func.count()).where(condition).group_by(rows.c.model, rows.c.version)
    return defaultdict(int, {(model, version): n for model, version, n in connection.execute(query)})


@lru_cache(maxsize=4_096)  # Windows share their ends.
def _time(at: int) -> str:
    return format_time(at)
