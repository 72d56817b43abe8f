"""Where a trial takes place: a home directory, topics and a database, and guardian's command there."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from guardian.adapters.kafka.connection import Broker
from guardian.adapters.sql.database import Database
from guardian.adapters.sql.reader import Filter, Reader
from guardian.adapters.sql.store import SqlStore
from guardian.config import Home
from guardian.testing.outcomes import outcome_of, tiling
from trial.events import copy_models

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from guardian.engine.ports import Partition
    from guardian.testing.outcomes import Outcome

PROGRAM: Final = (sys.executable, "-c", "from guardian.entrypoints.cli import main; raise SystemExit(main())")
COMMAND_S: Final = 600.0


class CommandError(AssertionError):
    """A command of guardian did not end as it should."""


@dataclass(frozen=True)
class World:
    """A home, and what its settings name.

    Attributes:
        root: The home directory.
        broker: Kafka's address.
        database: The database as workers reach it; empty means the home's SQLite file.
        prefix: Of topics; also the group.
        direct: The database for whoever looks on, past anything that stands before it.
        settings: More variables.
    """

    root: Path
    broker: str = ""
    database: str = ""
    prefix: str = "guardian"
    direct: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Home:
        return Home(self.root)

    @property
    def environment(self) -> dict[str, str]:
        """What commands are run with: nothing of the caller's that guardian would read."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("GUARDIAN_")}
        named = {"BROKER": self.broker, "DATABASE": self.database, "TOPIC_PREFIX": self.prefix, "GROUP": self.prefix}
        return {**own, **{f"GUARDIAN_{name}": value for name, value in named.items() if value}, **self.settings}

    def guardian(self, *words: str, code: int | None = 0, **variables: str) -> str:
        """Run a command; return its stdout. Raises CommandError unless it exits with `code`; None takes any."""
        done = subprocess.run(  # noqa: S603 - our own command
            [*PROGRAM, "--home", str(self.root), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
            env={**self.environment, **variables},
        )
        if code is not None and done.returncode != code:
            raise CommandError(f"guardian {' '.join(words)} exited with {done.returncode}\n{done.stdout[-2_000:]}{done.stderr}")
        return done.stdout

    def rows(self, kind: str, **wanted: Any) -> list[dict[str, Any]]:
        """Return the rows that `guardian get KIND` prints; `wanted` as in `reader.Filter`."""
        with self.store() as store:
            return list(getattr(Reader(store.database), kind)(Filter(**wanted)))

    def make(self, models: Iterable[str], partitions: int = 4) -> None:
        """Make the home with these models of the demo, and the topics where there is a broker."""
        self.guardian("init")
        copy_models(self.home, models)
        if self.broker:
            self.guardian("topics", "create", "--partitions", str(partitions))

    @property
    def kafka(self) -> Broker:
        return Broker(self.broker, group=self.prefix, prefix=self.prefix)

    @contextmanager
    def store(self) -> Iterator[SqlStore]:
        """Give the database to look at."""
        url = self.direct or self.database
        with closing(Database.at_url(url) if url else Database.at(self.home.database)) as database:
            yield SqlStore(database)

    def partitions(self, store: SqlStore) -> list[Partition]:
        return [standing.claim.partition for standing in store.standings(self.kafka.events)]

    def outcome(self) -> Outcome:
        """Return what was come to."""
        with self.store() as store:
            return outcome_of(store, self.partitions(store))

    def tiling(self) -> list[str]:
        """Return what is wrong with the audit log and with how it covers the partitions."""
        with self.store() as store:
            return tiling(store, self.partitions(store))
