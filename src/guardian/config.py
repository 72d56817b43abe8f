"""Settings: the home directory and what its guardian.toml and the environment say.

Precedence, strongest first: the environment (`GUARDIAN_<NAME>`), guardian.toml, the default. A key that guardian.toml should not
have is a mistake with its line. Variables that are no setting are left alone: orchestrators add their own, such as
`GUARDIAN_PORT` for a service of that name.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from guardian.errors import InvalidFileError, Mistake, UnreachableError
from guardian.units import DAY_MS, HOUR_MS, MINUTE_MS, format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREFIX: Final = "GUARDIAN_"
ENVIRONMENT: Final = "environment"  # The `file` of mistakes in variables.
SETTINGS_BYTES_MAX: Final = 256 << 10  # A longer guardian.toml is refused unread.


@dataclass(frozen=True, slots=True)
class Home:
    """A user's directory: settings, database, policies, data and keys."""

    root: Path

    @property
    def settings(self) -> Path:
        """What `Settings.load` reads; need not exist."""
        return self.root / "guardian.toml"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.root / "guardian.db"

    @property
    def policies(self) -> Path:
        """Model files, policy files and their cases."""
        return self.root / "policies"

    @property
    def data(self) -> Path:
        """Tables; a reference's `uri` is relative to `root`, so `data/reference.parquet` is in here."""
        return self.root / "data"

    @property
    def keys(self) -> Path:
        """Signing keys."""
        return self.root / "keys"

    @property
    def private_key(self) -> Path:
        """Signs checkpoints; readable by its owner only."""
        return self.keys / "audit.pem"

    @property
    def public_key(self) -> Path:
        """Verifies checkpoints; to be handed out."""
        return self.keys / "audit.pub"


def _count(default: int, doc: str, *, low: int, high: int) -> Any:
    return field(default=default, metadata={"doc": doc, "low": low, "high": high, "span": False})


def _span(default_ms: int, doc: str, *, low_ms: int, high_ms: int) -> Any:
    return field(default=default_ms, metadata={"doc": doc, "low": low_ms, "high": high_ms, "span": True})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting. Spans are milliseconds here and durations such as `30s` in the file, under the name without `_ms`.

    Attributes:
        batch_events: Events that are counted and landed in one transaction.
        poll_ms: Pause of the engine when the inbox is empty.
        checkpoint_every_ms: How often the audit log's heads are signed.
        tick_every_ms: How often silent partitions of live clocks are looked for.
    """

    batch_events: int = _count(20_000, "Events counted and landed in one transaction.", low=1, high=1_000_000)
    poll_ms: int = _span(500, "Pause when the inbox is empty.", low_ms=1, high_ms=MINUTE_MS)
    checkpoint_every_ms: int = _span(HOUR_MS, "How often the audit log is signed.", low_ms=1_000, high_ms=30 * DAY_MS)
    tick_every_ms: int = _span(MINUTE_MS, "How often silence is looked for.", low_ms=1_000, high_ms=DAY_MS)

    @classmethod
    def load(cls, home: Home, environment: Mapping[str, str] | None = None) -> Settings:
        """Return the settings of a home directory; all defaults where it has no guardian.toml.

        Raises InvalidFileError with every mistake; UnreachableError when the file cannot be read.
        """
        mistakes: list[Mistake] = []
        values: dict[str, int] = {}
        text = _read(home.settings)
        for key, raw in _parse(text, str(home.settings), mistakes).items():
            line = _line_of(text, key)
            _take(values, mistakes, key, raw, Place(str(home.settings), line, key))
        variables = os.environ if environment is None else environment
        for key in NAMES:
            variable = PREFIX + key.upper()
            if variable in variables:
                raw = variables[variable]
                _take(
                    values, mistakes, key, int(raw) if raw.isascii() and raw.isdigit() else raw, Place(ENVIRONMENT, 0, variable)
                )
        if mistakes:
            raise InvalidFileError(mistakes)
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: a file's line, or a variable."""

    file: str
    line: int
    name: str

    def mistake(self, code: str, what: str, hint: str) -> Mistake:
        """Return a mistake at this place."""
        return Mistake(code, self.file, self.line, 1 if self.line else 0, what, hint, path=self.name)


NAMES: Final = {f.name.removesuffix("_ms") if f.metadata["span"] else f.name: f for f in fields(Settings)}


def write_default(home: Home) -> None:
    """Write a guardian.toml that says every setting, commented out at its default. Raises FileExistsError."""
    lines = ["# Settings of guardian. Every line is the default; GUARDIAN_<NAME> in the environment wins over it.", ""]
    for name, setting in NAMES.items():
        default = f'"{format_duration(setting.default)}"' if setting.metadata["span"] else str(setting.default)  # type: ignore[arg-type]  # always an int
        lines += [f"# {setting.metadata['doc']}", f"# {name} = {default}", ""]
    with home.settings.open("x", encoding="utf-8") as file:
        file.write("\n".join(lines))


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > SETTINGS_BYTES_MAX:
            raise UnreachableError(f"{path} is longer than {SETTINGS_BYTES_MAX} bytes", hint="it is no settings file")
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UnreachableError(f"{path} cannot be read: {error}", hint="make it a readable UTF-8 file") from error


def _parse(text: str, file: str, mistakes: list[Mistake]) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+), column (\d+)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (len(text.splitlines()), 0)  # At the end.
        mistakes.append(Mistake("file.not-toml", file, line, column, f"this is not TOML: {error}", "see toml.io for the format"))
        return {}


def _line_of(text: str, key: str) -> int:
    written = re.compile(rf"\s*\[?\s*[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
    return next((number for number, line in enumerate(text.splitlines(), 1) if written.match(line)), 0)


def _take(values: dict[str, int], mistakes: list[Mistake], key: str, raw: object, place: Place) -> None:
    setting = NAMES.get(key)
    if setting is None:
        close = difflib.get_close_matches(key, NAMES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"settings are {', '.join(NAMES)}"
        mistakes.append(place.mistake("file.unknown-key", f"there is no setting {key}", hint))
        return
    span, low, high = (setting.metadata[name] for name in ("span", "low", "high"))
    write = format_duration if span else str
    hint = f"write {'a duration' if span else 'a whole number'} from {write(low)} to {write(high)}"
    value = _value(raw, span=span)
    if value is None:
        mistakes.append(place.mistake("file.wrong-type", f"{raw!r} is no {'duration' if span else 'whole number'}", hint))
    elif not low <= value <= high:
        mistakes.append(place.mistake("file.out-of-range", f"{raw!r} is out of range", hint))
    else:
        values[setting.name] = value


def _value(raw: object, *, span: bool) -> int | None:
    if span:
        try:
            return parse_duration(raw) if isinstance(raw, str) else None
        except ValueError:
            return None
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None
