"""PostgreSQL from the system's package, on loopback, with its data in a temporary folder that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from services.process import LAUNCHER, STOP_S, Process, Server, children_of, free_ports, is_alive

GIVEN: Final = "GUARDIAN_TEST_POSTGRES"  # URL of a server where databases may be made and dropped.
MISSING: Final = f"PostgreSQL: no initdb, and {GIVEN} is not set"
PACKAGED: Final = Path("/usr/lib/postgresql")  # Debian's packages keep the server off the PATH.
USER: Final = "guardian"


class Databases:
    """A server where databases may be made.

    Args:
        url: Of a database that exists, as a user who may make others.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return urlsplit(self._url)._replace(path=f"/{quote(database)}").geturl()

    def create_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


class Postgres(Server, Databases):
    """A server of its own: `with Postgres() as server: ...`. Commits are synced to disk, for guardian's promises lean on that.

    Raises FileNotFoundError when PostgreSQL is not installed; ServiceError when it does not start.
    """

    def __init__(self) -> None:
        binaries = find_binaries()
        if binaries is None:
            raise FileNotFoundError(MISSING)
        self._binaries = binaries
        self._user = _server_user()
        # Not below pytest's folder: that is its owner's alone, and the server may run as another user.
        self.folder = Path(tempfile.mkdtemp(prefix="guardian-pg-"))
        if self._user:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, pwd.getpwnam(self._user).pw_gid)
        (self.port,) = free_ports(1)
        super().__init__(f"postgresql://{USER}@127.0.0.1:{self.port}/postgres")
        # Told so, a postmaster ends its children before itself.
        self._process = Process("PostgreSQL", self.folder / "log", death=signal.SIGQUIT, user=self._user)

    def start(self) -> None:
        """Start the server, over the data it has; at first, over none."""
        if not (self.folder / "data").exists():
            self._init()
        command = [
            str(self._binaries / "postgres"),
            "-D",
            "data",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            str(self.folder),
        ]
        self._process.start([*command, "-c", "fsync=on", "-c", "synchronous_commit=on"], self._is_ready, self._environment)

    def stop(self) -> None:
        """Stop the server in good order; its data stays."""
        self._process.stop(signal.SIGINT)

    def kill(self) -> None:
        """Kill the postmaster and whatever it started, all at once, and wait until none of them is left; the data stays."""
        postmaster = self.pid
        os.kill(postmaster, signal.SIGSTOP)  # So that it starts no other.
        children = children_of(postmaster)
        self._process.kill()
        for child in children:
            if is_alive(child):
                os.kill(child, signal.SIGKILL)
        end = time.monotonic() + STOP_S
        while any(map(is_alive, children)):
            if time.monotonic() > end:
                raise self._process.error("left processes behind")
            time.sleep(0.01)

    @property
    def _environment(self) -> dict[str, str]:
        """The caller's, less what PostgreSQL would take from it."""
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def _init(self) -> None:
        initdb = [str(self._binaries / "initdb"), "-D", "data", "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
        done = subprocess.run(  # noqa: S603
            [sys.executable, str(LAUNCHER), str(int(signal.SIGKILL)), self._user, *initdb, "--no-sync"],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise self._process.error(f"could not make its data: {done.stderr}")

    def _is_ready(self) -> bool:
        try:
            psycopg.connect(self._url, connect_timeout=10).close()
        except psycopg.OperationalError:  # Not there yet, or still recovering.
            return False
        return True


def find_binaries() -> Path | None:
    """Return the folder of initdb and postgres: the PATH's, else the newest that is packaged."""
    on_path = shutil.which("initdb")
    if on_path and Path(on_path).with_name("postgres").exists():
        return Path(on_path).parent
    packaged = [path.parent for path in PACKAGED.glob("*/bin/initdb")]
    return max(packaged, key=lambda path: int(path.parent.name), default=None)


def _server_user() -> str:
    """Return whom to run as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
