"""Whether what a simulated fleet came to is what an undisturbed run of the same events comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardian.decisions.episodes import AlertState
from guardian.engine.halt import POLICY
from guardian.testing.invariants import demand
from guardian.testing.refold import ACTIVATION, clocks_of, panes_of, refold
from guardian.testing.stories import World, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guardian.adapters.memory.store import Tables
    from guardian.engine.ports import Partition
    from guardian.events.placement import Placement
    from guardian.policies.load import PolicySet
    from guardian.testing.simulated_log import SimulatedRecord

UNEQUAL: Final = frozenset({"alert_id", "offsets"})  # Of a final verdict: when its alert opened, and where counting stood.


def compare_with_refold(
    got: Tables,
    counted: Mapping[Partition, Sequence[SimulatedRecord]],
    placement_of: Callable[[int], Placement | None],
    *,
    live: bool,
) -> None:
    """Fail unless panes, clocks, final verdicts and standing alerts are those of the same log and positions, folded anew.

    Alerts of a live clock are not compared: windows that a tick alone makes have no final verdict, and what was first said of
    them depends on when it was said.
    """
    want = refold(got, counted, placement_of)
    _same("panes", panes_of(got), panes_of(want))
    _same("clocks", clocks_of(got), clocks_of(want))
    _same_outcome("", got, want, alerts=not live)


def is_embeddable(tables: Tables) -> bool:
    """Whether files took effect once, so that an embedded engine with the same files sees the same."""
    kinds = [row.kind for own, row in tables.positioned.values() if own.number == 0 and row.kind == ACTIVATION]
    return len(kinds) == 2  # In partition 0 of the log, and at the judge's seat.


def compare_with_embedded(got: Tables, counted: Mapping[Partition, Sequence[SimulatedRecord]], files: PolicySet) -> None:
    """Fail unless final verdicts and standing alerts are an embedded engine's with the same events, in the order of sending.

    What became a dead letter is left out: the embedded engine has one partition, in which nothing is misplaced.
    """
    buried = {(own, offset) for own, offset, _ in got.dead_letters}
    events = [record for own, records in counted.items() for record in records if (own, record.offset) not in buried]
    world = World().activate(files)
    world.tell([record.value or b"" for record in sorted(events, key=lambda record: record.number)]).drain()
    world.engine.end()
    _same_outcome(" of the embedded engine", got, world.tables, alerts=True)


def _same_outcome(whose: str, got: Tables, want: Tables, *, alerts: bool) -> None:
    mine, theirs = outcome_of(got), outcome_of(want)
    _same(f"final verdicts{whose}", _finals(mine.finals), _finals(theirs.finals))
    if alerts:
        standing, wanted = _alerts(mine.standing), _alerts(theirs.standing)
        _same(f"standing alerts{whose}", standing, wanted)
        asked, answers = _asked(mine.requests, standing), _asked(theirs.requests, wanted)
        _same(f"requests{whose}", dict.fromkeys(asked, True), dict.fromkeys(answers, True))


def _finals(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {id_: {k: v for k, v in row.items() if k not in UNEQUAL} for id_, row in rows.items()}


def _alerts(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {id_: row for id_, row in rows.items() if row["policy"] != POLICY}


def _asked(requests: Mapping[str, Mapping[str, Any]], standing: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the alerts that opened for good and that some request, granted or declined, follows from."""
    opened = {id_ for id_, row in standing.items() if row["state"] != AlertState.PENDING}
    return {alert for row in requests.values() for alert in row["alert_ids"] if alert in opened}


def _same(what: str, got: Mapping[Any, Any], want: Mapping[Any, Any]) -> None:
    wrong = [key for key in got.keys() | want if got.get(key) != want.get(key)]
    first = min(wrong, key=repr, default=None)
    demand(not wrong, f"{what} differ at {len(wrong)} places, first {first}: {got.get(first)} is to be {want.get(first)}")
