"""What becomes of events, counted with dictionaries, one event at a time: an oracle that shares no code with what it judges.

It knows what the simulator's stories hold: predictions and labels that come before their panes have departed, labels of unknown
predictions that may be forgotten, events that cannot be read, and ids in partitions that are not theirs. Nothing in it forgets.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from guardian.units import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guardian.testing.simulated_log import SimulatedRecord

Key = tuple[str, int, str]
"""A model, the start of a pane, and a fate."""


class PlainCounts:
    """One partition's intake counters.

    Attributes:
        letters: How many events could not be counted.
    """

    def __init__(self, pane_ms: int, horizon_ms: int, lateness_ms: int, belongs: Callable[[str], bool]) -> None:
        self._pane_ms, self._horizon_ms, self._lateness_ms, self._belongs = pane_ms, horizon_ms, lateness_ms, belongs
        self._clock = 0
        self._settled: Counter[Key] = Counter()
        self._panes: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)  # By model and id: version to pane.
        # By model and id: time and id of the label that holds, and what becomes of it where no prediction comes.
        self._labels: dict[tuple[str, str], tuple[int, str, str]] = {}
        self.letters = 0

    def take(self, records: Iterable[SimulatedRecord]) -> None:
        """Count records in log order."""
        for record in records:
            event = _read(record.value)
            if event is None:
                self._bury("")
            elif event["type"].startswith("io.guardian.prediction"):
                self._predict(event, event["data"])
            else:
                self._label(event, event["data"])

    def _bury(self, model: str) -> None:
        self._settled[model, 0, "dead-lettered"] += 1
        self.letters += 1

    def _predict(self, event: dict[str, Any], data: dict[str, Any]) -> None:
        model, version = data["model"], data.get("version") or "1"
        pane = parse_time(event["time"]) // self._pane_ms * self._pane_ms
        if not self._belongs(event["id"]):
            self._bury(model)
            return
        self._clock = max(self._clock, parse_time(event["time"]))
        known = self._panes[model, event["id"]]
        self._settled[model, pane, "duplicate" if version in known else "counted"] += 1
        known.setdefault(version, pane)

    def _label(self, event: dict[str, Any], data: dict[str, Any]) -> None:
        place = data["model"], data["prediction_id"]
        if not self._belongs(data["prediction_id"]):
            self._bury(data["model"])
            return
        time = parse_time(event["time"])
        self._clock = max(self._clock, time)
        label = time, event["id"], "too-late" if self._is_forgotten(time) else "unmatched"
        holds = self._labels.get(place)
        if holds is None:
            self._labels[place] = label
            return
        lost = "duplicate" if label[:2] == holds[:2] else "superseded"
        loser = min(label[:2], holds[:2])
        self._settled[place[0], loser[0] // self._pane_ms * self._pane_ms, lost] += 1
        self._labels[place] = label if label[:2] > holds[:2] else holds

    def _is_forgotten(self, time: int) -> bool:
        """Whether a prediction that a label of this time could be about is not known any longer."""
        oldest = (self._clock - self._lateness_ms - self._horizon_ms) // self._pane_ms
        return (time - self._horizon_ms) // self._pane_ms < oldest

    def fates(self) -> dict[Key, int]:
        """Return every counter that is not 0."""
        found = Counter(self._settled)
        for place, (time, _, unknown) in self._labels.items():
            found[place[0], time // self._pane_ms * self._pane_ms, self._status(place, time, unknown)] += 1
        return {key: n for key, n in found.items() if n}

    def _status(self, place: tuple[str, str], time: int, unknown: str) -> str:
        found = {self._judge(time, pane) for pane in self._panes.get(place, {}).values()}
        return next((fate for fate in ("joined", "before-prediction", "beyond-horizon") if fate in found), unknown)

    def _judge(self, time: int, pane: int) -> str:
        if time < pane:
            return "before-prediction"
        return "joined" if time < pane + self._pane_ms + self._horizon_ms else "beyond-horizon"


def _read(value: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(value or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
