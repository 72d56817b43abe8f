"""The in-memory adapters keep the contracts."""

import pytest

from guardian.adapters.memory.store import MemoryLog, MemoryStore
from guardian.testing.contracts import JobRunContract, LeaseContract, LogContract, StoreContract
from guardian.testing.fleet_contracts import FleetContract


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def leases():
    return MemoryStore()


@pytest.fixture
def runs():
    return MemoryStore()


@pytest.fixture
def log():
    return MemoryLog()


class TestMemoryStore(StoreContract):
    pass


class TestMemoryFleet(FleetContract):
    pass


class TestMemoryLog(LogContract):
    pass


class TestMemoryLeases(LeaseContract):
    pass


class TestMemoryRuns(JobRunContract):
    pass
