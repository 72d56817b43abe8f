"""Killed, put to sleep, cut off and left without broker or database: a fleet ends as the engine that nobody disturbed."""

from __future__ import annotations

import pytest
from trial.trial import Plan, Trial

SEED = 20190331
FAULTS = ("zombie-judge", "commit-lost", "kill", "broker-hiccup", "answer-lost", "database-kill", "zombie", "terminate")


@pytest.mark.slow
def test_the_outcome_under_faults_is_that_of_an_undisturbed_run(own_kafka, own_postgres, tmp_path):
    plan = Plan(SEED, ("car-loan",), None, 45.0, FAULTS, pause_s=(0.5, 1.5), failpoint=0.01)
    report = Trial(plan, tmp_path, own_kafka, own_postgres, print).run()
    assert report.wrong == []
    assert len([line for line in report.lines if line.what != "failpoint"]) == len(FAULTS)
