"""What the benchmarks run on: one model of 20 features, its events, its reference and its policies, all from a fixed seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from guardian.catalog.model_file import ModelFile
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction
from guardian.panes.coding import class_hashes
from guardian.panes.rows import Labels, Predictions
from guardian.pipeline.coded import ModelBatch
from guardian.pipeline.reference import Table, build
from guardian.policies.load import PolicySet
from guardian.policies.model import PolicyFile
from guardian.units import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from guardian.panes.windows import Reference

SEED: Final = 20_240_301
START: Final = 19_783 * DAY_MS  # 2024-03-01
NAME: Final = "bench"
NUMERIC: Final = tuple(f"number_{i:02}" for i in range(12))
CATEGORIES: Final = {
    "region": 6, "sex": 2, "age_band": 4, "purpose": 12, "channel": 3, "employer_kind": 8, "housing": 5, "product": 9,
}  # fmt: skip
_HEAD: Final = {"apiVersion": "guardian/v1alpha1"}


def model_file(segments: bool = True) -> ModelFile:
    """Return the model: 12 numeric and 8 categorical features, two of them protected, three segments."""
    features = {name: {"type": "numeric"} for name in NUMERIC} | {name: {"type": "categorical"} for name in CATEGORIES}
    spec: dict[str, Any] = {
        "task": "binary_classification",
        "positive_label": "yes",
        "champion": "1",
        "features": features,
        "clock": "replay",
        "labels": {"horizon": "60d"},
        "future_skew": "3650d",
        "reference": {"uri": "data/reference.parquet"},
    }
    if segments:
        spec |= {"protected": ["sex", "age_band"], "segments": [["sex"], ["age_band"], ["sex", "age_band"]]}
    return ModelFile.model_validate({**_HEAD, "kind": "Model", "metadata": {"name": NAME}, "spec": spec})


def _policy(name: str, rules: list[dict[str, Any]]) -> PolicyFile:
    spec = {"match": {"models": [NAME]}, "defaults": {"window": "30d", "every": "1d"}, "rules": rules}
    return PolicyFile.model_validate({**_HEAD, "kind": "Policy", "metadata": {"name": name}, "spec": spec})


def policies() -> dict[str, PolicyFile]:
    """Return drift of all columns, four measures of performance, and three fairness rules for each of three segments."""
    drift = [{"alert": "Drift", "metric": "drift.psi", "columns": "all", "warn": "> 0.1", "error": "> 0.2"}]
    performance = [
        {"alert": name, "metric": f"performance.{metric}", "change": change, "error": error}
        for name, metric, change, error in (
            ("Accuracy", "accuracy", "drop", "> 0.05"),
            ("Auc", "roc_auc", "drop", "> 0.05"),
            ("Brier", "brier", "ratio", "> 1.25"),
            ("F1", "f1", "drop", "> 0.05"),
        )
    ]
    fairness = [
        {"alert": f"{name}{i}", "metric": f"fairness.{metric}", "by": by, "warn": warn, "error": error}
        for i, by in enumerate(("sex", "age_band", ["sex", "age_band"]))
        for name, metric, warn, error in (
            ("Selection", "demographic_parity_ratio", "< 0.9", "< 0.8"),
            ("Tpr", "true_positive_rate_difference", "> 0.05", "> 0.1"),
            ("Fpr", "false_positive_rate_difference", "> 0.05", "> 0.1"),
        )
    ]
    rules = {"drift": drift, "performance": performance, "fairness": fairness}
    return {name: _policy(name, own) for name, own in rules.items()}


class Rows:
    """`n` rows of the model's inputs, outputs and truth."""

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng((SEED, seed))
        self.n = n
        self.numbers = {name: rng.normal(50, 20, n).round(4) for name in NUMERIC}
        self.texts = {
            name: np.array([f"{name[:4]}_{i}" for i in range(size)], object)[rng.integers(0, size, n)]
            for name, size in CATEGORIES.items()
        }
        self.scores = rng.beta(2, 2, n).round(6)
        self.predictions = np.where(self.scores >= 0.5, "yes", "no").astype(object)
        self.labels = np.where(rng.random(n) < self.scores, "yes", "no").astype(object)


