"""A server process: started so that nothing of it outlives the caller, killed, stopped, and waited for."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

LAUNCHER: Final = Path(__file__).with_name("launch.py")
PORTS: Final = range(
    20_000, 32_000
)  # Below what a client's end is given: one that tries again must not take a stopped server's port.
START_S: Final = 240.0  # A cold Java on a busy machine takes its time.
STOP_S: Final = 60.0
LOG_CHARACTERS: Final = 3_000
# To Linux, a starter is a thread: a server started by one that ends would be killed with it. This one stays to the end.
STARTER: Final = ThreadPoolExecutor(1, thread_name_prefix="services")


class ServiceError(RuntimeError):
    """A server did not start or did not stop; the message ends with its log."""


class Process:
    """One server process and its log. It does not outlive this process, however this one ends.

    Args:
        name: For messages.
        log: File its output is appended to.
        death: The signal it gets should this process die.
        user: System user to run as; empty means the caller.
    """

    def __init__(self, name: str, log: Path, *, death: signal.Signals = signal.SIGKILL, user: str = "") -> None:
        self.name = name
        self._log = log
        self._death = death
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process. Raises ServiceError when there is none."""
        if self._process is None or self._process.poll() is not None:
            raise self.error("is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, command: Sequence[str], ready: Callable[[], bool], environment: Mapping[str, str] | None = None) -> None:
        """Start it and return when it is ready. Raises ServiceError when it ends or is not ready in time."""
        launch = [sys.executable, str(LAUNCHER), str(int(self._death)), self._user, *command]
        with self._log.open("ab") as log:
            self._process = STARTER.submit(
                subprocess.Popen,
                launch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if environment is None else dict(environment),
                cwd=self._log.parent,
                start_new_session=True,  # A Ctrl-C in the terminal is the caller's alone.
            ).result()
        try:
            self._await(ready)
        except BaseException:
            self.kill()
            raise

    def _await(self, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + START_S
        while not ready():
            if not self.running:
                raise self.error("ended while it started")
            if time.monotonic() > end:
                raise self.error(f"was not ready after {START_S:.0f} s")
            time.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals) -> None:
        """Ask it to end and wait; kill it and raise ServiceError when it does not."""
        if self._process is None or not self.running:
            return
        self.send(number)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired as late:
            self.kill()
            raise self.error(f"did not stop in {STOP_S:.0f} s") from late

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def error(self, what: str) -> ServiceError:
        log = self._log.read_text("utf-8", "replace")[-LOG_CHARACTERS:] if self._log.exists() else ""
        return ServiceError(f"{self.name} {what}\n{log}")


class Server(ABC):
    """A server with its data in a folder of its own: `with Kafka() as broker: ...`.

    Attributes:
        folder: Temporary; deleted by `close`.
    """

    folder: Path
    _process: Process

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    @abstractmethod
    def start(self) -> None:
        """Start it, over the data it has; at first, over none."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it in good order; its data stays."""

    def restart(self) -> None:
        """Start it anew at the same port over the same data, whether it runs or was killed."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and delete its data; once more does nothing."""
        try:
            self.stop()
        finally:
            if self.folder.exists():
                shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def free_ports(count: int) -> list[int]:
    """Return as many ports that nobody listens at on loopback."""
    free: list[int] = []
    for port in random.SystemRandom().sample(PORTS, 500):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As servers do: a port just left is free.
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        free.append(port)
        if len(free) == count:
            return free
    raise ServiceError("no port is free")


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started, from /proc; none where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        except OSError:  # It ended meanwhile.
            continue
        if parent == pid:
            found.append(int(path.parent.name))
    return found


def is_alive(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
