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


def _text(default: str, doc: str, *, pattern: str, hint: str) -> Any:
    return field(default=default, metadata={"doc": doc, "pattern": pattern, "hint": hint})


_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting. Spans are milliseconds here and durations such as `30s` in the file, under the name without `_ms`.

    Attributes:
        batch_events: Events that are counted and landed in one transaction; in a fleet, records of Kafka, which may hold several.
        batch_wait_ms: How long a fleet's worker waits for a batch to fill.
        poll_ms: Pause of the embedded engine when the inbox is empty.
        checkpoint_every_ms: How often the audit log's heads are signed.
        tick_every_ms: How often silence under live clocks is looked for, and files are read again.
        judge_every_ms: Pause of a fleet's judge and of its relay when there was nothing to do.
        session_timeout_ms: After how long without a heartbeat a worker's partitions go to others.
        watchdog_ms: After how long without progress on a log that has more a worker gives up, for its supervisor to start anew.
        database: URL of a PostgreSQL database; empty means the home's SQLite file.
        broker: Kafka's addresses, `host:port`, comma-separated.
        topic_prefix: What the names of topics begin with.
        group: The workers' consumer group.
        partitioner: How producers choose an event's partition from its key.
        broker_security: How every command that needs the broker talks to it.
        broker_mechanism: How it says who it is.
        broker_user: As whom.
        broker_password: With which password; best given in the environment.
        broker_ca: File of the certificates to trust; empty means the system's.
    """

    batch_events: int = _count(
        20_000,
        "Events counted and landed in one transaction; in a fleet, records of Kafka, which may hold several.",
        low=1,
        high=1_000_000,
    )
    batch_wait_ms: int = _span(500, "How long a fleet's worker waits for a batch to fill.", low_ms=1, high_ms=MINUTE_MS)
    poll_ms: int = _span(500, "Pause of the embedded engine when the inbox is empty.", low_ms=1, high_ms=MINUTE_MS)
    checkpoint_every_ms: int = _span(HOUR_MS, "How often the audit log is signed.", low_ms=1_000, high_ms=30 * DAY_MS)
    tick_every_ms: int = _span(
        MINUTE_MS, "How often silence under live clocks is looked for, and files are read again.", low_ms=1_000, high_ms=DAY_MS
    )
    judge_every_ms: int = _span(
        500, "Pause of a fleet's judge and of its relay when there was nothing to do.", low_ms=10, high_ms=HOUR_MS
    )
    session_timeout_ms: int = _span(
        15_000, "After how long without a heartbeat a worker's partitions go to others.", low_ms=6_000, high_ms=30 * MINUTE_MS
    )
    watchdog_ms: int = _span(
        5 * MINUTE_MS, "After how long without progress a worker ends, to be started anew.", low_ms=10_000, high_ms=DAY_MS
    )
    database: str = _text(
        "",
        "URL of a PostgreSQL database; empty means the home's SQLite file.",
        pattern=r"(postgresql://\S+)?",
        hint="write postgresql://USER:PASSWORD@HOST/NAME, or nothing for the home's SQLite file",
    )
    broker: str = _text(
        "127.0.0.1:9092",
        "Kafka's addresses.",
        pattern=r"[^\s:,]+:\d+(,[^\s:,]+:\d+)*",
        hint="write HOST:PORT, several with commas between",
    )
    topic_prefix: str = _text("guardian", "What the names of topics begin with.", pattern=_NAME, hint="letters, digits, . _ -")
    group: str = _text("guardian", "The workers' consumer group.", pattern=_NAME, hint="letters, digits, . _ -")
    partitioner: str = _text(
        "murmur2",
        "How producers choose an event's partition: murmur2 (Java's), crc32 (librdkafka's default), none (not checked).",
        pattern="murmur2|crc32|none",
        hint="write murmur2, crc32 or none",
    )
    broker_security: str = _text(
        "plaintext",
        "How every command that needs the broker talks to it: plaintext, tls, sasl (over plaintext) or sasl_tls.",
        pattern="plaintext|tls|sasl|sasl_tls",
        hint="write plaintext, tls, sasl or sasl_tls",
    )
    broker_mechanism: str = _text(
        "SCRAM-SHA-512",
        "How commands say who they are, with sasl.",
        pattern="PLAIN|SCRAM-SHA-256|SCRAM-SHA-512",
        hint="write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    )
    broker_user: str = _text("", "The user, with sasl.", pattern=r"\S*", hint="write a name without spaces")
    broker_password: str = _text("", "The password, with sasl; best given in the environment.", pattern=r"\S*", hint="no spaces")
    broker_ca: str = _text("", "File of certificates to trust, with tls; empty means the system's.", pattern=r".*", hint="a path")

    @classmethod
    def load(cls, home: Home, environment: Mapping[str, str] | None = None) -> Settings:
        """Return the settings of a home directory; all defaults where it has no guardian.toml.

        Raises InvalidFileError with every mistake; UnreachableError when the file cannot be read.
        """
        mistakes: list[Mistake] = []
        values: dict[str, Any] = {}
        text = _read(home.settings)
        for key, raw in _parse(text, str(home.settings), mistakes).items():
            line = _line_of(text, key)
            _take(values, mistakes, key, raw, Place(str(home.settings), line, key))
        variables = os.environ if environment is None else environment
        for key in NAMES:
            variable = PREFIX + key.upper()
            if variable in variables:
                _take(values, mistakes, key, _from_variable(key, variables[variable]), Place(ENVIRONMENT, 0, variable))
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


NAMES: Final = {f.name.removesuffix("_ms") if f.metadata.get("span") else f.name: f for f in fields(Settings)}


def default_of(name: str) -> str:
    """Return a setting's default as guardian.toml writes it.

    >>> default_of("batch_events"), default_of("poll"), default_of("group")
    ('20000', '"500ms"', '"guardian"')
    """
    setting: Any = NAMES[name]
    if "pattern" in setting.metadata:
        return f'"{setting.default}"'
    return f'"{format_duration(setting.default)}"' if setting.metadata["span"] else str(setting.default)


def write_default(home: Home) -> None:
    """Write a guardian.toml that says every setting, commented out at its default. Raises FileExistsError."""
    lines = ["# Settings of guardian. Every line is the default; GUARDIAN_<NAME> in the environment wins over it.", ""]
    for name, setting in NAMES.items():
        lines += [f"# {setting.metadata['doc']}", f"# {name} = {default_of(name)}", ""]
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


def _from_variable(key: str, raw: str) -> str | int:
    is_number = "pattern" not in NAMES[key].metadata and raw.isascii() and raw.isdigit()
    return int(raw) if is_number else raw


def _take(values: dict[str, Any], mistakes: list[Mistake], key: str, raw: object, place: Place) -> None:
    setting = NAMES.get(key)
    if setting is None:
        close = difflib.get_close_matches(key, NAMES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"settings are {', '.join(NAMES)}"
        mistakes.append(place.mistake("file.unknown-key", f"there is no setting {key}", hint))
        return
    if "pattern" in setting.metadata:
        _take_text(values, mistakes, setting, raw, place)
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


def _take_text(values: dict[str, Any], mistakes: list[Mistake], setting: Any, raw: object, place: Place) -> None:
    if not isinstance(raw, str):
        mistakes.append(
            place.mistake("file.wrong-type", f"{raw!r} is no text", f"write it in quotes: {setting.metadata['hint']}")
        )
    elif not re.fullmatch(setting.metadata["pattern"], raw):  # What it holds may be a secret, and is not repeated.
        mistakes.append(place.mistake("file.out-of-range", f"{place.name} cannot be that", setting.metadata["hint"]))
    else:
        values[setting.name] = raw


def _value(raw: object, *, span: bool) -> int | None:
    if span:
        try:
            return parse_duration(raw) if isinstance(raw, str) else None
        except ValueError:
            return None
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None
