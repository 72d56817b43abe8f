"""What the adapter leans on in Faust, mode and aiokafka that they do not promise: what fails here fails before a worker does."""

from __future__ import annotations

import asyncio
import inspect
import tomllib
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord, TopicPartition
from faust.app import base as app_base
from faust.tables import recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types.settings import Settings
from mode import Service
from mode.threads import QueueServiceThread, ServiceThread, WorkerThread

PINNED = ("aiokafka", "faust-streaming")


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("package", PINNED)
def test_versions_are_those_that_were_read(package: str) -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert f"{package}=={version(package)}" in project["dependencies"]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (faust_consumer.Consumer._drain_messages, ["self", "fetcher"]),
        (faust_consumer.Consumer.perform_seek, ["self"]),
        (faust_consumer.Consumer.on_partitions_revoked, ["self", "revoked"]),
        (faust_consumer.Consumer.on_partitions_assigned, ["self", "assigned", "generation_id"]),
        (faust_consumer.Consumer.verify_all_partitions_active, ["self"]),
        (faust_consumer.Consumer._get_active_partitions, ["self"]),
        (faust_consumer.Consumer._add_gap, ["self", "tp", "offset_from", "offset_to"]),
        (driver.Consumer._to_message, ["self", "tp", "record"]),
        (driver.Consumer._new_consumer_thread, ["self"]),
        (driver.Consumer.subscribe, ["self", "topics"]),
        (driver.Consumer.seek_to_committed, ["self"]),
        (driver.Consumer.assignment, ["self"]),
        (driver.AIOKafkaConsumerThread._create_worker_consumer, ["self", "transport"]),
        (driver.AIOKafkaConsumerThread._ensure_consumer, ["self"]),
        (driver.AIOKafkaConsumerThread._commit, ["self", "offsets"]),
        (QueueServiceThread.call_thread, ["self", "fun", "args", "kwargs"]),
        (ServiceThread.on_crash, ["self", "msg", "fmt", "kwargs"]),
        (WorkerThread.__init__, ["self", "service", "kwargs"]),
        (Service.wait_first, ["self", "coros", "timeout"]),
        (app_base.App._create_directories, ["self"]),
        (Settings.getenv, ["self", "env_name"]),
        (fetcher.Fetcher.fetched_records, ["self", "partitions", "timeout", "max_records"]),
        (fetcher.PartitionRecords._consumer_record, ["self", "tp", "record"]),
        (SubscriptionState.fetch_context, ["self"]),
        (MessageAccumulator.fail_all, ["self", "exception"]),
    ],
)
def test_functions_have_the_parameters_that_are_given(function, expected: list[str]) -> None:
    assert parameters(function) == expected


def test_seeks_go_through_the_hook() -> None:
    """Both where a rebalance ends, and where a fetch finds the flow stopped."""
    assert "self.seek_to_committed()" in inspect.getsource(faust_consumer.Consumer.perform_seek)
    assert "self.perform_seek()" in inspect.getsource(faust_consumer.Consumer.getmany)
    resume = inspect.getsource(recovery.Recovery._resume_streams)
    assert (
        resume.index("consumer.perform_seek()") < resume.index("consumer.resume_flow()") < resume.index("_fetcher.maybe_start()")
    )


def test_a_seek_that_takes_too_long_would_end_rebalances_for_good() -> None:
    """Why the placement is made in the loop that fetches: a timeout of `_wait` looks like a stop of the service."""
    assert "raise ServiceStopped()" in inspect.getsource(recovery.Recovery._wait)
    assert "except ServiceStopped" in inspect.getsource(recovery.Recovery._restart_recovery.fun)


def test_faust_fetches_a_list_of_records_by_partition_from_aiokafka() -> None:
    hints = inspect.signature(faust_consumer.Consumer._wait_next_records).return_annotation
    assert "RecordMap" in str(hints) or "Mapping" in str(hints)
    assert "fetcher.fetched_records" in inspect.getsource(driver.AIOKafkaConsumerThread._fetch_records)
    assert "consumer._drain_messages(self)" in inspect.getsource(faust_consumer.Fetcher._fetcher.fun)


def test_the_classes_that_are_named_are_the_ones_used() -> None:
    assert driver.Transport.Consumer is driver.Consumer
    assert issubclass(driver.AIOKafkaConsumerThread, ServiceThread)
    assert ServiceThread.Worker is WorkerThread
    assert faust.App.Settings is Settings
    assert faust.App.BootStrategy.enable_sensors
    assert "self.conf.broker_consumer" in inspect.getsource(app_base.App._new_transport)


def test_a_topic_partition_of_one_library_is_that_of_the_other() -> None:
    assert {faust.types.TP("t", 1): 1}[TopicPartition("t", 1)] == 1


def test_state_that_is_touched_is_where_it_is_looked_for() -> None:
    async def look() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1", max_poll_records=7)
        try:
            for name in ("_isolation_level", "_fetch_max_wait_ms", "_fetcher", "_subscription", "_closed", "_max_poll_records"):
                assert hasattr(consumer, name)
            assert consumer._max_poll_records == 7
            assert consumer._subscription.reassignment_in_progress
        finally:
            await consumer.stop()
        producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", enable_idempotence=True)
        assert isinstance(producer._message_accumulator, MessageAccumulator)
        await producer.stop()

    asyncio.run(look())
    started = inspect.getsource(AIOKafkaConsumer.start)
    assert "isolation_level=self._isolation_level" in started
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in started
    init = inspect.getsource(fetcher.Fetcher.__init__)
    assert "self._records = collections.OrderedDict()" in init
    assert "self._closed = False" in init
    consumer_init = inspect.getsource(faust_consumer.Consumer.__init__) + inspect.getsource(faust_consumer.Consumer.resume_flow)
    for name in ("_read_offset", "_committed_offset", "can_resume_flow", "suspend_flow", "flow_active", "callback"):
        assert f"self.{name}" in consumer_init


def batch(count: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for offset in range(count):
        builder.append(offset, 1_000 + offset, key=b"k", value=b"v%d" % offset, headers=[("h", b"1")])
    return bytes(builder.build())


def fetched(records: OrderedDict, topic: str) -> list:
    tp = TopicPartition(topic, 0)
    parts = fetcher.PartitionRecords(tp, MemoryRecords(batch(3)), [], 1, None, None, True, fetcher.READ_COMMITTED)
    records[tp] = fetcher.FetchResult(tp, assignment=None, partition_records=parts, backoff=0.1)
    return list(records[tp]._partition_records)


def test_records_that_are_not_copied_hold_what_a_reader_is_promised() -> None:
    from guardian.adapters.kafka.fetching import _AsTheyAre

    copied = fetched(OrderedDict(), "events")
    plain = fetched(_AsTheyAre("events"), "events")
    assert {type(record) for record in copied} == {ConsumerRecord}
    assert not {type(record) for record in plain} & {ConsumerRecord}
    names = ("offset", "timestamp", "key", "value")
    assert [[getattr(record, name) for name in names] for record in plain] == [
        [getattr(record, name) for name in names] for record in copied
    ]
    assert [tuple(record.headers) for record in plain] == [record.headers for record in copied] == [(("h", b"1"),)] * 2
    assert {type(record) for record in fetched(_AsTheyAre("events"), "others")} == {ConsumerRecord}
