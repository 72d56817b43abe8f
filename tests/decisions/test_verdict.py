"""Verdicts: the four outcomes and their order, the edges of each operator, the gate, ids and rows."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.decisions.verdict import Reason, Verdict, VerdictKey, VerdictRow, decide, gate, rounded
from guardian.metrics.base import Measured, Subject, Undefined, Why
from guardian.policies.model import Condition, Require

finite = st.floats(-10, 10)
operators = st.sampled_from([">", ">=", "<", "<="])


def measured(low: float, high: float, *, fit: bool = True) -> Measured:
    return Measured((low + high) / 2, 900, low, high, fit=fit)


@pytest.mark.parametrize(
    ("low", "high", "fit", "verdict", "reason"),
    [
        (0.21, 0.3, True, Verdict.VIOLATED, Reason.BEYOND),
        (0.21, 0.3, False, Verdict.VIOLATED, Reason.BEYOND),
        (0.1, 0.19, True, Verdict.SATISFIED, Reason.WITHIN),
        (0.1, 0.19, False, Verdict.INCONCLUSIVE, Reason.CELLS_TOO_SMALL),
        (0.1, 0.3, True, Verdict.INCONCLUSIVE, Reason.STRADDLES),
        (0.1, 0.3, False, Verdict.INCONCLUSIVE, Reason.STRADDLES),
    ],
)
def test_the_interval_decides(low, high, fit, verdict, reason):
    assert decide(measured(low, high, fit=fit), Condition(">", 0.2)) == (verdict, reason)


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_for_no_number_is_a_reason_of_unknown(why):
    assert decide(Undefined(why), Condition(">", 0.2)) == (Verdict.UNKNOWN, Reason(why.value))


@pytest.mark.parametrize(
    ("operator", "touching_below", "touching_above", "exactly"),
    [
        (">", "satisfied", "inconclusive", "satisfied"),
        (">=", "inconclusive", "violated", "violated"),
        ("<", "inconclusive", "satisfied", "satisfied"),
        ("<=", "violated", "inconclusive", "violated"),
    ],
)
def test_the_threshold_itself_is_wrong_only_for_the_operators_that_name_it(operator, touching_below, touching_above, exactly):
    condition = Condition(operator, 0.2)
    got = [decide(measured(*ends), condition)[0].value for ends in ((0.1, 0.2), (0.2, 0.3), (0.2, 0.2))]
    assert got == [touching_below, touching_above, exactly]


@pytest.mark.parametrize(("low", "high"), [(math.nan, 0.1), (0.1, math.nan), (math.nan, math.nan), (0.3, 0.1)])
def test_what_is_no_interval_is_never_compliant(low, high):
    for operator in (">", ">=", "<", "<="):
        assert decide(Measured(0.0, 9, low, high), Condition(operator, 0.2)) == (Verdict.UNKNOWN, Reason.NOT_DEFINED)


@given(finite, finite, finite, operators)
def test_a_verdict_holds_for_every_value_of_the_interval(a, b, threshold, operator):
    low, high = sorted((a, b))
    wrong = {">": high > threshold, ">=": high >= threshold, "<": low < threshold, "<=": low <= threshold}[operator]
    right = {">": low <= threshold, ">=": low < threshold, "<": high >= threshold, "<=": high > threshold}[operator]
    want = Verdict.INCONCLUSIVE if wrong and right else Verdict.VIOLATED if wrong else Verdict.SATISFIED
    assert decide(measured(low, high), Condition(operator, threshold))[0] is want


@pytest.mark.parametrize(
    ("require", "n", "coverage", "needs_labels", "why"),
    [
        ({}, 0, None, False, None),
        ({"rows": 500}, 500, None, False, None),
        ({"rows": 500}, 499, None, False, Why.TOO_FEW_ROWS),
        ({"rows": 500}, 0, None, False, Why.NO_DATA),
        ({}, 0, None, True, Why.NO_DATA),
        ({}, 900, 0.9, True, None),
        ({}, 900, 0.899, True, Why.IMMATURE_LABELS),
        ({"label_coverage": 0.5}, 900, 0.5, True, None),
        ({"label_coverage": 0.0}, 900, 0.0, True, None),
        ({"label_coverage": 0.95}, 900, 0.9, True, Why.IMMATURE_LABELS),
        ({"rows": 500}, 0, 0.0, True, Why.IMMATURE_LABELS),
        ({}, 900, 0.1, False, None),
    ],
)
def test_the_gate_says_why_a_window_may_not_be_judged(require, n, coverage, needs_labels, why):
    found = gate(Require(**require), n, coverage, needs_labels=needs_labels)
    assert (found and found.why) == why


def test_rounding_reaches_value_and_interval_and_leaves_reasons_alone():
    got = rounded(Measured(0.12345678949, 9, -0.0, 1 / 3, se=0.1))
    assert got == Measured(0.123456789, 9, 0.0, 0.333333333, se=0.1)
    assert rounded(Undefined(Why.NO_DATA)) == Undefined(Why.NO_DATA)


KEY = VerdictKey("m", "1", "p", "r", "warn", Subject(column="a"), 0, 10)


def test_an_id_is_of_the_whole_identity():
    others = {"model": "n", "version": "2", "policy": "q", "rule": "s", "severity": "error", "subject": Subject(output="a")}
    others |= {"window_start": 1, "window_end": 11}
    ids = {dataclasses.replace(KEY, **{name: value}).id for name, value in others.items()}
    assert set(others) == {field.name for field in dataclasses.fields(VerdictKey)}
    assert len(ids | {KEY.id}) == len(others) + 1
    assert dataclasses.replace(KEY).id == KEY.id


def test_a_row_has_the_fields_of_the_audit_record():
    row = VerdictRow(
        KEY,
        1,
        False,
        20,
        Verdict.VIOLATED,
        Reason.BEYOND,
        0.3,
        0.25,
        0.35,
        Condition(">", 0.2),
        900,
        "drift.psi",
        {"a": 1},
        "sha256:x",
        "al",
    ).to_json()
    assert row == {
        "id": KEY.id, "rule": "r", "severity": "warn", "metric": "drift.psi", "subject": {"column": "a"}, "revision": 1,
        "verdict": "violated", "reason": "interval-beyond-threshold", "value": 0.3, "interval": [0.25, 0.35], "threshold": 0.2,
        "condition": "> 0.2", "n": 900, "detail": {"a": 1}, "evidence": "sha256:x", "alert_id": "al",
    }  # fmt: skip


def test_a_row_without_a_number_has_no_interval():
    row = VerdictRow(KEY, 1, True, 20, Verdict.UNKNOWN, Reason.NO_DATA, None, None, None, Condition(">", 0.2), 0, "drift.psi")
    assert row.to_json()["interval"] is None
