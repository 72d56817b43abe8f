"""Reading what people put into a home directory, and copying out what the package ships.

Bounded: a policies directory of FILES_MAX files, each of what the YAML reader allows; more is refused with the place, never cut.
"""

from __future__ import annotations

import hashlib
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardian.errors import UnreachableError, UsageError
from guardian.files.strict_yaml import BYTES_MAX
from guardian.policies.load import CASES, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable

FILES_MAX: Final = 1_000
_CHECKOUT: Final = Path(__file__).parents[4]  # Where policies/ lies when guardian runs from a checkout.


def read_policies(directory: Path) -> dict[str, bytes]:
    """Return the model and policy files of a directory, by the name to show. Raises UnreachableError."""
    return {str(path): read_file(path) for path in _yaml_files(directory) if not path.name.endswith(CASES)}


def case_files(directory: Path) -> list[Path]:
    """Return the cases files of a directory, by name. Raises UnreachableError."""
    return [path for path in _yaml_files(directory) if path.name.endswith(CASES)]


def read_file(path: Path) -> bytes:
    """Return a YAML file's bytes; of one that is too large only as much as it takes to say so. Raises UnreachableError."""
    try:
        with path.open("rb") as file:
            return file.read(BYTES_MAX + 1)
    except OSError as error:
        raise UnreachableError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error


def _yaml_files(directory: Path) -> list[Path]:
    """Return the YAML files that lie in a directory itself: a directory inside it is somebody's archive."""
    if not directory.is_dir():
        raise UnreachableError(f"{directory} is no directory", hint="run guardian init, or name the home with --home")
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES and path.is_file())
    except OSError as error:
        raise UnreachableError(f"{directory} cannot be read: {error.strerror}", hint="check its permissions") from error
    if len(paths) > FILES_MAX:
        raise UnreachableError(f"{directory} holds more than {FILES_MAX} files", hint="split it over several homes")
    return paths


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
