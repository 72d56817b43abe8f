"""What tests of a fleet do to a world: send, run workers, wait, look."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from guardian.adapters.kafka.log import CONTENT_TYPE, key_of
from guardian.adapters.kafka.producer import Outgoing, Producer
from trial.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trial.world import World

WAIT_S: Final = 60.0


def send(world: World, events: Sequence[bytes]) -> None:
    """Write events into the topic, each to its partition."""
    write(world, [Outgoing(key_of(event), event, CONTENT_TYPE) for event in events])


def write(world: World, records: Sequence[Outgoing], topic: str = "events") -> None:
    producer = Producer(world.kafka)
    try:
        producer.send(f"{world.prefix}.{topic}", records)
    finally:
        producer.close()


def drain(world: World) -> None:
    """Run a worker until nothing is left to do and every window is final."""
    world.guardian("worker", "--until-idle", "--finalise")


@contextmanager
def working(world: World, count: int = 1, *words: str) -> Iterator[Crew]:
    """Have workers run beside, which must leave in good order."""
    with Crew(world, world.root.parent, words=words) as crew:
        for number in range(count):
            crew.join(f"worker-{number}")
        yield crew
        crew.dismiss()
        if crew.failures:
            raise AssertionError(crew.failures)


def until(holds: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
    """Wait until something holds; return it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)
    return found


def counted(world: World) -> dict[int, int]:
    """Return the offset that each partition counts next."""
    with world.store() as store:
        return {s.claim.partition.number: s.claim.next_offset for s in store.standings(world.kafka.events)}


def statuses(world: World) -> dict[int, str]:
    with world.store() as store:
        return {s.claim.partition.number: s.status for s in store.standings(world.kafka.events)}
