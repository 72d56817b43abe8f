"""Whether a broker keeps guardian's topics as `engine.topics` says, and which of them are to be made.

Takes what the broker said and what the store has counted. Gives findings and rows. Never: speaks to a broker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardian.engine.findings import fail, ok, warn
from guardian.engine.topics import EVENTS, REPLICATION, SPECS, TIMESTAMP_TYPE, TopicSpec, full_name
from guardian.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from guardian.engine.findings import Finding

UNLIMITED: Final = -1  # As brokers write it.


@dataclass(frozen=True, slots=True)
class TopicFound:
    """A topic as the broker has it.

    Attributes:
        partitions: How many.
        replication: Copies of the partition that has the fewest.
        config: The settings in force, by name.
    """

    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a check is made against.

    Attributes:
        prefix: What the names of topics begin with.
        servers: The broker's addresses, for commands to copy.
        brokers: How many there are.
        counted: Partitions of the events' topic that the store counts; 0 where it counts none so far.
    """

    prefix: str
    servers: str
    brokers: int
    counted: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """One topic of a plan: as it is to be made, or as it is.

    Attributes:
        spec: What it is for.
        name: At the broker.
        exists: Whether it is there already; it is then left alone.
        partitions: How many.
        replication: Copies of each.
    """

    spec: TopicSpec
    name: str
    exists: bool
    partitions: int
    replication: int


def plan(cluster: Cluster, found: Mapping[str, TopicFound], partitions: int | None, replication: int | None) -> list[Planned]:
    """Return every topic, those that are missing as they are to be made.

    Args:
        cluster: Where.
        found: The topics that exist, by name.
        partitions: Of the events' topic; None: as many as the store counts, else its default.
        replication: Copies of each partition; None: as many as there are brokers, at most REPLICATION.
    """
    copies = replication or min(REPLICATION, cluster.brokers)
    topics = []
    for spec in SPECS:
        name = full_name(cluster.prefix, spec.name)
        if name in found:
            topics.append(Planned(spec, name, True, found[name].partitions, found[name].replication))
        else:
            wanted = (partitions or cluster.counted or spec.partitions) if spec.name == EVENTS else spec.partitions
            topics.append(Planned(spec, name, False, wanted, copies))
    return topics


def check_topics(cluster: Cluster, found: Mapping[str, TopicFound]) -> Iterator[Finding]:
    """Yield what is to be said of every topic: that it is well, or everything that is not."""
    for spec in SPECS:
        name = full_name(cluster.prefix, spec.name)
        check = f"topic {name}"
        topic = found.get(name)
        if topic is None:
            yield fail(check, "it does not exist", "run guardian topics create")
            continue
        flaws = [flaw for look in _LOOKS for flaw in look(_Look(check, spec, name, topic, cluster))]
        yield from flaws or [ok(check, _as_it_is(topic))]


def refused_time(topic: TopicFound, at: int, now: int) -> str:
    """Say why records of this time would not stay in a topic; empty where they would.

    Args:
        topic: Where they are to go.
        at: The time that they are to have, UTC milliseconds.
        now: The wall clock, UTC milliseconds.

    >>> topic = TopicFound(1, 1, {"retention.ms": "86400000", "message.timestamp.after.max.ms": "3600000"})
    >>> refused_time(topic, 0, 86_400_000), refused_time(topic, 3_600_001, 0)
    ('', 'the broker takes none that are more than 1h ahead of it')
    >>> refused_time(topic, 0, 86_400_001)
    'the broker deletes what is older than 1d by its time'
    """
    kept, ahead = (int(topic.config.get(name, UNLIMITED)) for name in ("retention.ms", "message.timestamp.after.max.ms"))
    if kept != UNLIMITED and at < now - kept:
        return f"the broker deletes what is older than {format_duration(kept)} by its time"
    if ahead != UNLIMITED and at > now + ahead:
        return f"the broker takes none that are more than {format_duration(ahead)} ahead of it"
    return ""


