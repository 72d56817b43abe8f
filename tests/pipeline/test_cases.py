"""Policy cases: the notation, what a run remembers, mismatches, coverage, and every mistake where it stands."""

import textwrap

import pytest

from guardian.errors import InvalidFileError
from guardian.files.strict_yaml import read
from guardian.metrics.base import Measured, Undefined, Why
from guardian.pipeline.case_file import CASE_CODES, Cases, load_cases, parse_entry
from guardian.pipeline.cases import policy_of, run_cases
from guardian.policies.load import load_set

MODEL = """
apiVersion: guardian/v1alpha1
kind: Model
metadata: {name: credit}
spec:
  task: multiclass_classification
  features: {income: {type: numeric}, region: {type: categorical}}
  protected: [sex]
  segments: [[sex]]
  labels: {horizon: 10d}
"""
POLICY = """
apiVersion: guardian/v1alpha1
kind: Policy
metadata: {name: credit}
spec:
  match: {models: [credit]}
  rules:
    - {alert: Drift, metric: drift.psi, warn: "> 0.1", error: "> 0.2", require: {rows: 500}, on_unknown: {alert: error, after: 2}}
    - {alert: DriftIncome, metric: drift.psi, columns: [income], error: "> 0.5"}
    - {alert: Accuracy, metric: performance.accuracy, error: "< 0.8", retrain: {approval: auto, cooldown: 2d}}
    - {alert: AccuracyDrop, metric: performance.accuracy, change: drop, error: "> 0.02"}
    - {alert: Recall, metric: performance.recall, classes: [a, b], error: "< 0.5"}
"""


def cases(body: str, head: str = "policy: credit.policy.yaml") -> Cases:
    reading = read(f"{head}\ncases:\n{textwrap.indent(textwrap.dedent(body), '  ')}".encode(), "credit.cases.yaml")
    assert not reading.mistakes
    found = load_cases(reading.documents[0])
    if isinstance(found, tuple):
        raise InvalidFileError(found)
    return found


def files(policy: str = POLICY, model: str | None = MODEL):
    return load_set({"d/credit.policy.yaml": policy.encode(), **({"d/m.yaml": model.encode()} if model else {})})


def run(body: str, **changes):
    found = cases(body)
    return run_cases(found, *policy_of(found, files(**changes)))


def mismatches(body: str, **changes) -> list[tuple]:
    return [(m.at, m.about, m.what, m.expected, m.got) for c in run(body, **changes).cases for m in c.mismatches]


@pytest.mark.parametrize(
    ("text", "measurement", "times"),
    [
        ("0.31 [0.28, 0.34]", Measured(0.31, 0, 0.28, 0.34), 1),
        ("-1e-3 [-.5,+2.]  x12", Measured(-0.001, 0, -0.5, 2.0), 12),
        (0.25, Measured(0.25, 0, 0.25, 0.25), 1),
        (3, Measured(3.0, 0, 3.0, 3.0), 1),
        ("0.01 [0, 0.02] small-cells x2", Measured(0.01, 0, 0.0, 0.02, fit=False), 2),
        ("_", Undefined(Why.NO_DATA), 1),
        ("_ x3", Undefined(Why.NO_DATA), 3),
        *((f"unknown: {why}", Undefined(why), 1) for why in Why),
    ],
)
def test_an_entry_reads_as_written(text, measurement, times):
    assert parse_entry(text) == (measurement, times)


@pytest.mark.parametrize(
    "text", ["", "x3", "0.3 [0.4, 0.2]", "0.3 [0.2]", "nan", "inf", "0.3 x", "unknown", "unknown: bad", "0.3x2"]
)
def test_what_is_no_entry_is_refused(text):
    with pytest.raises(ValueError):
        parse_entry(text)


def test_a_metrics_name_feeds_every_rule_that_measures_the_same():
    result = run(
        """
        - note: a
          series: {psi(income): ["0.6 [0.55, 0.65]", "0.6 [0.55, 0.65]"], psi(prediction): ["0.05 [0, 0.09] x2"]}
          expect:
            - {at: 1, column: income, verdict: violated, alert: firing, effects: [alert]}
            - {at: 1, column: prediction, verdict: satisfied}
            - {at: 1, rule: DriftIncome, verdict: violated}
        """
    )
    assert result.passed
    about = {(o.feed.rule.alert, o.rung, o.feed.subject.key) for o in result.cases[0].outcomes}
    drift = {("Drift", rung, key) for rung in ("warn", "error", "unknown") for key in ("column=income", "output=prediction")}
    assert about == drift | {("DriftIncome", "error", "column=income")}


