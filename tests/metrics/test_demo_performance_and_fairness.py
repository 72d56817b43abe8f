"""Performance and fairness on the packaged event data: what two real streams must show, window by window.

Windows are counted here by plain bincounts over days. An alert count or a date is not judged here, only the verdicts' counts:
they come from the intervals alone.
"""

from collections import Counter
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from guardian.catalog.parameters import SCORE_CELLS, CategoricalColumn, Parameters
from guardian.metrics.base import Measured, Options, Subject, Undefined, Why
from guardian.metrics.change import change
from guardian.metrics.registry import measure_of
from guardian.units import FIXED_POINT

HORIZON = pd.Timedelta(days=120)
WHOLE = Subject()
NAMES = {
    "employment": ("predicted_probability", "prediction", "employed", ("SEX", "RAC1P")),
    "car_loan": ("y_pred_proba", "y_pred", "repaid", ()),
}


@dataclass(frozen=True)
class Window:
    """Counts of one window (metrics.base.Counts) from arrays whose first axis was summed over its days."""

    parameters: Parameters
    predictions: int
    labelled: int
    parts: dict

    def part(self, name):
        return self.parts[name]


@dataclass(frozen=True)
class Stream:
    """Cumulated daily counts of one model, and its reference."""

    parameters: Parameters
    cumulated: dict  # Part name -> (days + 1, ...), so that a window is a difference of two rows.
    days: int
    reference: Window

    def window(self, start, width):
        parts = {name: total[start + width] - total[start] for name, total in self.cumulated.items()}
        return _window(self.parameters, parts)

    def windows(self, width):
        return [self.window(start, width) for start in range(self.days - width + 1)]


def _window(parameters, parts):
    return Window(parameters, int(parts["outcome/"].sum()), int(parts["labels/"].sum()), parts)


