"""Which packages are installed, in which version, under which licence: as their metadata say it."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Final

from guardian.engine.doctor import Library

OWN: Final = "guardian-ml"
LICENCE_CHARACTERS_MAX: Final = 60  # Some put the whole text into the field for its name.
_REQUIREMENT: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?\s*(==(?P<pinned>[A-Za-z0-9.]+))?")


def required() -> list[Library]:
    """Return the libraries that guardian itself asks for, extras left out."""
    wanted = [text for text in metadata.requires(OWN) or () if "extra ==" not in text]
    matches = [match for text in wanted if (match := _REQUIREMENT.match(text))]
    return [_library(match["name"], match["pinned"] or "") for match in matches]


def declared_extras() -> list[str]:
    """Return the names of the extras that guardian's package declares."""
    return list(metadata.metadata(OWN).get_all("Provides-Extra") or ())


def installed(names: list[str]) -> dict[str, Library]:
    """Return those of the packages that are installed, by name."""
    return {name: library for name in names if (library := _library(name, "")).version}


def _library(name: str, pinned: str) -> Library:
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return Library(name, pinned, "", "")
    return Library(name, pinned, str(told["Version"]), _licence(told))


def _licence(told: metadata.PackageMetadata) -> str:
    classified = [text.rpartition(" :: ")[2] for text in told.get_all("Classifier") or () if text.startswith("License ::")]
    said = _field(told, "License-Expression") or ", ".join(classified) or _field(told, "License")
    return said[:LICENCE_CHARACTERS_MAX]


def _field(told: metadata.PackageMetadata, name: str) -> str:
    said: list[str] = told.get_all(name) or [""]
    return said[0].strip().partition("\n")[0]