def reference(model: ModelFile, rows: int = 20_000) -> Reference:
    """Return the model's reference."""
    table = Rows(rows, 0)
    return build(model, Table({**table.numbers, **table.texts}, table.predictions, table.scores, table.labels))


class OneReference:
    """`engine.catalog.References` of one table."""

    def __init__(self, built: Reference) -> None:
        self._built = built

    def source(self, model: ModelFile) -> str:
        return f"table of {model.name}"

    def build(self, model: ModelFile) -> Reference:
        return self._built


def policy_set(model: ModelFile, files: dict[str, PolicyFile]) -> PolicySet:
    """Return valid files as loading gives them."""
    from guardian.canonical import digest_of

    digests = {name: digest_of(file.to_json()) for name, file in files.items()}
    return PolicySet({model.name: model}, files, {model.name: digest_of(model.to_json())}, digests, {})


def predictions(first: int, n: int, *, a_day: int) -> list[bytes]:
    """Return events number `first` and on, about in time order, `a_day` of them a day."""
    rows, at = Rows(n, 1 + first), _times(first, n, a_day)
    names = (*NUMERIC, *CATEGORIES)
    columns = [*(rows.numbers[name].tolist() for name in NUMERIC), *(rows.texts[name].tolist() for name in CATEGORIES)]
    out = []
    for i, (*values, said, score) in enumerate(zip(*columns, rows.predictions.tolist(), rows.scores.tolist(), strict=True)):
        features = dict(zip(names, values, strict=True))
        data = PredictionData(model=NAME, version="1", features=features, prediction=said, score=score)
        out.append(encode_prediction(_id(first + i), at[i], data, "/serving/b"))
    return out


def labels(first: int, n: int, *, a_day: int, delay_ms: int) -> list[bytes]:
    """Return the labels of predictions number `first` and on, each known `delay_ms` after its prediction."""
    rows, at = Rows(n, 1 + first), _times(first, n, a_day)
    return [
        encode_label(at[i] + delay_ms, LabelData(prediction_id=_id(first + i), model=NAME, label=label), "/labels/b")
        for i, label in enumerate(rows.labels.tolist())
    ]


def _id(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}-{number:08d}"


def _times(first: int, n: int, a_day: int) -> list[int]:
    return [START + (first + i) * DAY_MS // a_day for i in range(n)]


def coded_predictions(first: int, n: int, days: int) -> Predictions:
    """Return coded predictions, spread over `days` days and every outcome: what fold takes."""
    rng = np.random.default_rng((SEED, 2, first))
    positions = np.arange(first, first + n)
    zero = np.zeros(n, np.int64)
    panes = START // DAY_MS + np.sort(rng.integers(0, days, n))
    scores = rng.integers(0, 1 << 20, n)
    cells = (scores >> 19) * 101 + scores * 100 // (1 << 20)  # (class, score bin) of everyone's first population cell
    return Predictions(positions, hashes_of(positions), zero, panes, cells, scores)


def coded_labels(numbers: NDArray[np.int64], first: int, at: int) -> ModelBatch:
    """Return a batch of labels of predictions by number, known within a day until `at`: what count takes."""
    n = len(numbers)
    rng = np.random.default_rng((SEED, 3, first))
    values = np.array(class_hashes(["yes", "no"]))[rng.integers(0, 2, n)]
    hashes = (hashes_of(numbers + (1 << 40)) >> np.uint64(16)).astype(np.int64)
    own = Labels(np.arange(first, first + n), hashes_of(numbers), at - rng.integers(0, DAY_MS, n), hashes, values)
    empty = np.zeros(0, np.int64)
    nothing = Predictions(empty, empty.astype(np.uint64), empty, empty, empty, empty)
    return ModelBatch(nothing, empty, (), own, ())


def hashes_of(numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return 64-bit hashes: distinct for distinct numbers, and spread like hashes are."""
    x = numbers.astype(np.uint64)
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))


def label_numbers(size: int, live: int) -> Iterator[NDArray[np.int64]]:
    """Yield, batch by batch, which predictions get their label: each at most once, in no order."""
    order = np.random.default_rng((SEED, 4, size)).permutation(live)
    for start in range(0, live - size, size):
        yield order[start : start + size]
