"""A TCP proxy before PostgreSQL that can cut a connection in the middle of a commit.

After `cut_at_commit`, the next transaction in which enough was sent to have been a step is cut when its COMMIT comes by: either
the COMMIT never arrives, or it does and its answer does not. The client cannot tell which.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from services.process import free_ports

if TYPE_CHECKING:
    from typing import Self

COMMIT: Final = b"COMMIT\0"  # As psycopg sends it, in a simple query.
STEP_BYTES: Final = 6_000  # A lease's renewal sends less.
CHUNK: Final = 1 << 16


class Proxy:
    """Listens at `port` of loopback and hands everything on to `target`, until told otherwise.

    Attributes:
        cuts: Connections that were cut in a commit.
    """

    def __init__(self, target: int) -> None:
        (self.port,) = free_ports(1)
        self.cuts = 0
        self._target = target
        self._lose_answer: bool | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        self._ready.wait()

    def cut_at_commit(self, *, lose_answer: bool) -> None:
        """Cut the next step: its COMMIT is lost, or its answer is, and then it has landed."""
        self._lose_answer = lose_answer

    def cut_all(self) -> None:
        """Cut every connection there is."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def close(self) -> None:
        """Cut everything and stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._abort()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            to_client.transport.abort()
            return
        ends = {to_client, to_server}
        self._writers |= ends
        answering = asyncio.create_task(self._pass_on(server, to_client))
        try:
            await self._watched(client, to_server, answering)
        finally:
            answering.cancel()
            for writer in ends:
                writer.transport.abort()
            self._writers -= ends

    async def _watched(
        self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter, answering: asyncio.Task[None]
    ) -> None:
        sent = 0
        with suppress(OSError):
            while not answering.done() and (data := await client.read(CHUNK)):
                sent += len(data)
                if COMMIT in data:
                    if self._lose_answer is not None and sent > STEP_BYTES:
                        await self._cut(data, to_server, answering)
                        return
                    sent = 0
                to_server.write(data)
                await to_server.drain()

    async def _cut(self, data: bytes, to_server: asyncio.StreamWriter, answering: asyncio.Task[None]) -> None:
        lose_answer, self._lose_answer = self._lose_answer, None
        self.cuts += 1
        if lose_answer:
            answering.cancel()
            to_server.write(data)
            await to_server.drain()
            await asyncio.sleep(0.3)  # The server commits.

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