def test_every_mismatch_says_case_evaluation_expected_and_got():
    body = """
        - note: a
          series: {psi(region): ["0.3 [0.25, 0.35] x2"]}
          rows: 900
          expect:
            - {at: 1, rung: error, verdict: satisfied, reason: no-data, alert: none, effects: []}
        """
    about = "Drift error column=region"
    assert mismatches(body) == [
        (1, about, "verdict", "satisfied", "violated"),
        (1, about, "reason", "no-data", "interval-beyond-threshold"),
        (1, about, "alert", "none", "firing"),
        (1, about, "effects", "[]", "[alert]"),
    ]
    (mismatch, *_) = run(body).cases[0].mismatches
    assert (mismatch.note, mismatch.line) == ("a", 8)


def test_an_expectation_without_a_rung_is_of_both_rungs():
    body = """
        - note: a
          series: {psi(region): ["0.15 [0.12, 0.18]"]}
          expect: [{at: 0, verdict: violated}]
        """
    assert mismatches(body) == [(0, "Drift error column=region", "verdict", "violated", "satisfied")]


def test_rows_and_coverage_go_through_the_gate():
    assert not mismatches(
        """
        - note: a
          series: {psi(region): [0.3, 0.3, 0.3]}
          rows: ["499 x2", 500]
          expect:
            - {at: 0..1, verdict: unknown, reason: too-few-rows, rung: warn}
            - {at: 1, rung: unknown, alert: firing, effects: [alert]}
            - {at: 2, rung: warn, verdict: violated}
            - {at: 2, rung: unknown, alert: resolved, effects: [alert]}
        - note: b
          series: {Accuracy: ["0.7 [0.65, 0.75] x2"]}
          label_coverage: [0.89, 0.9]
          expect:
            - {at: 0, verdict: unknown, reason: immature-labels}
            - {at: 1, verdict: violated}
        """
    )


def test_requests_cool_down_and_listen_to_decisions():
    body = """
        - note: a
          series: {Accuracy: ["0.7 [0.6, 0.75] x2", "0.9 [0.8, 1] x2", "0.7 [0.6, 0.75] x2", "0.9 [0.8, 1] x2", 0.7, 0.7]}
          decisions: [{at: 4, action: complete}]
          expect:
            - {at: 1, effects: [alert, retrain-proposed, retrain-approved]}
            - {at: 5, effects: [alert, retrain-approved, retrain-proposed]}
            - {at: 9, effects: [alert, retrain-proposed, retrain-declined]}
        """
    assert not mismatches(body)
    unheard = body.replace("at: 4, action: complete", "at: 0, action: complete")
    assert (0, "retraining", "decision", "complete", "no request that takes it") in mismatches(unheard)


def test_context_stands_against_a_proposal():
    for word in ("in_flight: true", "broken_input: true", "immature_labels: true", "champion: false"):
        assert not mismatches(
            f"""
            - note: a
              series: {{Accuracy: ["0.7 [0.65, 0.75] x2"]}}
              context: {{{word}}}
              expect: [{{at: 1, effects: [alert, retrain-declined, retrain-proposed]}}]
            """
        )


def test_an_observing_policy_has_verdicts_and_nothing_else():
    assert not mismatches(
        """
        - note: a
          series: {psi(region): ["0.3 [0.25, 0.35] x3"]}
          expect: [{at: 0..2, verdict: violated, alert: none, effects: []}]
        """,
        policy=POLICY.replace("spec:\n  match", "spec:\n  mode: observe\n  match"),
    )


def test_classes_are_subjects():
    assert not mismatches(
        """
        - note: a
          series: {recall(class=a): ["0.4 [0.35, 0.45]"], recall(b): ["0.9 [0.85, 0.95]"]}
          expect: [{at: 0, class: a, verdict: violated}, {at: 0, class: b, verdict: satisfied}]
        """
    )


def test_coverage_names_what_no_case_reaches():
    result = run(
        """
        - note: a
          series: {psi(region): ["0.15 [0.12, 0.18]", _, _]}
          expect: [{at: 0, rung: warn, verdict: violated}]
        """
    )
    seen = {(c.rule, c.rung): (c.violated, c.satisfied) for c in result.coverage}
    assert seen[("Drift", "warn")] == (True, False)
    assert seen[("Drift", "error")] == (False, True)
    assert seen[("Drift", "unknown")] == (True, True)
    assert seen[("Recall", "error")] == (False, False)


def test_a_rule_that_is_never_judged_is_not_covered():
    result = run(
        """
        - note: a
          series: {psi(region): ["_ x2"]}
          expect: [{at: 1, rung: unknown, alert: firing}]
        """
    )
    assert [(c.violated, c.satisfied) for c in result.coverage if c.rung == "unknown"] == [(True, False)]


