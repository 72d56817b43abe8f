"""The registry's entries of the family `quality`."""

from __future__ import annotations

import math
from typing import Final

from guardian.metrics.metric import Metric

METRICS: Final = (
    Metric(
        name="quality.missing_share",
        title="missing values",
        unit="share",
        low=0.0,
        high=1.0,
        of="columns",
        reads=("column",),
        better="lower",
        reading="{value} of the rows have no value here.",
    ),
    Metric(
        name="quality.out_of_range_share",
        title="values out of range",
        unit="share",
        low=0.0,
        high=1.0,
        of="columns",
        reads=("column",),
        better="lower",
        reading="{value} of the values lie below the least or above the greatest value of the reference.",
        columns=("numeric",),
        needs_reference=True,
    ),
    Metric(
        name="quality.new_category_share",
        title="new categories",
        unit="share",
        low=0.0,
        high=1.0,
        of="columns",
        reads=("column",),
        better="lower",
        reading="{value} of the values are categories that the reference never had.",
        columns=("categorical",),
        needs_reference=True,
    ),
    Metric(
        name="quality.volume",
        title="predictions",
        unit="predictions",
        low=0.0,
        high=math.inf,
        of="model",
        reads=("outcome",),
        reading="The model made {value} predictions in the window.",
    ),
    Metric(
        name="quality.label_coverage",
        title="label coverage",
        unit="share",
        low=0.0,
        high=1.0,
        of="model",
        reads=("outcome", "delay"),
        better="higher",
        reading="The truth of {value} of the window's predictions is known.",
    ),
    Metric(
        name="quality.label_delay",
        title="label delay",
        unit="panes",
        low=0.0,
        high=math.inf,
        of="model",
        reads=("delay",),
        better="lower",
        reading=("The chosen quantile of the labels (by default half) arrived within {value} panes of their prediction's pane."),
        parameters={"quantile": 0.5},
    ),
)
"""Quality metrics in the order of the documentation."""
