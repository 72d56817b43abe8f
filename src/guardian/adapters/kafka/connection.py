"""Where the broker is and how to talk to it: one description for workers, producers and administration."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)

from guardian.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

Security = Literal["plaintext", "tls", "sasl", "sasl_tls"]

RESTART: Final = (  # Not retriable on the same connection or producer, but on a new one.
    KafkaConnectionError,
    KafkaTimeoutError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)
_PROTOCOLS: Final = {"plaintext": "PLAINTEXT", "tls": "SSL", "sasl": "SASL_PLAINTEXT", "sasl_tls": "SASL_SSL"}


class BrokerUnreachableError(UnreachableError):
    """The broker did not answer in time, or not what was needed. Trying again may help.

    Attributes:
        acknowledged: Of records that were sent, in their order, where each is: (partition, offset), or None if unknown.
    """

    code: ClassVar[str] = "broker.unreachable"

    def __init__(self, what: str, *, hint: str, acknowledged: Sequence[tuple[int, int] | None] = ()) -> None:
        super().__init__(what, hint=hint)
        self.acknowledged = acknowledged


class BrokerRefusedError(BrokerUnreachableError):
    """The broker answered no: a topic that is not there, a user that may not, a record too large. Trying again does not help."""

    code: ClassVar[str] = "broker.refused"


@dataclass(frozen=True, slots=True)
class Broker:
    """A Kafka cluster as this process uses it.

    Attributes:
        bootstrap: Addresses, `host:port`, comma-separated.
        group: The workers' consumer group.
        prefix: What the names of guardian's topics begin with.
        session_timeout_ms: After how long without a heartbeat a worker's partitions go to others.
        security: `plaintext`, `tls`, `sasl` (over plaintext) or `sasl_tls`.
        mechanism: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`; used with sasl.
        user: As whom, with sasl.
        password: With which password.
        ca: File of the certificates to trust; empty means the system's.
    """

    bootstrap: str
    group: str = "guardian"
    prefix: str = "guardian"
    session_timeout_ms: int = 15_000
    security: Security = "plaintext"
    mechanism: str = "SCRAM-SHA-512"
    user: str = ""
    password: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        return f"Broker({self.bootstrap!r}, group={self.group!r}, security={self.security!r})"  # Never the password.

    @property
    def events(self) -> str:
        """The topic of events.

        >>> Broker("127.0.0.1:9092").events
        'guardian.events'
        """
        return f"{self.prefix}.events"

    @property
    def results(self) -> str:
        """The topic on which trainers answer."""
        return f"{self.prefix}.retraining.results"

    @property
    def addresses(self) -> list[str]:
        """The addresses, one by one."""
        return [address for address in self.bootstrap.split(",") if address]

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context that checks certificates and names, or None without TLS.

        Raises BrokerUnreachableError when the file of certificates cannot be read.
        """
        if self.security not in ("tls", "sasl_tls"):
            return None
        try:
            return ssl.create_default_context(cafile=self.ca or None)
        except OSError as error:
            raise BrokerUnreachableError(
                f"the certificates of {self.ca} cannot be read: {error}", hint="give broker_ca a readable PEM file"
            ) from error

    def client_options(self) -> dict[str, Any]:
        """Return what every client of aiokafka is opened with."""
        options: dict[str, Any] = {"bootstrap_servers": self.addresses, "security_protocol": _PROTOCOLS[self.security]}
        if self.security in ("tls", "sasl_tls"):
            options["ssl_context"] = self.ssl_context()
        if self.security in ("sasl", "sasl_tls"):
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return options


def failure(
    broker: Broker, what: str, error: BaseException, acknowledged: Sequence[tuple[int, int] | None] = ()
) -> BrokerUnreachableError:
    """Return the error that says what could not be done at the broker, and why."""
    why = str(error) or type(error).__name__
    if isinstance(error, KafkaError) and not error.retriable and not isinstance(error, RESTART):
        hint = "see that the topic is there, and that this user may do that"
        return BrokerRefusedError(f"{what} at {broker.bootstrap}: {why}", hint=hint, acknowledged=acknowledged)
    hint = "see that the broker runs and can be reached from here, and that the topic is there"
    return BrokerUnreachableError(f"{what} at {broker.bootstrap}: {why}", hint=hint, acknowledged=acknowledged)
