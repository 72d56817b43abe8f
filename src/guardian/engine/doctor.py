"""Whether an installation is fit to work: facts about it, and what each of them means.

Takes facts that adapters gathered. Gives findings. Never: looks at anything itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardian.engine.fates import StoreBusyError
from guardian.engine.findings import fail, ok, unreachable, warn
from guardian.errors import UnreachableError
from guardian.units import SECOND_MS, format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from guardian.engine.findings import Finding
    from guardian.errors import GuardianError

SKEW_MS_MAX: Final = 5 * SECOND_MS
DISK_WARN_BYTES: Final = 1 << 30
DISK_FAIL_BYTES: Final = 100 << 20  # SQLite's log and one large transaction must find room.


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Who has taken what there is only one of.

    Attributes:
        name: Of the lease.
        holder: Who; empty where it was released.
        expires_at: Wall clock, UTC milliseconds.
    """

    name: str
    holder: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Library:
    """A package that guardian runs on.

    Attributes:
        name: As it is installed by.
        pinned: The one version that it must have; empty where a range will do.
        version: What is installed; empty where it is not.
        licence: What its metadata say.
    """

    name: str
    pinned: str
    version: str
    licence: str


@dataclass(frozen=True, slots=True)
class Extra:
    """Something that can be installed beside guardian.

    Attributes:
        packages: What it consists of.
        gives: What it is for.
        caution: What its licence asks, where that is more than to be named.
    """

    packages: tuple[str, ...]
    gives: str
    caution: str = ""


EXTRAS: Final[Mapping[str, Extra]] = {}
"""By the name of the extra. Every extra that the package declares is in here, and no other: today it declares none."""

PERMISSIVE: Final = ("MIT", "BSD", "Apache", "0BSD", "Zlib", "CC0", "PSF", "Python Software Foundation", "ISC", "Unlicense")


def from_error(check: str, error: GuardianError, *, is_known: bool = False) -> Finding:
    """Return what an error says of a check: that something is wrong, or that nothing could be learned.

    Args:
        check: What was looked at.
        error: What came of it.
        is_known: Whether the error tells how it is, though its kind says that something could not be reached.
    """
    what = " ".join(str(error.args[0]).split())
    if isinstance(error, (UnreachableError, StoreBusyError)) and not is_known:
        return unreachable(check, what, error.hint)
    return fail(check, what, error.hint)


def check_disk(free: int, where: str) -> Finding:
    """Say whether there is room to write to.

    >>> check_disk(5 << 30, "/var").what
    '5.0 GiB free at /var'
    """
    what = f"{free / (1 << 30):.1f} GiB free at {where}"
    if free < DISK_FAIL_BYTES:
        return fail("disk", what, "make room: nothing can be counted when it is full")
    return warn("disk", what, "make room before it is full") if free < DISK_WARN_BYTES else ok("disk", what)


def check_clock(whose: str, there: int, here: int) -> Finding:
    """Compare another clock with this machine's, both in UTC milliseconds."""
    skew = there - here
    what = f"{whose} is {abs(skew) / SECOND_MS:.1f} s {'ahead of' if skew > 0 else 'behind'} this machine"
    if abs(skew) > SKEW_MS_MAX:
        return warn("clock", what, "let both follow one time server: leases run out and events are quarantined by these clocks")
    return ok("clock", what)


def check_leases(leases: Sequence[LeaseRow], now: int) -> Iterator[Finding]:
    """Say who holds what there is only one of, and whose time has run out."""
    for lease in leases:
        check = f"lease {lease.name}"
        if not lease.holder:
            yield ok(check, "nobody holds it")
        elif lease.expires_at > now:
            yield ok(check, f"{lease.holder} holds it until {format_time(lease.expires_at)}")
        else:
            what = f"{lease.holder} held it until {format_time(lease.expires_at)} and did not give it back"
            yield warn(check, what, "see whether that process still runs; the next one that starts takes over")


def check_triggers(missing: Sequence[str]) -> Finding:
    """Say whether the database refuses to rewrite what only grows."""
    if missing:
        hint = "restore the database from a backup, or put the triggers of the migration back; then guardian audit verify"
        return fail("append-only", f"triggers are gone: {', '.join(missing)}", hint)
    return ok("append-only", "the database refuses to rewrite what only grows")


def check_libraries(libraries: Sequence[Library]) -> Iterator[Finding]:
    """Say which libraries are not what guardian was built on, and whose licence is not a permissive one."""
    flaws = list(_library_flaws(libraries))
    yield from flaws or [ok("libraries", f"{len(libraries)} installed, those with one version at that version")]
    others = [f"{each.name} {each.version} ({each.licence})" for each in libraries if each.version and not _is_permissive(each)]
    yield ok("licences", f"permissive, but for {', '.join(others)}" if others else "all permissive")


def _library_flaws(libraries: Sequence[Library]) -> Iterator[Finding]:
    for each in libraries:
        if not each.version:
            yield fail(
                "libraries", f"{each.name} is not installed", "install guardian with its lock file, requirements/default.txt"
            )
        elif each.pinned and each.version != each.pinned:
            what = f"{each.name} is {each.version}, and only {each.pinned} will do: guardian leans on what it does not promise"
            yield fail("libraries", what, f"install {each.name}=={each.pinned}")


def _is_permissive(library: Library) -> bool:
    return any(word in library.licence for word in PERMISSIVE) and "GPL" not in library.licence


def check_extras(extras: Mapping[str, Extra], installed: Mapping[str, Library]) -> Iterator[Finding]:
    """Say of every extra whether it is here, under which licence, and what it would give."""
    for name, extra in extras.items():
        check = f"extra {name}"
        here = [installed[package] for package in extra.packages if package in installed]
        if len(here) < len(extra.packages):
            yield ok(check, f"not installed; it would give {extra.gives}")
            continue
        what = ", ".join(f"{each.name} {each.version} ({each.licence or 'licence not told'})" for each in here)
        yield warn(check, what, extra.caution) if extra.caution else ok(check, what)
