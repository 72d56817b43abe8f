"""One run of the demo for every test of what it shows: the command as a user calls it, its screen and its home."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

PROGRAM = [sys.executable, "-c", "from guardian.entrypoints.cli import main; raise SystemExit(main())"]


@dataclass(frozen=True)
class Demo:
    """A finished demo: its home directory and what it printed."""

    home: Path
    screen: str

    @staticmethod
    def run(*words: str, **options) -> subprocess.CompletedProcess[str]:
        """Run the guardian command in a process of its own."""
        return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=False, timeout=900, **options)

    def guardian(self, *words: str, code: int = 0) -> str:
        """Run a command on the demo's home; fail unless it exits with `code`; return its stdout."""
        done = self.run("--home", str(self.home), *words)
        assert done.returncode == code, done.stderr
        return done.stdout

    def rows(self, *words: str) -> list[dict]:
        """Return the rows that `guardian get ...` prints as JSON."""
        return msgspec.json.decode(self.guardian("get", *words, "-o", "json"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("demo") / "guardian-demo"
    done = Demo.run("demo", "--dir", str(home))
    assert done.returncode == 0, done.stderr
    return Demo(home, done.stdout)
