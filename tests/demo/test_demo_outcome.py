"""What the demo must show, on final revisions: the outcome tables of the packaged data, recomputed elsewhere from the raw rows.

Dates are exclusive window ends and hold within two days, verdict counts within 2 % of the windows, alert counts exactly.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta

import pytest

EMPLOYMENT, CAR_LOAN = "employment-ma", "car-loan"
DATE_SLACK = timedelta(days=2)
COUNT_SLACK = 0.02


@pytest.fixture(scope="session")
def finals(demo):
    found = [row for row in demo.rows("verdicts") if row["final"]]
    assert len(found) == len(demo.rows("verdicts")), "every window of a finished run is final"
    return found


@pytest.fixture(scope="session")
def alerts(demo):
    return demo.rows("alerts")


def counts(finals, model, rule, severity, **subject):
    wanted = [
        r
        for r in finals
        if (r["model"], r["rule"], r["severity"]) == (model, rule, severity) and (not subject or r["subject"] == subject)
    ]
    return Counter(r["verdict"] for r in wanted)


def check_counts(found, windows, **expected):
    assert sum(found.values()) == windows
    for verdict, n in expected.items():
        assert abs(found[verdict] - n) <= COUNT_SLACK * windows, (verdict, found)


def day(text):
    return datetime.fromisoformat(text).date()


def check_date(text, expected):
    assert abs(day(text) - date.fromisoformat(expected)) <= DATE_SLACK, text


def of(alerts, rule, severity, **subject):
    return [a for a in alerts if (a["rule"], a["severity"]) == (rule, severity) and (not subject or a["subject"] == subject)]


def test_employment_has_not_drifted(finals, alerts):
    for severity in ("warn", "error"):
        assert counts(finals, EMPLOYMENT, "FeatureDrift", severity) == {"satisfied": 18 * 701}
    assert not [a for a in alerts if a["model"] == EMPLOYMENT and a["rule"] == "FeatureDrift"]
    upper = max(r["interval"][1] for r in finals if (r["model"], r["rule"]) == (EMPLOYMENT, "FeatureDrift"))
    assert upper == pytest.approx(0.023, abs=0.002)


@pytest.mark.parametrize(
    ("severity", "subject", "started"),
    [
        ("warn", {"column": "car_value"}, "2019-04-05"),
        ("warn", {"column": "loan_length"}, "2019-04-06"),
        ("warn", {"column": "repaid_loan_on_prev_car"}, "2019-04-06"),
        ("warn", {"output": "score"}, "2019-04-06"),
        ("warn", {"column": "salary_range"}, "2019-04-08"),
        ("error", {"column": "car_value"}, "2019-04-05"),
        ("error", {"column": "loan_length"}, "2019-04-08"),
        ("error", {"column": "repaid_loan_on_prev_car"}, "2019-04-08"),
        ("error", {"output": "score"}, "2019-04-09"),
    ],
)
def test_car_loan_drift_opens_within_days_of_the_shift_and_stays(alerts, severity, subject, started):
    (alert,) = of(alerts, "FeatureDrift", severity, **subject)
    assert alert["state"] == "firing"
    check_date(alert["started_at"], started)


def test_nothing_else_of_car_loan_has_drifted(finals, alerts):
    drift = [a for a in alerts if a["model"] == CAR_LOAN and a["rule"] == "FeatureDrift"]
    assert sum(a["severity"] == "warn" for a in drift) == 5
    assert {str(a["subject"]) for a in drift if a["severity"] == "error"} - {str({"column": "salary_range"})} == {
        str(s)
        for s in ({"column": "car_value"}, {"column": "loan_length"}, {"column": "repaid_loan_on_prev_car"}, {"output": "score"})
    }
    before = [r for r in finals if r["rule"] == "FeatureDrift" and r["model"] == CAR_LOAN and r["window"]["end"] < "2019-03-31"]
    assert not [r for r in before if r["verdict"] == "violated"]


def test_employment_performance_holds(finals, alerts):
    check_counts(counts(finals, EMPLOYMENT, "AccuracyDrop", "error"), 701, satisfied=683, inconclusive=18, violated=0)
    for rule in ("AucDrop", "BrierRise"):
        assert counts(finals, EMPLOYMENT, rule, "error") == {"satisfied": 701}
    assert counts(finals, EMPLOYMENT, "AccuracyDrop", "warn")["violated"] == 0
    assert not [a for a in alerts if a["model"] == EMPLOYMENT and a["policy"] == "employment-performance"]


def test_car_loan_lost_accuracy_and_not_its_ranking(finals, alerts):
    check_counts(counts(finals, CAR_LOAN, "AccuracyDrop", "warn"), 274, violated=132, satisfied=118, inconclusive=24)
    check_counts(counts(finals, CAR_LOAN, "AccuracyDrop", "error"), 274, violated=68, satisfied=138, inconclusive=68)
    check_counts(counts(finals, CAR_LOAN, "BrierRise", "error"), 274, violated=131)
    assert counts(finals, CAR_LOAN, "AucDrop", "error")["violated"] == 0
    for rule, severity, started in (
        ("AccuracyDrop", "warn", "2019-04-22"),
        ("AccuracyDrop", "error", "2019-05-01"),
        ("BrierRise", "error", "2019-04-23"),
    ):
        (alert,) = of(alerts, rule, severity)
        check_date(alert["started_at"], started)


def test_the_loss_of_accuracy_asks_for_retraining_when_it_is_known(demo, alerts):
    (request,) = demo.rows("retraining")
    assert (request["model"], request["state"]) == (CAR_LOAN, "requested")
    check_date(request["proposed_at"], "2019-05-22")
    (alert,) = of(alerts, "AccuracyDrop", "error")
    assert request["alert_ids"][-1] == alert["id"]


def test_selection_by_sex(finals):
    assert counts(finals, EMPLOYMENT, "SelectionRatioSex", "error") == {"satisfied": 701}
    check_counts(counts(finals, EMPLOYMENT, "SelectionRatioSex", "warn"), 701, satisfied=656, inconclusive=45)
    assert counts(finals, EMPLOYMENT, "TprGapSex", "error") == {"satisfied": 701}
    check_counts(counts(finals, EMPLOYMENT, "TprGapSex", "warn"), 701, satisfied=567, inconclusive=134)
    check_counts(counts(finals, EMPLOYMENT, "FprGapSex", "error"), 701, satisfied=570, inconclusive=131)
    check_counts(counts(finals, EMPLOYMENT, "FprGapSex", "warn"), 701, violated=66, satisfied=8, inconclusive=627)


def test_false_positives_by_sex_fire_three_times(alerts):
    found = sorted(of(alerts, "FprGapSex", "warn"), key=lambda a: a["started_at"])
    assert [a["state"] for a in found] == ["resolved", "resolved", "firing"]
    for alert, started, ended in zip(
        found, ("2016-04-10", "2017-04-28", "2017-07-16"), ("2016-10-08", "2017-05-30", None), strict=True
    ):
        check_date(alert["started_at"], started)
        assert (alert["ended_at"] is None) == (ended is None)
        if ended:
            check_date(alert["ended_at"], ended)


def test_selection_by_race(finals, alerts):
    assert counts(finals, EMPLOYMENT, "SelectionRatioRac1p", "warn") == {"violated": 366}
    check_counts(counts(finals, EMPLOYMENT, "SelectionRatioRac1p", "error"), 366, violated=150, inconclusive=216, satisfied=0)
    assert counts(finals, EMPLOYMENT, "TprGapRac1p", "error") == {"satisfied": 366}
    check_counts(counts(finals, EMPLOYMENT, "FprGapRac1p", "warn"), 366, violated=203)
    assert counts(finals, EMPLOYMENT, "FprGapRac1p", "error")["violated"] == 0
    for rule, severity, started in (
        ("SelectionRatioRac1p", "warn", "2017-01-02"),
        ("SelectionRatioRac1p", "error", "2017-05-23"),
        ("FprGapRac1p", "warn", "2017-03-22"),
    ):
        (alert,) = of(alerts, rule, severity)
        check_date(alert["started_at"], started)
        assert alert["state"] == "firing"


def test_a_firing_fairness_alert_keeps_the_table_of_its_groups(demo, alerts):
    (alert,) = of(alerts, "SelectionRatioRac1p", "error")
    tables = [r for r in demo.rows("audit", "--model", EMPLOYMENT) if r["body"].get("alert_id") == alert["id"]]
    groups = {g["group"]: g["n"] for g in tables[-1]["body"]["groups"]}
    assert {"1", "2", "6", "8", "9"} <= groups.keys()
    assert groups["1"] > 10_000


def test_late_labels_are_named(demo):
    fates = Counter()
    for row in demo.rows("intake", "--model", EMPLOYMENT):
        fates[row["fate"]] += row["n"]
    assert fates["beyond-horizon"] == 165
    assert fates["counted"] == 138_761
    assert fates["joined"] == 134_547 - 165
    assert not fates["too-late"]
    assert not fates["unmatched"]


def test_the_screen_tells_the_story(demo):
    for said in (
        "car_value has drifted",
        "accuracy fell",
        "What fired, and why",
        "What stayed quiet",
        "What could not be judged, and why",
        "retraining requested",
        "every one verified",
        "fixed seed",
    ):
        assert said in demo.screen, said
