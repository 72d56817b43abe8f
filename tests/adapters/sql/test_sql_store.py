"""The SQL adapters keep the contracts, on a database file as `guardian init` makes it."""

import pytest

from guardian.adapters.sql.audit_log import SqlAuditLog
from guardian.adapters.sql.inbox import SqlInbox
from guardian.adapters.sql.store import SqlStore
from guardian.testing.contracts import JobRunContract, LeaseContract, LogContract, StoreContract
from guardian.testing.fleet_contracts import FleetContract


class StoreAndAuditLog(SqlStore):
    """Both ports in one object, as the contract reads them."""

    def __init__(self, database):
        super().__init__(database)
        self._audit = SqlAuditLog(database)

    def __getattr__(self, name):
        return getattr(self._audit, name)


@pytest.fixture
def store(database):
    return StoreAndAuditLog(database)


@pytest.fixture
def leases(database):
    return SqlStore(database)


@pytest.fixture
def runs(database):
    return SqlStore(database)


@pytest.fixture
def log(database):
    return SqlInbox(database)


class TestSqlStore(StoreContract):
    pass


class TestSqlFleet(FleetContract):
    pass


class TestSqlInbox(LogContract):
    pass


class TestSqlLeases(LeaseContract):
    pass


class TestSqlRuns(JobRunContract):
    pass
