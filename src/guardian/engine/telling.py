"""What people are told of a step, line by line."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from guardian.pipeline.consequences import ALERT_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardian.effects import Effects


def told(effects: Effects) -> Iterator[str]:
    """Yield what people are told of what was judged."""
    verdicts = Counter(entry.verdict for entry in effects.verdicts)
    if verdicts:
        yield "judged " + ", ".join(f"{n:,} {verdict}" for verdict, n in sorted(verdicts.items()))
    for said in effects.announcements:
        data = said.data
        if said.topic == ALERT_TOPIC:
            yield f"alert {data['transition']} ({data['severity']}): {data['summary']}"
        else:
            yield f"retraining of {data['model']} {data['state']}: request {data['id']}"
