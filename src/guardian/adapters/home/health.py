"""Whether a home directory is fit to be written to: room, and the clock of its file system."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from guardian.errors import UnreachableError


def free_bytes(directory: Path) -> int:
    """Return how much room there is. Raises UnreachableError."""
    try:
        return shutil.disk_usage(directory).free
    except OSError as error:
        raise UnreachableError(f"{directory} cannot be looked at: {error.strerror}", hint="check its permissions") from error


def file_time(directory: Path) -> int:
    """Return the time that the file system gives to a file written now, UTC milliseconds. Raises UnreachableError."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as file:
            file.write(b"0")
            file.flush()
            return Path(file.name).stat().st_mtime_ns // 1_000_000
    except OSError as error:
        raise UnreachableError(
            f"{directory} cannot be written: {error.strerror}", hint="make it writable for guardian"
        ) from error
