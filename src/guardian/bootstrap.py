"""Composition root: which adapters a process runs with. Everything heavy is imported when it is asked for."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from guardian.errors import NotFoundError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from guardian.adapters.kafka.connection import Broker
    from guardian.adapters.sql.database import Database
    from guardian.adapters.sql.reader import Reader
    from guardian.adapters.sql.store import SqlStore
    from guardian.catalog.model_file import ModelFile
    from guardian.config import Home, Settings
    from guardian.engine.audit_port import AuditLog
    from guardian.engine.engine import Engine
    from guardian.engine.fleet import Fleet
    from guardian.engine.governor import Governor
    from guardian.engine.ports import Log, LogReader
    from guardian.engine.relay import Parcel
    from guardian.engine.service import Service
    from guardian.engine.worker import Worker
    from guardian.panes.windows import Reference
    from guardian.policies.load import PolicySet

INBOX: Final = "inbox"  # The embedded engine's one topic.


def open_database(home: Home) -> Database:
    """Open the home's database, which must have this release's schema: the one its settings name, else the home's file.

    Raises NotFoundError when there is none; SchemaError when it must be upgraded first; StoreBusyError when it cannot be reached.
    """
    from guardian.adapters.sql import schema
    from guardian.adapters.sql.database import Database
    from guardian.config import Settings

    url = Settings.load(home).database
    if not url and not home.database.is_file():
        raise NotFoundError(f"there is no database in {home.root}", hint="run guardian init, or name the directory with --home")
    database = Database.at_url(url) if url else Database.at(home.database)
    try:
        schema.check(database)
    except BaseException:
        database.close()
        raise
    return database


def upgrade_database(home: Home) -> str:
    """Make the home's database, or bring it to this release's schema; return the revision."""
    from guardian.adapters.sql import schema
    from guardian.adapters.sql.database import Database
    from guardian.config import Settings

    url = Settings.load(home).database
    with closing(Database.at_url(url) if url else Database.at(home.database)) as database:
        return schema.upgrade(database)


def open_store(home: Home) -> SqlStore:
    """Return the store, the leases and the job runs of a home; behind failpoints where the environment asks for them."""
    from guardian.adapters.failpoints import with_failpoints
    from guardian.adapters.sql.store import SqlStore

    store: SqlStore = with_failpoints(SqlStore(open_database(home)))
    return store


def open_log(home: Home) -> Log:
    """Return the embedded engine's log."""
    from guardian.adapters.sql.inbox import SqlInbox

    return SqlInbox(open_database(home))


def open_audit_log(home: Home) -> AuditLog:
    """Return the audit log, for reading and signing."""
    from guardian.adapters.sql.audit_log import SqlAuditLog

    return SqlAuditLog(open_database(home))


def open_reader(home: Home) -> Reader:
    """Return what `guardian get` reads."""
    from guardian.adapters.sql.reader import Reader

    return Reader(open_database(home))


class TableReferences:
    """References from the tables that model files name, in a home directory."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def source(self, model: ModelFile) -> str | None:
        """Return the digest of the table's bytes."""
        from guardian.adapters.home.files import digest_of_file, table_path

        if model.spec.reference is None:
            return None
        return digest_of_file(table_path(self._home.root, model.spec.reference.uri))

    def build(self, model: ModelFile) -> Reference:
        """Read the table and fold it into a reference."""
        from guardian.adapters.home.files import table_path
        from guardian.adapters.tables.table import read_columns
        from guardian.pipeline.reference import Table, build

        spec = model.spec
        if spec.reference is None:
            raise NotFoundError(f"{model.name} names no reference", hint="add spec.reference to the model file")
        names = spec.reference_columns
        wanted = [
            *spec.column_names,
            names.prediction,
            *((names.score,) if names.score else ()),
            *((names.label,) if spec.labels else ()),
        ]
        columns = read_columns(table_path(self._home.root, spec.reference.uri), list(dict.fromkeys(wanted)))
        return build(
            model,
            Table(
                columns={name: columns[name] for name in spec.column_names},
                predictions=columns[names.prediction],
                scores=columns[names.score] if names.score else None,
                labels=columns[names.label] if spec.labels else None,
            ),
        )