def test_only_the_chosen_cases_run():
    body = """
        - {note: a, series: {Accuracy: [0.7]}, expect: [{at: 0, verdict: violated}]}
        - {note: b, series: {Accuracy: [0.9]}, expect: [{at: 0, verdict: satisfied}]}
        """
    found = cases(body)
    assert [c.note for c in run_cases(found, *policy_of(found, files()), only=[1]).cases] == ["b"]


GOOD = '- {note: a, series: {psi(income): ["0.3 x2"]}, rows: 900, expect: [{at: 1, rule: Drift, reason: no-data}]}'


@pytest.mark.parametrize(
    ("before", "after", "code", "path", "hint"),
    [
        ("rows:", "row:", "file.unknown-key", "cases[0].row", "did you mean rows?"),
        ("rule:", "rul:", "file.unknown-key", "cases[0].expect[0].rul", "did you mean rule?"),
        ("0.3 x2", "0.3 y2", "cases.entry", 'cases[0].series["psi(income)"][0]', "repeats"),
        ("rows: 900", "rows: [900]", "cases.length", "cases[0].rows", "one for each"),
        ("rows: 900", "rows: [900, many]", "cases.entry", "cases[0].rows[1]", "write 900"),
        ("rows: 900", "label_coverage: -1", "cases.entry", "cases[0].label_coverage", "write 900"),
        ("]}, rows", '], Accuracy: [0.9]}, rows', "cases.length", "cases[0].series.Accuracy", "repeat"),
        ("at: 1", "at: 2", "cases.length", "cases[0].expect[0].at", "write 3"),
        ("at: 1", "at: 1..", "cases.length", "cases[0].expect[0].at", "write 3"),
        ("x2", "x1001", "cases.length", "cases[0].series", "turning points"),
        (", reason: no-data", "", "cases.expects-nothing", "cases[0].expect[0]", "add verdict"),
        ("no-data", "no-dta", "file.not-allowed", "cases[0].expect[0].reason", "did you mean no-data?"),
        ("rule: Drift", "rule: Drft", "cases.unknown-rule", "cases[0].expect[0].rule", "did you mean Drift?"),
        ("rule: Drift", "rule: Recall", "cases.unknown-rule", "cases[0].expect[0].rule", "allowed: Drift"),
        ("rule: Drift", "column: region", "cases.unknown-rule", "cases[0].expect[0]", "Drift warn column=income"),
        ("rule: Drift", "rule: DriftIncome, rung: warn", "cases.unknown-rule", "cases[0].expect[0]", "DriftIncome error"),
        ("psi(income)", "psy(income)", "cases.series", 'cases[0].series["psy(income)"]', "did you mean psi?"),
        ("psi(income)", "psi(incme)", "cases.series", 'cases[0].series["psi(incme)"]', "metric(column)"),
        ("psi(income)", "psi", "cases.series", "cases[0].series.psi", "metric(column)"),
        ("psi(income)", "psi(by=sex)", "cases.series", 'cases[0].series["psi(by=sex)"]', "metric(column)"),
        ("psi(income)", "psi((", "cases.series", 'cases[0].series["psi(("]', "metric(column)"),
        ("psi(income)", "accuracy", "cases.series", "cases[0].series.accuracy", "name the series by its rule"),
        ("]}, rows", '], Drift(income): ["0.1 x2"]}, rows', "cases.series", 'cases[0].series["Drift(income)"]', "keep one"),
    ],
)  # fmt: skip
def test_every_mistake_stands_where_it_is_with_the_way_out(before, after, code, path, hint):
    assert before in GOOD
    with pytest.raises(InvalidFileError) as caught:
        run(GOOD.replace(before, after))
    first = caught.value.mistakes[0]
    assert (first.code, first.path) == (code, path)
    assert hint in first.hint
    assert first.line == 3
    assert code in CASE_CODES or code.startswith("file.")


def test_without_a_model_file_columns_are_taken_on_trust():
    assert mismatches(GOOD.replace("psi(income)", "psi(whatever)"), model=None)


@pytest.mark.parametrize(
    ("head", "path", "hint"),
    [
        ("policy: credt.policy.yaml", "policy", "did you mean credit.policy.yaml?"),
        ("policy: credit.policy.yaml\nmodel: credt", "model", "did you mean credit?"),
    ],
)
def test_the_policy_and_the_model_must_be_there(head, path, hint):
    found = cases(GOOD, head)
    with pytest.raises(InvalidFileError) as caught:
        policy_of(found, files())
    (mistake,) = caught.value.mistakes
    assert (mistake.code, mistake.path) == ("cases.policy", path)
    assert hint in mistake.hint


def test_two_policies_in_one_file_cannot_be_told_apart():
    with pytest.raises(InvalidFileError, match="holds 2 policies"):
        policy_of(cases(GOOD), files(policy=POLICY + "---" + POLICY.replace("name: credit", "name: other")))