@dataclass(frozen=True, slots=True)
class _Look:
    check: str
    spec: TopicSpec
    name: str
    topic: TopicFound
    cluster: Cluster

    def number(self, setting: str) -> int:
        return int(self.topic.config[setting])

    def alter(self, setting: str, value: object) -> str:
        where = f"--bootstrap-server {self.cluster.servers} --entity-type topics --entity-name {self.name}"
        return f"kafka-configs.sh {where} --alter --add-config {setting}={value}"


def _partitions(look: _Look) -> Iterator[Finding]:
    here, counted = look.topic.partitions, look.cluster.counted
    if look.spec.name == EVENTS and counted and here != counted:
        what = f"it has {here} partitions, and guardian counts {counted}: an id's events meet no longer"
        hint = "set topic_prefix to a new name, run guardian topics create, and let producers send there"
        yield fail(look.check, what, hint)
    if look.spec.direction == "out" and here != look.spec.partitions:
        what = f"it has {here} partitions: order holds for each model alone, and no partition shows whether something is missing"
        yield warn(look.check, what, "make it anew with one partition where a subscriber relies on the sequence")


def _retention(look: _Look) -> Iterator[Finding]:
    kept, wanted = look.number("retention.ms"), look.spec.retention_ms
    if kept != UNLIMITED and kept < wanted:
        what = f"it keeps {format_duration(kept)}, and {format_duration(wanted)} are needed to be sure that all is read"
        yield fail(look.check, what, look.alter("retention.ms", wanted))
    if look.number("retention.bytes") != UNLIMITED:
        what = "it is cut by size as well, so nobody can say for how long it keeps"
        yield warn(look.check, what, look.alter("retention.bytes", UNLIMITED))


def _cleanup(look: _Look) -> Iterator[Finding]:
    if look.topic.config["cleanup.policy"] != look.spec.cleanup:
        what = f"its cleanup is {look.topic.config['cleanup.policy']}: compaction loses all but the last record of a key"
        yield fail(look.check, what, look.alter("cleanup.policy", look.spec.cleanup))


def _timestamps(look: _Look) -> Iterator[Finding]:
    kind = look.topic.config["message.timestamp.type"]
    if look.spec.name == EVENTS and kind != TIMESTAMP_TYPE:
        what = f"its timestamps are {kind}: a backfill cannot say when its events were received"
        yield fail(look.check, what, look.alter("message.timestamp.type", TIMESTAMP_TYPE))


def _copies(look: _Look) -> Iterator[Finding]:
    copies, wanted = look.topic.replication, min(REPLICATION, look.cluster.brokers)
    if copies < wanted:
        hint = f"raise it to {wanted} with kafka-reassign-partitions.sh"
        yield fail(look.check, f"it has {copies} copies on {look.cluster.brokers} brokers: one disk can lose it", hint)
    least, must = look.number("min.insync.replicas"), look.spec.min_insync(copies)
    if least < must:
        what = f"a record counts as sent with {least} of {copies} copies: what guardian was told is kept can be lost"
        yield fail(look.check, what, look.alter("min.insync.replicas", must))
    elif least > must:
        what = f"a record needs {least} of {copies} copies: nothing can be sent while a broker is away"
        yield warn(look.check, what, look.alter("min.insync.replicas", must))


def _sizes(look: _Look) -> Iterator[Finding]:
    most = look.number("max.message.bytes")
    if most < look.spec.bytes_max:
        what = f"it takes records of {most:,} bytes, and {look.spec.bytes_max:,} can come"
        yield fail(look.check, what, look.alter("max.message.bytes", look.spec.bytes_max))


_LOOKS: Final[tuple[Callable[[_Look], Iterator[Finding]], ...]] = (
    _partitions, _retention, _cleanup, _timestamps, _copies, _sizes
)  # fmt: skip


def _as_it_is(topic: TopicFound) -> str:
    kept = int(topic.config["retention.ms"])
    span = "for ever" if kept == UNLIMITED else format_duration(kept)
    return f"partitions: {topic.partitions}, copies: {topic.replication}, kept: {span}"
