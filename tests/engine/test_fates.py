"""Which error means what."""

import pytest

from guardian.audit.record import RecordRefusedError
from guardian.engine.fates import Fate, FencedError, StoreBusyError, StoreRefusedError, fate_of
from guardian.errors import GuardianError, InvalidStateError, OverflowRefusedError

FATES = {
    FencedError: Fate.RETRY,
    StoreBusyError: Fate.RETRY,
    OverflowRefusedError: Fate.DEAD_LETTER,
    StoreRefusedError: Fate.STOP,
    RecordRefusedError: Fate.STOP,
    InvalidStateError: Fate.STOP,
    GuardianError: Fate.STOP,
}


@pytest.mark.parametrize(("kind", "fate"), FATES.items())
def test_deliberate_errors_have_the_fate_they_say(kind, fate):
    assert fate_of(kind("what", hint="how")) is fate


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), MemoryError(), OSError()])
def test_the_unforeseen_stops(error):
    assert fate_of(error) is Fate.STOP
