"""The undisturbed run that others are compared with: the embedded engine on the same events, in SQLite."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from services.process import LAUNCHER, STARTER

from guardian.bootstrap import INBOX, open_log
from guardian.engine.ports import Partition
from guardian.testing.outcomes import Outcome, outcome_of
from trial.world import PROGRAM, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import Self

RECEIVED_AT = 1_700_000_000_000  # Any instant: no clock is live.
WAIT_S = 600.0


class Oracle:
    """`guardian up` in a process of its own; what it came to is asked for when it is needed.

    Args:
        root: The home to be made.
        models: Of the demo.
        streams: Their events.
    """

    def __init__(self, root: Path, models: Iterable[str], streams: Sequence[Sequence[bytes]]) -> None:
        self._world = World(root)
        self._world.make(models)
        log = open_log(self._world.home)
        for stream in streams:
            log.append(stream, RECEIVED_AT)
        words = [*PROGRAM, "--home", str(root), "up", "--until-idle", "--finalise"]
        self._log = (root / "up.log").open("wb")
        self._process = STARTER.submit(
            subprocess.Popen,
            [PROGRAM[0], str(LAUNCHER), "9", "", *words],
            env=self._world.environment,
            stdout=self._log,
            stderr=self._log,
        ).result()

    def outcome(self) -> Outcome:
        """Wait for its end; return what it came to. Raises RuntimeError."""
        if code := self._process.wait(WAIT_S):
            raise RuntimeError(f"the undisturbed run ended with {code}: {(self._world.root / 'up.log').read_text()[-2_000:]}")
        with self._world.store() as store:
            return outcome_of(store, [Partition(INBOX, 0)])

    def close(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
