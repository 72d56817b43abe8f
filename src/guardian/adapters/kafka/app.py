"""A worker: Faust's app with what it is to do without, run in the main thread until told to stop.

Of Faust it has the group, the rebalances, the lifecycle and one agent. It has no tables, no web server, no leader, no declared
topics, no files, and takes no settings from the environment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import faust
from aiokafka.errors import KafkaError
from faust.app import BootStrategy
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.settings import Settings

from guardian.adapters.kafka.connection import failure
from guardian.adapters.kafka.consumer import EventTransport, Reading, SupersededError
from guardian.adapters.kafka.watchdog import GIVEN_UP, Guard, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faust.types import StreamT

    from guardian.adapters.kafka.connection import Broker
    from guardian.adapters.kafka.consumer import EventConsumer
    from guardian.engine.ports import LogReader

POLL_RECORDS: Final = 10_000  # Of one poll, over all partitions.
FETCH_BYTES: Final = 4 << 20  # Of one partition in one answer of the broker; all of one answer have 50 MiB.
POLL_INTERVAL_S: Final = 2_000_000  # A worker without partitions does not poll, and must not be taken for dead by itself.
METADATA_S: Final = 30  # How soon new or re-created topics are noticed.
STOP_LOOK_S: Final = 0.1


class _Settings(Settings):
    def getenv(self, env_name: str) -> Any:
        """Return None: a variable of another program, such as BROKER_URL, must not redirect a worker."""


class _Boot(BootStrategy):
    enable_web = False
    enable_sensors = False


class WorkerApp(faust.App):
    """Faust's app, with a `guardian` that its consumer reads for."""

    Settings = _Settings
    BootStrategy = _Boot
    guardian: Reading

    def _create_directories(self) -> None:
        """Make none."""


def build(broker: Broker, reading: Reading, on_result: Callable[[bytes], None] | None = None) -> WorkerApp:
    """Return the app of a worker, not started.

    Args:
        broker: Where to, and in which group.
        reading: What its consumer does.
        on_result: Given the bytes of every message of `<prefix>.retraining.results`, each at least once; None: they are not read.
    """
    session_s = broker.session_timeout_ms / 1000
    app = WorkerApp(
        broker.group,
        broker=";".join(f"kafka://{address}" for address in broker.addresses),
        broker_credentials=_credentials(broker),
        broker_client_id="guardian",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=min(3.0, session_s / 5),
        broker_request_timeout=max(40.0, 2 * session_s),
        broker_rebalance_timeout=60.0,
        broker_max_poll_interval=POLL_INTERVAL_S,
        broker_max_poll_records=POLL_RECORDS,
        consumer_auto_offset_reset="none",
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=METADATA_S * 1000,
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        producer_threaded=False,
        web_enabled=False,
        autodiscover=False,
        datadir=os.devnull,
    )
    app.guardian = reading
    app.finalize()
    app.transport = EventTransport(app.conf.broker_consumer, app)
    if on_result is not None:
        _read_results(app, broker.results, on_result)
    return app


def run(
    broker: Broker,
    reader: LogReader,
    stop: threading.Event,
    *,
    say: Callable[[str], None],
    on_result: Callable[[bytes], None] | None = None,
    watchdog_s: float = 300.0,
) -> int:
    """Read events until `stop` is set, by anybody, or the process is told to by SIGTERM or SIGINT. Blocks the main thread.

    After a stop, the process ends within 20 s one way or the other; a second signal ends it at once. Neither loses anything.

    Args:
        broker: Where to, and in which group.
        reader: Who counts; called from this thread alone.
        stop: Set to end.
        say: Given one line at a time.
        on_result: Given every message of `<prefix>.retraining.results`; called again while it raises StoreBusyError.
        watchdog_s: After how long without progress on a log that has more the worker gives up.

    Returns 0 after a stop, 75 when it has given up and is to be started anew.

    Raises BrokerUnreachableError, and whatever `reader` or `on_result` raise besides StoreBusyError.
    """
    reading = Reading(broker.events, reader, Watch(watchdog_s), say)
    code = 0

    def give_up(why: str) -> None:
        nonlocal code
        say(f"giving up: {why}")
        code = GIVEN_UP
        stop.set()
        guard.stopping(GIVEN_UP)

    guard = Guard(reading.watch, min(5.0, watchdog_s / 10), give_up)
    try:
        with _signals(stop, guard, say):
            asyncio.run(_serve(broker, reading, on_result, stop, guard))
    finally:
        guard.close()
    if reading.failure is not None:
        if isinstance(reading.failure, KafkaError | OSError):
            raise failure(broker, "the log cannot be read", reading.failure) from reading.failure
        raise reading.failure
    return code


async def _serve(
    broker: Broker, reading: Reading, on_result: Callable[[bytes], None] | None, stop: threading.Event, guard: Guard
) -> None:
    app = build(broker, reading, on_result)
    starting = asyncio.create_task(app.start())
    try:
        while not (stop.is_set() or reading.failure or app.crashed):
            if starting.done():
                starting.result()
            await asyncio.sleep(STOP_LOOK_S)
        if app.crashed and reading.failure is None and not stop.is_set():
            reading.failure = app.crash_reason
    except Exception as error:  # Raised by `run`, when all is taken down.
        reading.failure = reading.failure or error
    finally:
        guard.stopping(1 if reading.failure else 0)
        with suppress(Exception):  # What cannot be taken down in order has the guard's deadline.
            await app.stop()
        starting.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await starting
        cast("EventConsumer", app.consumer).release()


@contextmanager
def _signals(stop: threading.Event, guard: Guard, say: Callable[[str], None]) -> Iterator[None]:
    """Stop on SIGTERM and SIGINT. Plain handlers, as they run even while a reader keeps the loop waiting."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        say(f"stopping: {signal.Signals(number).name}")
        stop.set()
        guard.stopping(0)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read_results(app: WorkerApp, topic: str, on_result: Callable[[bytes], None]) -> None:
    async def results(stream: StreamT[Any]) -> None:
        stream.enable_acks = False  # Faust's own acknowledgement comes even when the message was not dealt with.
        async for event in stream.events():
            try:
                if event.value is not None:
                    await app.guardian.patiently(partial(on_result, event.value), lambda: app.should_stop)
            except SupersededError:
                return
            except Exception as error:  # Ends the worker, and is raised by `run`.
                app.guardian.failure = error
                return
            await stream.ack(event)

    app.agent(app.topic(topic, key_serializer="raw", value_serializer="raw", value_type=bytes), name="results")(results)


def _credentials(broker: Broker) -> SASLCredentials | SSLCredentials | None:
    context = broker.ssl_context()
    if broker.security in ("sasl", "sasl_tls"):
        return SASLCredentials(username=broker.user, password=broker.password, mechanism=broker.mechanism, ssl_context=context)
    return SSLCredentials(context) if context is not None else None
