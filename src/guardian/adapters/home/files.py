"""Reading what people put into a home directory, and copying out what the package ships.

Bounded: a policies directory of FILES_MAX files of FILE_BYTES_MAX bytes; more is refused with the place, never cut.
"""

from __future__ import annotations

import hashlib
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardian.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

FILES_MAX: Final = 1_000
FILE_BYTES_MAX: Final = 256 << 10  # As the YAML reader allows.
_CHECKOUT: Final = Path(__file__).parents[4]  # Where policies/ lies when guardian runs from a checkout.


def read_policies(directory: Path) -> dict[str, bytes]:
    """Return every YAML file of a policies directory, by the name to show. Raises UnreachableError."""
    if not directory.is_dir():
        raise UnreachableError(f"{directory} is no directory", hint="run guardian init, or name the home with --home")
    paths = sorted(p for p in directory.rglob("*") if p.suffix in {".yaml", ".yml"} and p.is_file())
    if len(paths) > FILES_MAX:
        raise UnreachableError(f"{directory} holds more than {FILES_MAX} files", hint="split it over several homes")
    return {str(path): _read(path) for path in paths}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)  # One byte more, so that the reader says that it is too large.
    except OSError as error:
        raise UnreachableError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error


def table_path(root: Path, uri: str) -> Path:
    """Return the path of a table that a model file names, which must stay inside the home directory."""
    path = (root / uri).resolve()
    if not path.is_relative_to(root.resolve()):
        raise UsageError(f"reference.uri {uri!r} leaves the home directory", hint="put the table under data/")
    return path


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes. Raises UnreachableError."""
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise UnreachableError(f"{path} cannot be read: {error.strerror}", hint="check the reference's uri") from error


def packed_policies() -> Path:
    """Return the directory of the policies that guardian ships, from the wheel or the checkout."""
    with as_file(files("guardian")) as package:
        inside = package / "packed" / "policies"
    return inside if inside.is_dir() else _CHECKOUT / "policies"


def packed_data() -> Path:
    """Return the directory of the packed demo data."""
    with as_file(files("guardian")) as package:
        return package / "demo_data"


def copy_files(paths: Iterable[Path], into: Path) -> None:
    """Copy files into a directory, which is made; files already there are kept."""
    into.mkdir(parents=True, exist_ok=True)
    for path in paths:
        target = into / path.name
        if not target.exists():
            shutil.copyfile(path, target)
