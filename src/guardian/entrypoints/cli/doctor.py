"""`guardian doctor`: whether an installation is fit to work, and what to do where it is not."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from guardian.entrypoints.cli.session import Output, session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guardian.adapters.sql.database import Database
    from guardian.config import Home, Settings
    from guardian.engine.findings import Finding


def doctor(
    kafka: Annotated[bool, typer.Option("--kafka", help="Look at the broker even where no setting names one.")] = False,
    output: Output = None,
) -> None:
    """Look whether everything that guardian needs is there; exit code 1 where something is wrong, 4 where it could not be told.

    The broker is looked at where the settings name one, or a PostgreSQL database, or where partitions of its log are counted.
    """
    from guardian.entrypoints.cli.topics import print_findings

    raise typer.Exit(print_findings(list(examine(session().home, kafka=kafka)), output))


def examine(home: Home, *, kafka: bool) -> Iterator[Finding]:
    """Yield everything that is found of a home and what it leans on, in the order in which it is to be mended."""
    from guardian.config import Settings
    from guardian.engine.doctor import from_error
    from guardian.engine.findings import fail, ok
    from guardian.errors import GuardianError, InvalidFileError

    if not home.root.is_dir():
        yield fail("home", f"there is no directory {home.root}", "run guardian init, or name another with --home")
        yield from _packages()
        return
    try:
        settings = Settings.load(home)
        yield ok("home", f"{home.root} and its settings can be read")
    except InvalidFileError as error:
        yield from (fail("home", f"{each.file}:{each.line}: {each.what}", each.hint) for each in error.mistakes)
        settings = Settings()
    except GuardianError as error:
        yield from_error("home", error)
        settings = Settings()
    yield from _guarded("policies", _policies(home))
    yield from _guarded("disk", _disk(home, settings))
    yield from _database(home, settings, kafka=kafka)
    yield from _packages()


def _guarded(check: str, found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings; where looking fails, that it did."""
    from guardian.engine.doctor import from_error
    from guardian.errors import GuardianError

    try:
        yield from found
    except GuardianError as error:
        yield from_error(check, error)


def _policies(home: Home) -> Iterator[Finding]:
    from guardian.bootstrap import read_files
    from guardian.engine.findings import fail, ok, warn
    from guardian.errors import InvalidFileError

    try:
        files = read_files(home)
    except InvalidFileError as error:
        what = f"{len(error.mistakes)} mistakes, the first at {error.mistakes[0].file}:{error.mistakes[0].line}"
        yield fail("policies", what, "run guardian policy check")
        return
    if files.models:
        yield ok("policies", f"{len(files.models)} models, {len(files.policies)} policies")
    else:
        yield warn("policies", f"no model file in {home.policies}", "write one: without it every event is a dead letter")


def _disk(home: Home, settings: Settings) -> Iterator[Finding]:
    from guardian.adapters.clock import wall_clock
    from guardian.adapters.home.health import file_time, free_bytes
    from guardian.engine.doctor import check_clock, check_disk

    yield check_disk(free_bytes(home.root), str(home.root))
    if not settings.database:  # Else nothing is written here, and containers mount it read-only.
        yield check_clock("the file system's clock", file_time(home.root), wall_clock())


def _database(home: Home, settings: Settings, *, kafka: bool) -> Iterator[Finding]:
    from guardian.adapters.sql.schema import SchemaError
    from guardian.bootstrap import open_database
    from guardian.engine.doctor import from_error
    from guardian.errors import GuardianError, NotFoundError

    is_open = False
    try:
        with closing(open_database(home)) as database:
            yield from _guarded("database", _inside(database))
            yield from _guarded("signing key", _key(home, database))
            is_open = True
    except (SchemaError, NotFoundError) as error:
        yield from_error("database", error, is_known=True)
    except GuardianError as error:
        yield from_error("database", error)
    yield from _guarded("broker", _broker(home, settings, forced=kafka, is_open=is_open))


def _inside(database: Database) -> Iterator[Finding]:
    from guardian.adapters.clock import wall_clock
    from guardian.adapters.sql import health
    from guardian.engine.doctor import check_clock, check_leases, check_triggers
    from guardian.engine.findings import ok

    health.probe_write(database)
    yield ok("database", f"{database.name} has this release's schema and can be written")
    yield check_triggers(health.missing_triggers(database))
    there = health.server_time(database)
    if there is not None:
        yield check_clock("the database's clock", there, wall_clock())
    yield from check_leases(health.leases(database), wall_clock())


def _key(home: Home, database: Database) -> Iterator[Finding]:
    from guardian.adapters.keys.files import read_public_key, read_signing_key
    from guardian.adapters.sql.audit_log import SqlAuditLog
    from guardian.audit.signing import KeyRefusedError, log_name
    from guardian.engine.doctor import from_error
    from guardian.engine.findings import fail, ok

    try:
        key = read_signing_key(home.private_key, log_name(SqlAuditLog(database).log_id()))
        public = read_public_key(home.public_key)
    except KeyRefusedError as error:
        yield from_error("signing key", error, is_known=True)
        return
    if public.text() == key.public().text():
        yield ok("signing key", f"{home.private_key} signs, {home.public_key} checks")
    else:
        hint = "restore the pair that was made for this log"
        yield fail("signing key", f"{home.public_key} does not belong to {home.private_key}", hint)


def _broker(home: Home, settings: Settings, *, forced: bool, is_open: bool) -> Iterator[Finding]:
    from guardian.config import Settings
    from guardian.engine.findings import ok
    from guardian.entrypoints.cli.broker import standings_of, topic_findings

    standings = standings_of(home, settings) if is_open else []
    named = bool(settings.database) or settings.broker != Settings().broker
    if not (forced or named or standings):
        yield ok("broker", "no setting names one, so it is not looked at")
        return
    found = list(topic_findings(settings, standings))
    yield ok("broker", f"{settings.broker} answers")
    yield from found


def _packages() -> Iterator[Finding]:
    from guardian.adapters.packages import declared_extras, installed, required
    from guardian.engine.doctor import EXTRAS, check_extras, check_libraries

    yield from check_libraries(required())
    extras = {name: EXTRAS[name] for name in declared_extras() if name in EXTRAS}
    yield from check_extras(extras, installed([package for extra in extras.values() for package in extra.packages]))
