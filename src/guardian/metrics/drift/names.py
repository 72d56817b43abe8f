"""The registry's entries of the family `drift`. All compare with the reference."""

from __future__ import annotations

import math
from typing import Final

from guardian.metrics.metric import Metric

METRICS: Final = (
    Metric(
        name="drift.psi",
        title="population stability index",
        unit="nats",
        low=0.0,
        high=math.inf,
        of="columns",
        reads=("column",),
        better="lower",
        reading=(
            "The distribution differs from the reference's by a population stability index of {value}: "
            "0 is none, 0.1 is noticeable, 0.2 is large."
        ),
        needs_reference=True,
    ),
    Metric(
        name="drift.js_distance",
        title="Jensen-Shannon distance",
        unit="sqrt(nats)",
        low=0.0,
        high=math.sqrt(math.log(2.0)),
        of="columns",
        reads=("column",),
        better="lower",
        reading=(
            "The Jensen-Shannon distance from the reference is {value}: 0 is none, 0.833 is nothing "
            "in common; 0.112 and 0.158 stand for a population stability index of 0.1 and 0.2."
        ),
        needs_reference=True,
    ),
    Metric(
        name="drift.ks",
        title="Kolmogorov-Smirnov distance",
        unit="share",
        low=0.0,
        high=1.0,
        of="columns",
        reads=("column",),
        better="lower",
        reading=("At some value the share of rows below it differs from the reference's by {value}."),
        columns=("numeric",),
        needs_reference=True,
    ),
    Metric(
        name="drift.wasserstein",
        title="Wasserstein distance",
        unit="standard deviations",
        low=0.0,
        high=math.inf,
        of="columns",
        reads=("column",),
        better="lower",
        reading=("Values moved by {value} standard deviations of the reference on average, measured between bins (not exact)."),
        columns=("numeric",),
        needs_reference=True,
    ),
    Metric(
        name="drift.total_variation",
        title="total variation",
        unit="share",
        low=0.0,
        high=1.0,
        of="columns",
        reads=("column",),
        better="lower",
        reading="{value} of the rows would have to change cells to restore the reference's distribution.",
        needs_reference=True,
    ),
    Metric(
        name="drift.chi_squared",
        title="chi-squared divergence",
        unit="1",
        low=0.0,
        high=math.inf,
        of="columns",
        reads=("column",),
        better="lower",
        reading=(
            "The chi-squared divergence (phi squared) from the reference is {value}: Pearson's statistic "
            "a row, close to the population stability index where drift is small. "
            "For reports; rule on drift.psi."
        ),
        needs_reference=True,
    ),
)
"""Drift metrics in the order of the documentation."""
