"""The demonstration streams as counts: the reference, and any span of rows."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import pyarrow.parquet as pq
import pytest

from guardian.catalog.layout import layout_of
from guardian.catalog.parameters import SCORE_BINS, CategoricalColumn, NumericColumn, Parameters, canonical_key
from guardian.testing.counts import TableCounts

STREAMS = {
    "car_loan": (["car_value", "debt_to_income_ratio", "loan_length", "driver_tenure"], "y_pred_proba", "y_pred"),
    "employment": (["AGEP"], "predicted_probability", "prediction"),
}
CATEGORIES = {
    "car_loan": ["salary_range", "repaid_loan_on_prev_car", "size_of_downpayment"],
    "employment": [
        "SCHL",
        "MAR",
        "RELP",
        "DIS",
        "ESP",
        "CIT",
        "MIG",
        "MIL",
        "ANC",
        "NATIVITY",
        "DEAR",
        "DEYE",
        "DREM",
        "SEX",
        "RAC1P",
    ],
}


@dataclass(frozen=True)
class Stream:
    """One stream; `between` counts the predictions of rows [start, stop)."""

    reference: TableCounts
    between: Callable[[int, int], TableCounts]
    row_at: Callable[[str], int]
    score: str
    prediction: str
    raw: dict[str, dict[str, np.ndarray]]


def quantile_edges(values: np.ndarray, bins: int) -> np.ndarray:
    return np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))


def table(name: str) -> dict[str, np.ndarray]:
    with (files("guardian") / "demo_data" / f"{name}.parquet").open("rb") as source:
        read = pq.read_table(source)
    return {column: read[column].to_numpy(zero_copy_only=False) for column in read.column_names}


def cells(column, values: np.ndarray) -> np.ndarray:
    if isinstance(column, NumericColumn):
        inside = np.searchsorted(column.edges, values, "right")
        return np.where(values < column.low, column.bins, np.where(values > column.high, column.bins + 1, inside))
    known = {key: i for i, key in enumerate(column.keys)}
    return np.array([known.get(canonical_key(value), len(known)) for value in values.tolist()])


@lru_cache
def load(name: str) -> Stream:
    numeric, score, prediction = STREAMS[name]
    reference, live = table(f"{name}_reference"), table(f"{name}_predictions")
    columns = []
    for column in numeric:
        edges = quantile_edges(reference[column], 20)
        low, high = reference[column].min(), reference[column].max()
        columns.append(NumericColumn(column, tuple(edges[edges > low].tolist()), float(low), float(high)))
    for column in CATEGORIES[name]:
        columns.append(CategoricalColumn(column, tuple(sorted({canonical_key(v) for v in reference[column].tolist()}))))
    parameters = Parameters("binary_classification", tuple(columns), ("0", "1"), 1, None, (), 120)

    def counted(rows: dict[str, np.ndarray]) -> Callable[[int, int], TableCounts]:
        coded = {column.name: cells(column, rows[column.name]) for column in columns}
        bins = np.searchsorted(np.arange(1, SCORE_BINS) / SCORE_BINS, rows[score], "right")

        def between(start: int, stop: int) -> TableCounts:
            parts = {part.name: np.zeros(part.shape, np.int64) for part in layout_of(parameters).inputs.parts}
            for column in columns:
                parts[f"column/{column.name}"] = np.bincount(coded[column.name][start:stop], minlength=column.cells)
            np.add.at(parts["outcome/"], (0, rows[prediction][start:stop].astype(int), bins[start:stop]), 1)
            return TableCounts(parameters, stop - start, 0, parts)

        return between

    times = live["time"].astype("datetime64[us]")

    def row_at(day: str) -> int:
        return int(np.searchsorted(times, np.datetime64(dt.date.fromisoformat(day))))

    whole = counted(reference)(0, len(reference[score]))
    return Stream(whole, counted(live), row_at, score, prediction, {"reference": reference, "live": live})


@pytest.fixture(scope="session")
def stream() -> Callable[[str], Stream]:
    return load
