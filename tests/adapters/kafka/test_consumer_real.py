"""Workers on a real broker: what is read, from where, by whom, and what the reader is told when something is not as it was."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy as DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from guardian.adapters.kafka import admin, app
from guardian.adapters.kafka.app import run
from guardian.adapters.kafka.connection import Broker, BrokerUnreachableError
from guardian.adapters.kafka.producer import Outgoing, Producer
from guardian.adapters.kafka.watchdog import GIVEN_UP
from guardian.engine.fates import StoreBusyError
from guardian.engine.ports import Partition

WAIT_S = 40.0
WORKER = Path(__file__).with_name("counting_worker.py")


def busy() -> StoreBusyError:
    return StoreBusyError("the database is away", hint="wait")


class ListReader:
    """Keeps what it read in lists; tests set what it answers."""

    def __init__(self) -> None:
        self.next: dict[int, int] = defaultdict(int)
        self.values: dict[int, list[bytes]] = defaultdict(list)
        self.offsets: dict[int, list[int]] = defaultdict(list)
        self.assignments: list[dict[int, tuple[int, int]]] = []
        self.revocations = 0
        self.losses: list[tuple[int, int, int]] = []
        self.works = 0
        self.halted: set[int] = set()
        self.moves: dict[int, int | None] = {}
        self.full: set[int] = set()
        self.stuck: set[int] = set()
        self.failing = 0
        self.error: Exception | None = None
        self.holes: set[tuple[int, int, int]] = set()
        self.back: dict[int, int] = {}

    def assigned(self, ends):
        self.assignments.append({partition.number: extent for partition, extent in ends.items()})
        return {p: None if p.number in self.halted else self.next[p.number] for p in ends}

    def revoked(self, partitions):
        self.revocations += len(list(partitions))

    def deliver(self, partition, records):
        if self.failing:
            self.failing -= 1
            raise busy()
        if self.error:
            raise self.error
        number, first = partition.number, records[0].offset
        if number in self.stuck:
            return self.next[number]
        if number in self.back:
            self.next[number] = self.back.pop(number)
            return self.next[number]
        hole = (number, self.next[number], first)
        if first > self.next[number] and hole not in self.holes:
            self.holes.add(hole)
            return self.next[number]
        fresh = [record for record in records if record.offset >= self.next[number]]
        self.values[number] += [record.value for record in fresh]
        self.offsets[number] += [record.offset for record in fresh]
        self.next[number] = max(self.next[number], records[-1].offset + 1)
        return None

    def lost(self, partition, earliest, end):
        self.losses.append((partition.number, earliest, end))
        self.next[partition.number] = earliest
        return None if partition.number in self.halted else earliest

    def work(self):
        self.works += 1
        moves, self.moves = self.moves, {}
        return {Partition(self.topic, number): offset for number, offset in moves.items()}

    def wants(self, partition):
        return partition.number not in self.full

    def count(self) -> int:
        return sum(map(len, self.values.values()))


class Running:
    def __init__(self, broker: Broker, reader: ListReader, **options) -> None:
        reader.topic = broker.events
        self.stop = threading.Event()
        self.lines: list[str] = []
        self.code: int | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(broker, reader), kwargs=options, daemon=True)
        self.thread.start()

    def _run(self, broker, reader, **options) -> None:
        try:
            self.code = run(broker, reader, self.stop, say=self.lines.append, **options)
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self.stop.set()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()


@contextmanager
def running(broker: Broker, reader: ListReader, **options):
    worker = Running(broker, reader, **options)
    try:
        yield worker
    finally:
        worker.end()
    assert worker.error is None
    assert worker.code == 0


def until(holds, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {WAIT_S:g} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def broker(kafka, kafka_prefix: str) -> Broker:
    described = Broker(kafka.bootstrap, group=kafka_prefix, prefix=kafka_prefix, session_timeout_ms=6_000)
    make(described, 2)
    return described


def make(broker: Broker, partitions: int) -> None:
    specs = [admin.NewTopicSpec(broker.events, partitions, 1), admin.NewTopicSpec(broker.results, 1, 1)]
    admin.create_topics(broker, specs)


@pytest.fixture
def producer(broker: Broker):
    made = Producer(broker)
    yield made
    made.close()


def write(producer: Producer, topic: str, values, partition: int = 0) -> None:
    producer.send(topic, [Outgoing(b"k", value, partition=partition) for value in values])


def values(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


@pytest.mark.slow
def test_everything_is_read_once_and_in_order_while_workers_come_and_go(kafka, kafka_prefix: str, tmp_path: Path) -> None:
    broker = Broker(kafka.bootstrap, group=kafka_prefix, prefix=kafka_prefix)
    make(broker, 4)
    path, count = tmp_path / "seen.db", 3_000
    producer = Producer(broker)
    workers = {}

    def begin(name: str) -> None:
        command = [sys.executable, WORKER, broker.bootstrap, broker.prefix, path, name]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "BROKER_URL": "kafka://127.0.0.1:1"}
        workers[name] = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    def seen_by(name: str) -> int:
        made = path.exists() and query(path, "SELECT name FROM sqlite_master WHERE name = 'seen'")
        return query(path, "SELECT count(*) FROM seen WHERE worker = ?", name)[0][0] if made else 0

    def write_more(first: int) -> None:
        for number in range(4):
            write(producer, broker.events, values(count // 3, first), number)

    try:
        begin("a")
        write_more(0)
        until(lambda: seen_by("a"), "the first worker reads")
        begin("b")
        write_more(count // 3)
        until(lambda: [write(producer, broker.events, [b"more"], number) for number in range(4)] and seen_by("b"), "b reads")
        workers["a"].send_signal(signal.SIGTERM)
        write_more(2 * count // 3)
        assert workers["a"].wait(WAIT_S) == 0
        ends = {number: extent.end for number, extent in admin.extents(broker, broker.events).items()}
        until(lambda: dict(query(path, "SELECT number, next_offset FROM part")) == ends, "the second worker reads the rest")
        workers["b"].send_signal(signal.SIGTERM)
        assert workers["b"].wait(WAIT_S) == 0
    finally:
        producer.close()
        for worker in workers.values():
            worker.kill()
            worker.communicate()
    for number, end in ends.items():
        rows = query(path, "SELECT offset FROM seen WHERE number = ? ORDER BY id", number)
        assert [offset for (offset,) in rows] == list(range(end))
    assert not [made for made in tmp_path.iterdir() if not made.name.startswith("seen.db")]  # Faust leaves no files.


def query(path: Path, text: str, *values) -> list:
    with closing(sqlite3.connect(path, timeout=30)) as database:
        return database.execute(text, values).fetchall()


def test_a_worker_reads_from_where_the_reader_says_and_works_when_nothing_comes(broker: Broker, producer: Producer) -> None:
    write(producer, broker.events, values(10), 0)
    write(producer, broker.events, values(10), 1)
    reader = ListReader()
    reader.next[0] = 7
    with running(broker, reader):
        until(lambda: reader.count() == 13, "both partitions are read")
        works, since = reader.works, time.monotonic()
        until(lambda: reader.works >= works + 20, "the reader is asked to work")
        assert time.monotonic() - since < 20 * 0.5
    assert reader.values == {0: values(3, 7), 1: values(10)}
    assert reader.assignments[-1] == {0: (0, 10), 1: (0, 10)}


def test_records_are_read_again_from_where_the_reader_says(broker: Broker, producer: Producer) -> None:
    reader = ListReader()
    write(producer, broker.events, values(10))
    with running(broker, reader):
        until(lambda: reader.count() == 10, "all is read")
        reader.back = {0: 4}
        write(producer, broker.events, values(1, 10))
        until(lambda: reader.count() == 17, "it is read again")
    assert reader.values[0] == values(10) + values(7, 4)


@pytest.mark.slow
def test_while_the_database_is_away_nothing_is_skipped_and_the_share_is_kept(broker: Broker, producer: Producer) -> None:
    reader = ListReader()
    write(producer, broker.events, values(10))
    with running(broker, reader, watchdog_s=5.0) as worker:
        until(lambda: reader.count() == 10, "all is read")
        time.sleep(2.0)  # The watchdog knows how far.
        reader.failing = 7  # For longer than a session lasts, and than the watchdog waits.
        write(producer, broker.events, values(40, 10))
        until(lambda: reader.count() == 50, "the batch is taken at last")
        write(producer, broker.events, values(50, 50))
        until(lambda: reader.count() == 100, "reading goes on")
        assert reader.revocations == 0
    assert reader.values[0] == values(100)
    assert [line for line in worker.lines if "the database is away" in line]


def test_what_a_transaction_took_back_is_not_delivered(broker: Broker) -> None:
    async def write_in_transactions() -> None:
        transactional = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=broker.group)
        async with transactional:
            for value, keep in ((b"kept", True), (b"taken back", False), (b"kept too", True)):
                await transactional.begin_transaction()
                await transactional.send_and_wait(broker.events, value, partition=0)
                await (transactional.commit_transaction() if keep else transactional.abort_transaction())

    asyncio.run(write_in_transactions())
    reader = ListReader()
    with running(broker, reader):
        until(lambda: reader.count() == 2, "what was committed is read")
        time.sleep(0.5)
    assert reader.values[0] == [b"kept", b"kept too"]
    assert reader.assignments[-1][0] == (0, 6)  # Three records and three marks of their transactions.


def forget(broker: Broker, partition: int, before: int) -> None:
    async def delete() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await client.start()
        try:
            await client.delete_records({TopicPartition(broker.events, partition): RecordsToDelete(before_offset=before)})
        finally:
            await client.close()

    asyncio.run(delete())


def test_an_offset_that_the_log_no_longer_has_is_told(broker: Broker, producer: Producer) -> None:
    for number in (0, 1):
        write(producer, broker.events, values(20), number)
        forget(broker, number, 12)
    reader = ListReader()
    reader.next |= {0: 3, 1: 5}
    with running(broker, reader):
        until(lambda: reader.count() == 16, "what is left is read")
    assert sorted(reader.losses) == [(0, 12, 20), (1, 12, 20)]
    assert reader.values == {0: values(8, 12), 1: values(8, 12)}


def test_a_reader_that_will_not_read_on_after_a_loss_is_left_alone(broker: Broker, producer: Producer) -> None:
    write(producer, broker.events, values(20), 0)
    write(producer, broker.events, values(5), 1)
    reader = ListReader()
    reader.next[0] = 30  # Beyond the end: a log that was put in another's place.

    def stop_reading(partition, earliest, end):
        reader.losses.append((partition.number, earliest, end))

    reader.lost = stop_reading
    with running(broker, reader):
        until(lambda: reader.count() == 5 and reader.losses, "the other partition is read")
        write(producer, broker.events, values(20, 20), 0)
        time.sleep(1.0)
    assert reader.losses == [(0, 0, 20)]
    assert reader.values == {1: values(5)}


def test_a_halted_partition_is_not_read_until_the_reader_resumes_it(broker: Broker, producer: Producer) -> None:
    write(producer, broker.events, values(5), 0)
    write(producer, broker.events, values(5), 1)
    reader = ListReader()
    reader.halted = {1}
    with running(broker, reader):
        until(lambda: reader.count() == 5, "the other partition is read")
        time.sleep(0.5)
        assert reader.values == {0: values(5)}
        reader.moves = {1: 2}
        reader.next[1] = 2
        until(lambda: reader.count() == 8, "the resumed partition is read")
        reader.moves = {0: 1, 1: None}
        reader.next[0] = 1
        until(lambda: reader.count() == 12, "a partition is read again from where the reader says")
        write(producer, broker.events, [b"unread"], 1)
        time.sleep(0.5)
    assert reader.values == {0: values(5) + values(4, 1), 1: values(3, 2)}


def test_a_full_reader_is_given_nothing_more_and_others_go_on(broker: Broker, producer: Producer) -> None:
    reader = ListReader()
    reader.full = {1}
    write(producer, broker.events, values(30), 0)
    write(producer, broker.events, values(30), 1)
    with running(broker, reader):
        until(lambda: len(reader.values[0]) == 30, "the partition that is wanted is read")
        write(producer, broker.events, values(30, 30), 0)
        until(lambda: len(reader.values[0]) == 60, "and goes on being read")
        assert not reader.values[1]
        reader.full = set()
        until(lambda: len(reader.values[1]) == 30, "the other follows when there is room")


def test_results_reach_their_agent_once_acknowledged_beside_the_events(broker: Broker, producer: Producer) -> None:
    got: list[bytes] = []
    failing = [busy(), busy()]

    def on_result(value: bytes) -> None:
        if failing:
            raise failing.pop()
        got.append(value)

    reader = ListReader()
    write(producer, broker.results, values(3))
    write(producer, broker.events, values(3))
    with running(broker, reader, on_result=on_result):
        until(lambda: len(got) == 3 and reader.count() == 3, "results and events are read")
        write(producer, broker.results, values(2, 3))
        until(lambda: len(got) == 5, "results that come later are read")
    assert got == values(5)
    write(producer, broker.results, values(1, 5))
    with running(broker, reader, on_result=on_result):
        until(lambda: len(got) == 6, "the next worker reads on")
        time.sleep(0.5)
    assert got == values(6)


def test_a_result_that_cannot_be_dealt_with_ends_the_worker_unacknowledged(broker: Broker, producer: Producer) -> None:
    def refuse(value: bytes) -> None:
        raise ValueError(value)

    write(producer, broker.results, [b"broken"])
    worker = Running(broker, ListReader(), on_result=refuse)
    until(lambda: not worker.thread.is_alive(), "the worker ends")
    assert repr(worker.error) == repr(ValueError(b"broken"))
    got: list[bytes] = []
    with running(broker, ListReader(), on_result=got.append):
        until(lambda: got == [b"broken"], "the next worker is given it again")


@pytest.mark.slow
def test_a_topic_made_anew_in_the_place_of_another_is_told(broker: Broker, producer: Producer) -> None:
    reader = ListReader()
    write(producer, broker.events, values(40))
    with running(broker, reader):
        until(lambda: reader.count() == 40, "the first topic is read")
        assignments = len(reader.assignments)
        admin.delete_topics(broker, [broker.events])
        until(lambda: broker.events not in admin.topics(broker), "the topic is gone")
        make(broker, 2)
        until(lambda: len(reader.assignments) > assignments or reader.losses, "the reader is told")
        if reader.losses:
            assert (0, 0, 0) in reader.losses
        else:
            assert any(told.get(0) == (0, 0) or not told for told in reader.assignments[assignments:])


def test_what_the_reader_cannot_deal_with_ends_the_worker(broker: Broker, producer: Producer) -> None:
    reader = ListReader()
    reader.error = ValueError("a bug")
    write(producer, broker.events, values(1))
    worker = Running(broker, reader)
    until(lambda: not worker.thread.is_alive(), "the worker ends")
    assert worker.error is reader.error


def test_a_worker_that_stands_still_gives_up(broker: Broker, producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "POLL_RECORDS", 2)
    reader = ListReader()
    reader.stuck = {0}
    write(producer, broker.events, values(5), 0)
    write(producer, broker.events, values(5), 1)
    worker = Running(broker, reader, watchdog_s=3.0)
    until(lambda: not worker.thread.is_alive(), "the worker gives up")
    assert (worker.code, worker.error) == (GIVEN_UP, None)
    assert [line for line in worker.lines if line.startswith(f"giving up: {broker.events}/0 has more")]


@pytest.mark.slow
def test_a_worker_whose_reader_wants_nothing_for_a_while_does_not_give_up(broker: Broker, producer: Producer) -> None:
    reader = ListReader()
    reader.full = {0}
    write(producer, broker.events, values(5), 0)
    with running(broker, reader, watchdog_s=2.0):
        time.sleep(5.0)
        assert reader.count() == 0
        reader.full = set()
        until(lambda: reader.count() == 5, "it is read when it is wanted")


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_header_whose_name_is_not_utf_8_costs_its_neighbours_nothing(broker: Broker, compression: str | None) -> None:
    reader = ListReader()
    builder, codec = DefaultRecordBatchBuilder, 1 if compression else 0

    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, compression_type=compression) as producer:
            for first in (0, 3, 6):
                batch = producer.create_batch()
                batch._builder = builder(2, codec, 0, -1, -1, 0, 1 << 20)  # The one in C cannot write such a name.
                for number in range(first, first + 3):
                    name = Latin1("caf\xe9") if number in {1, 4, 5} else "caf\xe9"
                    batch.append(key=None, value=b"%d" % number, timestamp=None, headers=[(name, b"1"), ("none", None)])
                await (await producer.send_batch(batch, broker.events, partition=0))

    asyncio.run(produce())
    with running(broker, reader):
        until(lambda: reader.count() == 9, "all is read")
    assert (reader.values[0], reader.offsets[0]) == (values(9), list(range(9)))
    assert not reader.losses


class Latin1(str):
    """A name as a producer writes it that knows nothing of UTF-8."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1")


@pytest.mark.slow
def test_a_worker_at_the_end_of_its_log_does_not_give_up(broker: Broker, producer: Producer) -> None:
    reader = ListReader()
    write(producer, broker.events, values(5), 0)
    with running(broker, reader, watchdog_s=2.0):
        until(lambda: reader.count() == 5, "all is read")
        time.sleep(5.0)


def test_no_broker_is_an_error_that_says_so() -> None:
    worker = Running(Broker("127.0.0.1:1"), ListReader())
    until(lambda: not worker.thread.is_alive(), "the worker ends")
    assert isinstance(worker.error, BrokerUnreachableError)
    assert worker.error.code == "broker.unreachable"
