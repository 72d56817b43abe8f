"""guardian's topics as data: what each carries, and how a broker is to keep it. The one place that says so.

The names in here are without prefix; `full_name` puts it before them. Takes and gives plain values. Never: speaks to a broker.

What every topic has in common:

* `message.timestamp.type` stays `CreateTime`. The time at which an event was *received* is its record's timestamp, and whoever
  sends it says it: a backfill with `guardian emit --as-of` sets it, where `LogAppendTime` would overwrite it. A broker deletes by
  that same timestamp, so an `--as-of` older than the retention is refused, and it takes none that is far (by default an hour) in
  the future.
* Nothing is compacted. Compaction keeps the last record of a key: of an id's prediction and its label, the label alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from guardian.audit.leaf import RECORD_BYTES_MAX
from guardian.events.envelope import EVENT_BYTES_MAX, LABEL_TYPE, PREDICTION_TYPE
from guardian.events.halves import INFERENCE_TYPE, REQUEST_TYPE, RESPONSE_TYPE
from guardian.events.unwrap import ARROW, BATCH, STRUCTURED
from guardian.pipeline.consequences import ALERT_TOPIC, ALERT_TYPE, RETRAINING_TOPIC, RETRAINING_TYPE
from guardian.units import DAY_MS

JSON: Final = "application/json"  # Of a binary event: its data alone, the envelope in `ce_` headers.

EVENTS: Final = "events"
RESULTS: Final = "retraining.results"
AUDIT: Final = "audit"
DEADLETTER: Final = "deadletter"

COMPLETED_TYPE: Final = "io.guardian.retraining.completed.v1"
RECORD_TYPE: Final = "io.guardian.audit.record.v1"
CHECKPOINT_TYPE: Final = "io.guardian.audit.checkpoint.v1"
DEADLETTER_TYPE: Final = "io.guardian.deadletter.v1"

TIMESTAMP_TYPE: Final = "CreateTime"
REPLICATION: Final = 3  # Where there are as many brokers: one may fail while another is being mended.
_ENVELOPE_BYTES: Final = 64 << 10  # Room for attributes, headers and a record batch's frame around the data.

Direction = Literal["in", "out"]
Cleanup = Literal["delete", "compact"]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic.

    Attributes:
        name: Without prefix.
        direction: `in` is read by guardian, `out` is written by it.
        what: One sentence: what it carries.
        key: What a record's key is.
        partitions: How many it is made with. Of `events` it can never be changed: an id's events would meet no longer.
        retention_ms: How long the broker keeps a record after its timestamp.
        cleanup: What happens then.
        bytes_max: The largest record (batch) that it must take.
        formats: Content types.
        types: CloudEvents types.
    """

    name: str
    direction: Direction
    what: str
    key: str
    partitions: int
    retention_ms: int
    bytes_max: int
    formats: tuple[str, ...]
    types: tuple[str, ...]
    cleanup: Cleanup = "delete"

    def min_insync(self, replication: int) -> int:
        """Return how many copies must exist before a record counts as sent: half of them, so that one broker may be away.

        >>> [SPECS[0].min_insync(n) for n in (1, 2, 3, 5)]
        [1, 1, 2, 3]
        """
        return (replication + 1) // 2

    def config(self, replication: int) -> dict[str, str]:
        """Return the topic's configuration as a broker takes it."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "retention.bytes": "-1",  # By size alone nobody could say how long a worker may be away.
            "min.insync.replicas": str(self.min_insync(replication)),
            "message.timestamp.type": TIMESTAMP_TYPE,
            "max.message.bytes": str(self.bytes_max),
        }


# Twelve can be shared evenly by 1, 2, 3, 4, 6 or 12 workers.
EVENT_PARTITIONS: Final = 12
# Workers may be down unseen over the longest holidays (ten days or so), and then somebody must mend them: what the broker deletes
# before it is counted is lost, and only the audit log says so.
EVENT_RETENTION_MS: Final = 14 * DAY_MS
# A batch of events in Arrow or JSON; one event alone has at most EVENT_BYTES_MAX.
EVENT_RECORD_BYTES_MAX: Final = 8 * EVENT_BYTES_MAX
# What goes out is in the database too, and has one partition: `sequence` is gapless in its topic, so whoever reads one partition
# sees at once that nothing is missing.
_OUT_PARTITIONS: Final = 1

SPECS: Final = (
    TopicSpec(
        EVENTS,
        "in",
        "What models said of their cases, and what turned out to be true.",
        "the prediction's id, for a label as for the prediction itself; the call's id of what a model server logs",
        EVENT_PARTITIONS,
        EVENT_RETENTION_MS,
        EVENT_RECORD_BYTES_MAX,
        (STRUCTURED, JSON, BATCH, ARROW),
        (PREDICTION_TYPE, LABEL_TYPE, INFERENCE_TYPE, REQUEST_TYPE, RESPONSE_TYPE),
    ),
    TopicSpec(
        RESULTS,
        "in",
        "What became of the trainings that guardian asked for.",
        "the model",
        _OUT_PARTITIONS,
        EVENT_RETENTION_MS,
        EVENT_BYTES_MAX + _ENVELOPE_BYTES,
        (STRUCTURED, JSON),
        (COMPLETED_TYPE,),
    ),
    TopicSpec(
        ALERT_TOPIC,
        "out",
        "Alerts that opened, closed, changed or were taken back.",
        "the model",
        _OUT_PARTITIONS,
        90 * DAY_MS,
        EVENT_BYTES_MAX + _ENVELOPE_BYTES,
        (STRUCTURED,),
        (ALERT_TYPE,),
    ),
    TopicSpec(
        RETRAINING_TOPIC,
        "out",
        "Retraining that is asked for or approved.",
        "the model",
        _OUT_PARTITIONS,
        90 * DAY_MS,
        EVENT_BYTES_MAX + _ENVELOPE_BYTES,
        (STRUCTURED,),
        (RETRAINING_TYPE,),
    ),
    TopicSpec(
        AUDIT,
        "out",
        "Every audit record and every signed checkpoint: a copy outside the database, which a witness can keep.",
        "the model; empty where a record is about none",
        _OUT_PARTITIONS,
        366 * DAY_MS,
        RECORD_BYTES_MAX + _ENVELOPE_BYTES,
        (STRUCTURED,),
        (RECORD_TYPE, CHECKPOINT_TYPE),
    ),
    TopicSpec(
        DEADLETTER,
        "out",
        "Events that could not be counted, with the reason.",
        "the model; empty where the event names none",
        _OUT_PARTITIONS,
        30 * DAY_MS,
        EVENT_BYTES_MAX + _ENVELOPE_BYTES,
        (STRUCTURED,),
        (DEADLETTER_TYPE,),
    ),
)


def full_name(prefix: str, topic: str) -> str:
    """Return a topic's name at the broker.

    >>> full_name("guardian", EVENTS)
    'guardian.events'
    """
    return f"{prefix}.{topic}"
