"""Topics of a real broker, and the log of events upon them."""

from __future__ import annotations

import pytest

from guardian.adapters.clock import wall_clock
from guardian.adapters.kafka import admin
from guardian.adapters.kafka.connection import Broker, BrokerRefusedError, BrokerUnreachableError
from guardian.adapters.kafka.log import KafkaLog, key_of
from guardian.adapters.kafka.producer import Producer
from guardian.engine.emit import EmitReport, emit
from guardian.engine.topics import SPECS, full_name
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction


@pytest.fixture
def broker(kafka, kafka_prefix: str) -> Broker:
    return Broker(kafka.bootstrap, group=kafka_prefix, prefix=kafka_prefix)


def test_topics_are_made_once_as_described_and_told_with_what_is_in_them(broker: Broker) -> None:
    assert admin.partitions(broker, broker.events) == 0
    assert admin.describe(broker, [broker.events]) == {}
    wanted = [admin.NewTopicSpec(full_name(broker.prefix, spec.name), spec.partitions, 1, spec.config(1)) for spec in SPECS]
    assert admin.create_topics(broker, wanted) == [spec.name for spec in wanted]
    assert admin.create_topics(broker, wanted) == []
    found = admin.describe(broker, [spec.name for spec in wanted] + [f"{broker.prefix}.none"])
    assert {name: (topic.partitions, topic.replication) for name, topic in found.items()} == {
        spec.name: (spec.partitions, 1) for spec in wanted
    }
    for spec in wanted:
        assert found[spec.name].config.items() >= spec.configs.items()
    assert admin.partitions(broker, broker.events) == admin.topics(broker)[broker.events] == wanted[0].partitions
    assert admin.extents(broker, broker.events) == {number: admin.Extent(0, 0) for number in range(wanted[0].partitions)}
    admin.delete_topics(broker, [broker.events, f"{broker.prefix}.none"])
    assert admin.partitions(broker, broker.events) == 0


def test_what_the_broker_will_not_do_is_said(broker: Broker) -> None:
    with pytest.raises(BrokerRefusedError, match="there is no topic"):
        admin.extents(broker, f"{broker.prefix}.none")
    with pytest.raises(BrokerRefusedError, match="InvalidReplicationFactor"):
        admin.create_topics(broker, [admin.NewTopicSpec(broker.events, 1, 9)])
    with pytest.raises(BrokerUnreachableError, match=r"broker\.unreachable"):
        admin.topics(Broker("127.0.0.1:1"))
    with pytest.raises(BrokerUnreachableError, match="no answer within"):
        admin.topics(broker, timeout_s=0.0)


def test_certificates_that_cannot_be_read_are_an_error_of_their_own() -> None:
    with pytest.raises(BrokerUnreachableError, match="no-such-file"):
        admin.topics(Broker("127.0.0.1:1", security="tls", ca="no-such-file"))


def test_a_password_is_not_shown() -> None:
    told = repr(Broker("127.0.0.1:1", security="sasl", user="u", password="hunter2"))  # noqa: S106
    assert "hunter2" not in told


def test_emitted_events_go_where_their_prediction_is_at_the_time_they_were_received(broker: Broker) -> None:
    admin.create_topics(broker, [admin.NewTopicSpec(broker.events, 4, 1)])
    producer = Producer(broker)
    log = KafkaLog(broker, producer, broker.events)
    now = wall_clock()
    predictions = [encode_prediction(f"p{n}", now, PredictionData(model="m", features={"x": 1.0})) for n in range(30)]
    labels = [encode_label(now, LabelData(prediction_id=f"p{n}", model="m", label=1)) for n in range(30)]
    assert emit(log, predictions, now=lambda: now, batch=7) == EmitReport(30, 0, 30)
    assert emit(log, [*labels, b"{"], now=lambda: now) == EmitReport(31, 30, 61)
    producer.close()
    extents = admin.extents(broker, broker.events)
    assert sum(extent.end for extent in extents.values()) == 61


@pytest.mark.parametrize(
    "event", [b"", b"{", b"[]", b'{"id": 7}', b'{"type": "x"}', b'{"data": {"prediction_id": "\\ud800"}}', b"\xff"]
)
def test_an_event_of_which_nothing_can_be_told_has_no_key(event: bytes) -> None:
    assert key_of(event) is None
