"""Kafka from its own archives (`make services`): one node in KRaft mode, on loopback, its data in a temporary folder."""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.process import LAUNCHER, Process, Server, free_ports

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

GIVEN: Final = "GUARDIAN_TEST_KAFKA"  # host:port of a broker where topics may be made and deleted.
MISSING: Final = f"Kafka: no Java, or no Maven to `make services` with, and {GIVEN} is not set"
ARCHIVES: Final = Path(__file__).parents[2] / ".services/kafka"
COMPLETE: Final = ARCHIVES / ".complete"  # Written last.
HEAP_MB: Final = 384
REQUEST_MS: Final = 2_000


class Broker:
    """A broker where topics may be made and deleted.

    Args:
        bootstrap: Its address, host:port.
    """

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def delete_topics(self, prefix: str) -> None:
        """Delete every topic whose name begins so."""

        async def delete(admin: AIOKafkaAdminClient) -> None:
            names = [name for name in await admin.list_topics() if name.startswith(prefix)]
            if names:
                await admin.delete_topics(names)

        self._ask(delete)

    def is_ready(self) -> bool:
        """Say whether it answers, and every partition has a leader."""

        async def ready(admin: AIOKafkaAdminClient) -> bool:
            brokers = (await admin.describe_cluster())["brokers"]
            partitions = [part for topic in await admin.describe_topics() for part in topic["partitions"]]
            return bool(brokers) and all(part["leader"] >= 0 for part in partitions)

        host, _, port = self.bootstrap.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=1):  # A client would log each refusal.
                pass
            return bool(self._ask(ready))
        except (KafkaError, OSError):  # Not there yet.
            return False

    def _ask(self, question: Callable[[AIOKafkaAdminClient], Awaitable[Any]]) -> Any:
        async def ask() -> Any:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=REQUEST_MS)
            await admin.start()
            try:
                return await question(admin)
            finally:
                await admin.close()

        with ThreadPoolExecutor(1) as pool:  # The caller may be inside an event loop of its own.
            return pool.submit(asyncio.run, ask()).result()


class Kafka(Server, Broker):
    """A broker of its own: `with Kafka() as broker: ...`.

    Args:
        settings: Broker settings over those of `_properties`, such as `{"log.retention.check.interval.ms": "100"}`.
        heap_mb: Java's heap, MiB.

    Raises FileNotFoundError when Java or the archives are missing; ServiceError when it does not start.
    """

    def __init__(self, settings: Mapping[str, str] | None = None, *, heap_mb: int = HEAP_MB) -> None:
        if not is_installed():
            raise FileNotFoundError(MISSING)
        self.folder = Path(tempfile.mkdtemp(prefix="guardian-kafka-"))
        self.port, controller = free_ports(2)
        super().__init__(f"127.0.0.1:{self.port}")
        lines = _properties(self.port, controller, self.folder / "data") | dict(settings or {})
        (self.folder / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in lines.items()), "utf-8")
        self._java = ["java", f"-Xmx{heap_mb}m", "-cp", f"{ARCHIVES}/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        self._process = Process("Kafka", self.folder / "log")

    def start(self) -> None:
        """Start the broker, over the data it has; at first, over none. It is ready when every partition has a leader."""
        if not (self.folder / "data").exists():
            self._format()
        self._process.start([*self._java, "kafka.Kafka", "server.properties"], self.is_ready)

    def stop(self) -> None:
        """Stop the broker in good order, also when it is paused; its data stays."""
        if self._process.running:
            self.resume()
        self._process.stop(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the broker and wait until it is gone; its data stays."""
        self._process.kill()

    def pause(self) -> None:
        """Stop its clock: it keeps its connections and answers nothing."""
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._process.send(signal.SIGCONT)

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "--standalone", f"--cluster-id={cluster}", "--config", "server.properties"]
        done = subprocess.run(  # noqa: S603
            [sys.executable, str(LAUNCHER), str(int(signal.SIGKILL)), "", *self._java, *tool],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise self._process.error(f"could not make its data: {done.stdout}{done.stderr}")


def is_installed() -> bool:
    """Say whether there is Java, and everything that `make services` fetches."""
    return shutil.which("java") is not None and COMPLETE.exists()


def _properties(port: int, controller: int, data: Path) -> dict[str, str]:
    alone = dict.fromkeys(
        (
            "offsets.topic.replication.factor",
            "transaction.state.log.replication.factor",
            "transaction.state.log.min.isr",
            "share.coordinator.state.topic.replication.factor",
            "share.coordinator.state.topic.min.isr",
        ),
        "1",
    )
    quick = dict.fromkeys(
        ("offsets.topic.num.partitions", "transaction.state.log.num.partitions", "share.coordinator.state.topic.num.partitions"),
        "2",
    )
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "log.dirs": str(data),
        **alone,
        **quick,
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",  # So long a killed broker's next start waits for the last one to be given up.
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "true",
    }