def read_files(home: Home) -> PolicySet:
    """Return the home's model and policy files. Raises InvalidFileError with every mistake."""
    from guardian.adapters.home.files import read_policies
    from guardian.policies.load import load_set

    return load_set(read_policies(home.policies))


def open_engine(home: Home, store: SqlStore, owner: str) -> Engine:
    """Claim the home's partition and load its state."""
    from guardian.adapters.analysis.fairness_table import group_table
    from guardian.adapters.clock import wall_clock
    from guardian.engine.engine import Engine
    from guardian.engine.ports import Partition

    return Engine(store, open_log(home), Partition(INBOX, 0), owner, now=wall_clock, group_table=group_table)


def open_service(home: Home, say: Callable[[str], None]) -> Service:
    """Return the whole embedded service of a home, ready to run."""
    from guardian.adapters.clock import wall_clock
    from guardian.adapters.process import is_gone, own_name
    from guardian.adapters.schedule import Schedule
    from guardian.config import Settings
    from guardian.engine.service import Pace, Service, World

    settings = Settings.load(home)
    owner = own_name()
    store = open_store(home)
    world = World(
        store=store,
        files=lambda: read_files(home),
        references=TableReferences(home),
        checkpoint=lambda: take_checkpoint(home),
        now=wall_clock,
        say=say,
        is_gone=is_gone,
    )
    pace = Pace(settings.batch_events, settings.poll_ms, settings.tick_every_ms, settings.checkpoint_every_ms)
    return Service(open_engine(home, store, owner), world, Schedule(), owner, pace)


def take_checkpoint(home: Home) -> str:
    """Sign the audit log's heads now, store the checkpoint, and say so."""
    from guardian.adapters.clock import wall_clock
    from guardian.adapters.keys.files import read_signing_key
    from guardian.adapters.sql.audit_log import SqlAuditLog
    from guardian.audit.signing import log_name
    from guardian.engine.audit_signing import take_checkpoint as sign

    with closing(open_database(home)) as database:
        log = SqlAuditLog(database)
        signed = sign(log, read_signing_key(home.private_key, log_name(log.log_id())), wall_clock())
    return f"signed {signed.records:,} audit records in {len(signed.checkpoints)} streams"


def make_home(home: Home) -> None:
    """Make a home directory: settings, an empty database, and a signing key. What is there already is kept."""
    from guardian.adapters.keys.files import create_key_pair
    from guardian.adapters.sql.audit_log import SqlAuditLog
    from guardian.audit.signing import log_name
    from guardian.config import write_default

    for directory in (home.root, home.policies, home.data):
        directory.mkdir(parents=True, exist_ok=True)
    if not home.settings.exists():
        write_default(home)
    upgrade_database(home)
    if not home.private_key.exists():
        with closing(open_database(home)) as database:
            create_key_pair(home.private_key, home.public_key, log_name(SqlAuditLog(database).log_id()))


def broker_of(settings: Settings) -> Broker:
    """Return where the broker is and how to talk to it."""
    from guardian.adapters.kafka.connection import Broker

    return Broker(
        bootstrap=settings.broker,
        group=settings.group,
        prefix=settings.topic_prefix,
        session_timeout_ms=settings.session_timeout_ms,
        security=settings.broker_security,  # type: ignore[arg-type]  # the setting's pattern allows no other
        mechanism=settings.broker_mechanism,
        user=settings.broker_user,
        password=settings.broker_password,
        ca=settings.broker_ca,
    )


def partitions_of_log(home: Home) -> tuple[Settings, int]:
    """Return a home's settings and how many partitions the topic of events has. Raises NotFoundError where it does not exist."""
    from guardian.adapters.kafka import admin
    from guardian.config import Settings

    settings = Settings.load(home)
    broker = broker_of(settings)
    count = admin.partitions(broker, broker.events)
    if not count:
        raise NotFoundError(f"there is no topic {broker.events} at {broker.bootstrap}", hint="run guardian topics create")
    return settings, count