def _daily(parameters, table, day, days, names):
    """Return part name -> (days, shape) for rows with columns day, label (NaN: none) and the model's own."""
    score, prediction, by = names
    keep = day >= 0
    table, day = table[keep], day[keep]
    s, said = table[score].to_numpy(), table[prediction].to_numpy().astype(int)
    cell = np.searchsorted(np.arange(1, 100) / 100, s, "right")
    true = table["label"].to_numpy()
    known = ~np.isnan(true)
    fixed = np.rint(s * FIXED_POINT).astype(np.int64)
    square = (fixed * fixed + FIXED_POINT // 2) >> 20
    out = {}
    for segment in ("", *by):
        keys = parameters.column(segment).keys if segment else ()
        groups = len(keys) + 2 if segment else 1
        place = {key: i for i, key in enumerate(keys)}
        group = table[segment].astype(str).map(place).to_numpy() if segment else np.zeros(len(table), int)
        shape = (days, groups, 2, SCORE_CELLS)
        flat = np.ravel_multi_index((day, group, said, cell), shape)
        out[f"outcome/{segment}"] = np.bincount(flat, minlength=np.prod(shape)).reshape(shape)
        y = true[known].astype(int)
        flat = np.ravel_multi_index((day[known], group[known], said[known], cell[known], y), (*shape, 2))
        out[f"labels/{segment}"] = np.bincount(flat, minlength=np.prod(shape) * 2).reshape(*shape, 2)
        sums = np.zeros((days, groups, 2, 2), np.int64)
        np.add.at(sums, (day[known], group[known], y), np.stack([fixed[known], square[known]], axis=1))
        out[f"sums/{segment}"] = sums
    return out


def _stream(model):
    score, prediction, label, by = NAMES[model]
    base = files("guardian") / "demo_data"
    tables = [pd.read_parquet(str(base / f"{model}_{what}.parquet")) for what in ("reference", "predictions", "labels")]
    reference, live, truth = tables
    columns = tuple(CategoricalColumn(c, tuple(sorted(set(reference[c].astype(str))))) for c in by)
    parameters = Parameters("binary_classification", columns, ("0", "1"), 1, None, tuple((c,) for c in by), 120)
    zero = np.zeros(len(reference), int)
    ref = _daily(parameters, reference.assign(label=reference[label].astype(float)), zero, 1, (score, prediction, by))
    start = live["time"].dt.floor("D")
    day = (start - live["time"].min().ceil("D")).dt.days.to_numpy()
    live = live.merge(truth.rename(columns={"time": "known_at"}), on="id", how="left")
    counts = (live["known_at"] >= start) & (live["known_at"] < start + pd.Timedelta(days=1) + HORIZON)
    live["label"] = live["label"].astype(float).where(counts)
    days = int(day.max()) + 1
    parts = _daily(parameters, live, day, days, (score, prediction, by))
    cumulated = {k: np.concatenate([np.zeros((1, *v.shape[1:]), v.dtype), np.cumsum(v, axis=0)]) for k, v in parts.items()}
    return Stream(parameters, cumulated, days, _window(parameters, {k: v[0] for k, v in ref.items()}))


@pytest.fixture(scope="module")
def employment():
    return _stream("employment")


@pytest.fixture(scope="module")
def car_loan():
    return _stream("car_loan")


def judge(measured, threshold, *, bad_above):
    if isinstance(measured, Undefined):
        return "unknown"
    if measured.low > threshold:
        return "violated" if bad_above else "satisfied"
    if measured.high < threshold:
        return "satisfied" if bad_above else "violated"
    return "inconclusive"


def changes(stream, metric, kind):
    """Return the change of every 30-day window that has label coverage 0.9."""
    measure, options = measure_of(metric), Options()
    reference = measure(stream.reference, None, WHOLE, options)
    found = []
    for window in stream.windows(30):
        assert window.labelled >= 0.9 * window.predictions
        found.append(change(measure(window, stream.reference, WHOLE, options), reference, kind))
    return found


def verdicts(found, threshold, *, bad_above=True):
    return Counter(judge(m, threshold, bad_above=bad_above) for m in found)


def close_to(got, want, windows):
    """Whether verdict counts are within 2 % of the windows of what is wanted, and nothing else was said."""
    return all(abs(got[v] - want.get(v, 0)) <= 0.02 * windows for v in {*got, *want})


@pytest.mark.parametrize(
    ("model", "metric", "want"),
    [
        ("employment", "roc_auc", 0.903),
        ("employment", "accuracy", 0.827),
        ("employment", "f1", 0.833),
        ("employment", "brier", 0.123),
        ("employment", "log_loss", 0.381),
        ("employment", "expected_calibration_error", 0.004),
        ("car_loan", "roc_auc", 0.971),
        ("car_loan", "accuracy", 0.944),
        ("car_loan", "brier", 0.0456),
    ],
)
def test_reference_values(request, model, metric, want):
    stream = request.getfixturevalue(model)
    got = measure_of(f"performance.{metric}")(stream.reference, None, WHOLE, Options())
    assert round(got.value, len(str(want)) - 2) == want
    assert got.low <= got.value <= got.high


def test_employment_performance_is_never_violated(employment):
    drop = changes(employment, "performance.accuracy", "drop")
    assert len(drop) == 701
    assert verdicts(drop, 0.01)["violated"] == 0
    assert close_to(verdicts(drop, 0.02), {"satisfied": 683, "inconclusive": 18}, 701)
    assert verdicts(changes(employment, "performance.roc_auc", "drop"), 0.02) == {"satisfied": 701}
    assert verdicts(changes(employment, "performance.brier", "ratio"), 1.25) == {"satisfied": 701}


def test_car_loan_accuracy_falls_and_brier_rises_while_auc_holds(car_loan):
    drop = changes(car_loan, "performance.accuracy", "drop")
    assert len(drop) == 274
    assert close_to(verdicts(drop, 0.01), {"violated": 132, "satisfied": 118, "inconclusive": 24}, 274)
    assert close_to(verdicts(drop, 0.02), {"violated": 68, "satisfied": 138, "inconclusive": 68}, 274)
    assert abs(verdicts(changes(car_loan, "performance.brier", "ratio"), 1.25)["violated"] - 131) <= 0.02 * 274
    assert verdicts(changes(car_loan, "performance.roc_auc", "drop"), 0.02)["violated"] == 0


@pytest.mark.parametrize(
    ("by", "days", "metric", "threshold", "want"),
    [
        ("SEX", 30, "demographic_parity_ratio", 0.8, {"satisfied": 701}),
        ("SEX", 30, "demographic_parity_ratio", 0.9, {"satisfied": 656, "inconclusive": 45}),
        ("SEX", 30, "true_positive_rate_difference", 0.1, {"satisfied": 701}),
        ("SEX", 30, "true_positive_rate_difference", 0.05, {"satisfied": 567, "inconclusive": 134}),
        ("SEX", 30, "false_positive_rate_difference", 0.1, {"satisfied": 570, "inconclusive": 131}),
        ("SEX", 30, "false_positive_rate_difference", 0.05, {"violated": 66, "satisfied": 8, "inconclusive": 627}),
        ("RAC1P", 365, "demographic_parity_ratio", 0.9, {"violated": 366}),
        ("RAC1P", 365, "demographic_parity_ratio", 0.8, {"violated": 150, "inconclusive": 216}),
        ("RAC1P", 365, "true_positive_rate_difference", 0.1, {"satisfied": 366}),
        ("RAC1P", 365, "false_positive_rate_difference", 0.05, {"violated": 203, "inconclusive": 163}),
    ],
)
def test_employment_fairness_verdicts(employment, by, days, metric, threshold, want):
    measure, windows = measure_of(f"fairness.{metric}"), employment.windows(days)
    found = [measure(window, None, Subject(by=by), Options(group_size=500)) for window in windows]
    assert len(found) == sum(want.values())
    assert close_to(verdicts(found, threshold, bad_above=not metric.endswith("ratio")), want, len(found))


def test_a_false_alarm_rate_difference_of_a_tenth_by_race_is_never_found(employment):
    measure = measure_of("fairness.false_positive_rate_difference")
    found = [measure(w, None, Subject(by="RAC1P"), Options(group_size=500)) for w in employment.windows(365)]
    assert verdicts(found, 0.1)["violated"] == 0


def test_by_race_a_month_has_one_group_of_five_hundred(employment):
    measure = measure_of("fairness.demographic_parity_ratio")
    for window in employment.windows(30):
        got = measure(window, None, Subject(by="RAC1P"), Options(group_size=500))
        assert isinstance(got, Undefined)
        assert got.why == Why.GROUPS_TOO_SMALL
        assert list(got.detail["groups"]) == ["1"]


@pytest.mark.parametrize(
    ("by", "metric", "value", "low", "high"),
    [
        ("SEX", "demographic_parity_ratio", 0.992, 0.982, 1.0),
        ("SEX", "false_positive_rate_difference", 0.055, 0.049, 0.061),
        ("RAC1P", "demographic_parity_ratio", 0.757, 0.726, 0.804),
        ("RAC1P", "false_positive_rate_difference", 0.086, 0.057, 0.105),
    ],
)
def test_two_years_of_fairness(employment, by, metric, value, low, high):
    whole = employment.window(0, employment.days)
    got = measure_of(f"fairness.{metric}")(whole, None, Subject(by=by), Options(group_size=500))
    assert isinstance(got, Measured)
    assert (got.value, got.low, got.high) == pytest.approx((value, low, high), abs=0.0012)
    if by == "RAC1P":
        assert list(got.detail["groups"]) == ["1", "2", "6", "8", "9"]
