"""What a worker is held against, each a process: `bench_fleet_rivals.py batches|agent BOOTSTRAP PREFIX GROUP COUNT`.

`batches` is guardian's own consumer with a reader that only counts offsets; `agent` is a plain Faust agent that does nothing, as
Faust's manual begins. Both read a topic that is full already, from its beginning, and print how many records after the first
delivery, and the seconds and processor seconds that these took. An agent has AGENT_S, and then says how far it came.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from guardian.engine.ports import LogRecord, Partition
AGENT_S: Final = 20.0


class _Count:
    """Counts, and prints at the last."""

    def __init__(self, until: int, done: Callable[[], Any]) -> None:
        self._until, self._done = until, done
        self._first = self._n = 0
        self._start = self._used = 0.0

    def add(self, n: int) -> None:
        self._n += n
        if not self._start:
            self._first, self._start, self._used = self._n, time.perf_counter(), time.process_time()
        if self._n >= self._until and self._until:
            self.finish()

    def finish(self) -> None:
        if self._until:
            took = time.perf_counter() - self._start, time.process_time() - self._used
            print(self._n - self._first, *took, flush=True)
            self._until = 0
            self._done()


class Offsets:
    """An `engine.ports.LogReader` that takes everything and keeps nothing."""

    def __init__(self, count: _Count) -> None:
        self._count = count
        self._next: dict[Partition, int] = {}

    def assigned(self, ends: Mapping[Partition, tuple[int, int]]) -> dict[Partition, int | None]:
        self._next = {partition: earliest for partition, (earliest, _) in ends.items()}
        return dict(self._next)

    def revoked(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)

    def deliver(self, partition: Partition, records: Sequence[LogRecord]) -> int | None:
        self._next[partition] = records[-1].offset + 1
        self._count.add(len(records))
        return None

    def lost(self, partition: Partition, earliest: int, end: int) -> int | None:
        return earliest

    def work(self) -> dict[Partition, int | None]:
        return {}

    def wants(self, partition: Partition) -> bool:
        return True


def batches(bootstrap: str, prefix: str, group: str, until: int) -> None:
    from guardian.adapters.kafka.app import run
    from guardian.adapters.kafka.connection import Broker

    stop = threading.Event()
    run(Broker(bootstrap, group=group, prefix=prefix), Offsets(_Count(until, stop.set)), stop, say=lambda _: None)


def agent(bootstrap: str, prefix: str, group: str, until: int) -> None:
    import faust

    app = faust.App(
        group, broker=f"kafka://{bootstrap}", store="memory://", topic_allow_declare=False, topic_disable_leader=True,
        web_enabled=False, consumer_auto_offset_reset="earliest", datadir=os.devnull, stream_wait_empty=False,
    )  # fmt: skip
    app._create_directories = lambda: None  # noqa: SLF001 - there is nothing to keep
    topic = app.topic(f"{prefix}.events", key_serializer="raw", value_serializer="raw", value_type=bytes)
    count = _Count(until, lambda: os._exit(0))  # To stop in order, it would first work off what it has fetched.

    @app.agent(topic)
    async def nothing(stream: Any) -> None:
        async for _value in stream:
            count.add(1)

    async def serve() -> None:
        await app.start()
        await asyncio.sleep(AGENT_S)
        count.finish()

    asyncio.run(serve())


if __name__ == "__main__":
    {"batches": batches, "agent": agent}[sys.argv[1]](*sys.argv[2:5], int(sys.argv[5]))
    os._exit(0)  # Threads that read may still be at it.
