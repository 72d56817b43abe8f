"""Both of the demo's models through Kafka, PostgreSQL and two workers: what the embedded engine came to, cell by cell."""

from __future__ import annotations

import pytest
from trial.topics import check_topics

from guardian.adapters.sql.database import Database
from guardian.adapters.sql.store import SqlStore
from guardian.engine.ports import Partition
from guardian.testing.outcomes import outcome_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def embedded(demo):
    database = Database.at(demo.home / "guardian.db")
    yield outcome_of(SqlStore(database), [Partition("inbox", 0)])
    database.close()


def test_both_engines_come_to_the_same(embedded, both_models):
    outcome = both_models.outcome()
    assert embedded.differences(outcome) == []
    assert outcome.fates == embedded.fates
    assert len(outcome.alerts) > 10
    assert outcome.proposals


def test_the_log_is_covered_without_a_hole_and_verifies(both_models):
    assert both_models.tiling() == []
    assert "verified" in both_models.guardian("audit", "verify")


def test_everything_left_for_its_topics_once(both_models):
    wrong, copies = check_topics(both_models, 0)
    assert wrong == []
    assert copies == 0
