"""How Faust and aiokafka are set up, read back from what they would open a connection with."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from guardian.adapters.kafka.app import WorkerApp, build
from guardian.adapters.kafka.connection import Broker
from guardian.adapters.kafka.consumer import EventConsumer, Reading
from guardian.adapters.kafka.watchdog import Watch


def built(broker: Broker) -> WorkerApp:
    return build(broker, Reading(broker.events, None, Watch(1.0), print), lambda value: None)


def in_loop(look):
    async def inside():
        return look()

    return asyncio.run(inside())


def plain(options: dict) -> dict:
    """Contexts cannot be compared; that there is one, and that it checks, can."""
    contexts = {name: value for name, value in options.items() if isinstance(value, ssl.SSLContext)}
    assert all(context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED for context in contexts.values())
    return {name: name if name in contexts else value for name, value in options.items() if value is not None}


@pytest.mark.parametrize("security", ["plaintext", "tls", "sasl", "sasl_tls"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_workers_say_who_they_are_as_producers_do(security: str, mechanism: str) -> None:
    secret = "hunter2"  # noqa: S105
    broker = Broker("a:1,b:2", security=security, mechanism=mechanism, user="u", password=secret)  # type: ignore[arg-type]
    conf = in_loop(lambda: built(broker).conf)
    auth = credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context)
    expected = plain(broker.client_options())
    assert expected.pop("bootstrap_servers") == ["a:1", "b:2"]
    assert plain(dict(auth)) == expected


def test_nothing_is_taken_from_the_environment_and_no_folder_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BROKER_URL", "BROKER_SESSION_TIMEOUT", "APP_DATADIR", "WEB_ENABLED", "PROCESSING_GUARANTEE"):
        monkeypatch.setenv(name, "nonsense")
    app = in_loop(lambda: built(Broker("a:1", session_timeout_ms=9_000)))
    conf = app.conf
    assert [str(url) for url in conf.broker_consumer] == ["kafka://a:1"]
    assert (conf.broker_session_timeout, conf.web_enabled, str(conf.store)) == (9.0, False, "memory:")
    assert conf.broker_request_timeout > conf.broker_session_timeout
    assert not app.in_transaction
    app._create_directories()
    assert list(tmp_path.iterdir()) == []


def test_the_consumer_aiokafka_is_given_reads_what_is_committed_and_resets_nothing() -> None:
    async def look() -> None:
        app = built(Broker("a:1", group="g"))
        app.in_worker = True
        thread = app.consumer._thread
        assert isinstance(app.consumer, EventConsumer)
        consumer = thread._create_consumer(loop=asyncio.get_running_loop())
        try:
            assert consumer._isolation_level == "read_committed"
            assert consumer._auto_offset_reset == "none"
            assert consumer._enable_auto_commit is False
            assert consumer._group_id == "g"
            assert consumer._max_poll_interval_ms < 1 << 31
            assert [strategy.name for strategy in consumer._partition_assignment_strategy] == ["roundrobin"]
        finally:
            await consumer.stop()
            app.consumer.release()

    asyncio.run(look())
