"""What commands ask of a broker: its topics, how they stand against what is counted, and to take events in."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from guardian.bootstrap import broker_of, open_store
from guardian.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardian.config import Home, Settings
    from guardian.engine.emit import Intake
    from guardian.engine.findings import Finding
    from guardian.engine.ports import Standing
    from guardian.engine.topic_check import Cluster, Planned, TopicFound


def look_at_topics(settings: Settings, counted: int) -> tuple[Cluster, dict[str, TopicFound]]:
    """Return the cluster and guardian's topics as the broker has them, by name; `counted` partitions are counted by the store.

    Raises BrokerUnreachableError.
    """
    from guardian.adapters.kafka import admin
    from guardian.engine.topic_check import Cluster
    from guardian.engine.topics import SPECS, full_name

    broker = broker_of(settings)
    cluster = Cluster(settings.topic_prefix, settings.broker, admin.brokers(broker), counted)
    return cluster, admin.describe(broker, [full_name(settings.topic_prefix, spec.name) for spec in SPECS])


def make_topics(settings: Settings, planned: list[Planned]) -> None:
    """Make the topics of a plan that do not exist. Raises BrokerUnreachableError; BrokerRefusedError."""
    from guardian.adapters.kafka import admin

    missing = [
        admin.NewTopicSpec(topic.name, topic.partitions, topic.replication, topic.spec.config(topic.replication))
        for topic in planned
        if not topic.exists
    ]
    if missing:
        admin.create_topics(broker_of(settings), missing)


@contextmanager
def open_kafka_log(settings: Settings, as_of: int | None, *, in_bulk: bool) -> Iterator[Intake]:
    """Give the topic of events as a log that takes events in, one a record or many, and disconnect afterwards.

    Raises NotFoundError where the topic does not exist; UsageError where what is received `as_of` would not stay in it;
    BrokerUnreachableError.
    """
    from guardian.adapters.clock import wall_clock
    from guardian.adapters.kafka import admin
    from guardian.adapters.kafka.arrow_log import ArrowLog
    from guardian.adapters.kafka.log import KafkaLog
    from guardian.adapters.kafka.producer import Producer
    from guardian.engine.topic_check import refused_time

    broker = broker_of(settings)
    found = admin.describe(broker, [broker.events])
    if broker.events not in found:
        raise NotFoundError(f"there is no topic {broker.events} at {broker.bootstrap}", hint="run guardian topics create")
    why = "" if as_of is None else refused_time(found[broker.events], as_of, wall_clock())
    if why:
        raise UsageError(f"events cannot be received then: {why}", hint="leave --as-of out, or change the topic's retention")
    partitioner = "murmur2" if settings.partitioner == "none" else settings.partitioner  # Not checked, so any will do.
    with closing(Producer(broker, partitioner=partitioner)) as producer:
        yield ArrowLog(producer, broker.events, partitioner) if in_bulk else KafkaLog(broker, producer, broker.events)


def standings_of(home: Home, settings: Settings) -> list[Standing]:
    """Return where the partitions of the events' topic stand; none where none is counted, or there is no database yet."""
    from guardian.engine.topics import EVENTS, full_name

    try:
        store = open_store(home)
    except NotFoundError:
        return []
    with closing(store):
        return store.standings(full_name(settings.topic_prefix, EVENTS))


def topic_findings(settings: Settings, standings: list[Standing]) -> Iterator[Finding]:
    """Yield what is found of the topics, and of the partitions that are counted. Raises BrokerUnreachableError."""
    from guardian.adapters.kafka import admin
    from guardian.engine.partition_check import check_partitions
    from guardian.engine.topic_check import check_topics

    broker = broker_of(settings)
    cluster, found = look_at_topics(settings, len(standings))
    yield from check_topics(cluster, found)
    if broker.events in found:
        extents = {number: (each.earliest, each.end) for number, each in admin.extents(broker, broker.events).items()}
        yield from check_partitions(standings, extents, settings.batch_events)