@contextmanager
def open_worker(home: Home, role: str, say: Callable[[str], None]) -> Iterator[Worker]:
    """Give a process of a fleet, ready to run: `count`, `judge`, or `all` of it.

    Raises NotFoundError where there is no database or no topic; UnreachableError.
    """
    from functools import partial

    from guardian.adapters.clock import wall_clock
    from guardian.adapters.kafka import admin
    from guardian.adapters.kafka.log import CONTENT_TYPE
    from guardian.adapters.kafka.producer import Outgoing, Producer
    from guardian.adapters.process import own_name
    from guardian.adapters.sql.audit_log import SqlAuditLog
    from guardian.engine.lease import Holding
    from guardian.engine.relay import LEASE, Relay
    from guardian.engine.worker import Duties, Worker

    settings, count = partitions_of_log(home)
    broker, owner = broker_of(settings), own_name()
    with closing(open_store(home)) as store, closing(Producer(broker)) as producer:
        store.ensure_partitions(broker.events, count)

        def send(topic: str, parcels: Sequence[Parcel]) -> None:
            records = [Outgoing(parcel.key.encode() or None, parcel.value, CONTENT_TYPE) for parcel in parcels]
            producer.send(f"{broker.prefix}.{topic}", records)

        counts, judges = role in {"all", "count"}, role in {"all", "judge"}
        holding = Holding(store, LEASE, owner, wall_clock)
        relay = Relay(store, SqlAuditLog(store.database), send, broker.events, holding, wall_clock)
        duties = Duties(
            store=store,
            topic=broker.events,
            fleet=_fleet(store, settings, count, owner) if counts else None,
            consume=partial(_consume, settings, store, say),
            turns={"judge": _governor(home, settings, store, owner, say), "relay": relay} if judges else {},
            ends=lambda counted: admin.ends_to_count(broker, broker.events, counted),
            pause_ms=settings.judge_every_ms,
            now=wall_clock,
            say=say,
        )
        yield Worker(duties)


def _fleet(store: SqlStore, settings: Settings, count: int, owner: str) -> Fleet:
    from guardian.adapters.clock import wall_clock
    from guardian.engine.fleet import Fleet
    from guardian.engine.partition_reader import Pace
    from guardian.events.placement import Placement

    def placement_of(number: int) -> Placement | None:
        return None if settings.partitioner == "none" else Placement(settings.partitioner, count, number)  # type: ignore[arg-type]

    pace = Pace(settings.batch_events, settings.batch_wait_ms)
    return Fleet(store, owner, pace=pace, tick_every_ms=settings.tick_every_ms, placement_of=placement_of, now=wall_clock)


def _governor(home: Home, settings: Settings, store: SqlStore, owner: str, say: Callable[[str], None]) -> Governor:
    from guardian.adapters.analysis.fairness_table import group_table
    from guardian.adapters.clock import wall_clock
    from guardian.engine.governor import Governor, Rules

    rules = Rules(
        files=lambda: read_files(home),
        references=TableReferences(home),
        group_table=group_table,
        checkpoint=lambda: take_checkpoint(home),
        files_every_ms=settings.tick_every_ms,
        checkpoint_every_ms=settings.checkpoint_every_ms,
        now=wall_clock,
        say=say,
    )
    return Governor(store, broker_of(settings).events, owner, rules)


def _consume(settings: Settings, store: SqlStore, say: Callable[[str], None], reader: LogReader, stop: threading.Event) -> int:
    from guardian.adapters.clock import wall_clock
    from guardian.adapters.kafka.app import run
    from guardian.engine.results import take_result

    return run(
        broker_of(settings),
        reader,
        stop,
        say=say,
        on_result=lambda value: take_result(store, value, wall_clock, say),
        watchdog_s=settings.watchdog_ms / 1_000,
    )
