"""One to four workers that join and leave all the time end as one that was left alone."""

from __future__ import annotations

import pytest
from trial.storm import Storm, StormPlan


@pytest.mark.slow
def test_the_outcome_of_a_rebalance_storm_is_that_of_an_undisturbed_run(own_kafka, own_postgres, tmp_path):
    report = Storm(StormPlan(4, ("car-loan",), 40_000, 25.0), tmp_path, own_kafka, own_postgres, print).run()
    assert report.wrong == []
    assert {line.what for line in report.lines} == {"joins", "leaves"}
