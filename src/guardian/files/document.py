"""One document of a file: its plain value, and where each key and value of it stands.

Takes and gives values. Never: opens a file.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardian.errors import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Path = tuple[str | int, ...]
"""Where in a document: keys of mappings and indices of lists, from the root."""

SHOWN_MAX: Final = 60  # Characters of a quoted value in a message; a file cannot flood a terminal.
LISTED_MAX: Final = 24  # Allowed names in a hint; the documentation has the rest.
_CLOSE: Final = 0.6  # difflib's customary ratio: one or two slips in a word of usual length.
_PLAIN_KEY: Final = re.compile(r"[\w-]+")


class Place(NamedTuple):
    """A place in a file, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Attributes:
        file: The file as the user named it.
        value: Plain dict, list, str, int, float, bool and None.
        keys: Where each key stands, by the path of its value.
        values: Where each value starts, by its path; the root's path is ().
        whole: Whether `value` holds all that was written; parts under refused keys and aliases are left out.
    """

    file: str
    value: Any
    keys: Mapping[Path, Place]
    values: Mapping[Path, Place]
    whole: bool = True

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return where the value at `path` starts, or its key; what is not written stands where its nearest parent does."""
        if key and path in self.keys:
            return self.keys[path]
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, Place(1, 1))

    def get(self, path: Path) -> Any:
        """Return the value at `path`, or None where there is none."""
        here: Any = self.value
        for step in path:
            if not has_step(here, step):
                return None
            here = here[step]
        return here

    def mistake(self, code: str, path: Path, what: str, hint: str, *, key: bool = False, warning: bool = False) -> Mistake:
        """Return a mistake that stands at `path`."""
        line, column = self.place(path, key=key)
        return Mistake(code, self.file, line, column, what, hint, path_text(path), warning)


def has_step(value: object, step: str | int) -> bool:
    """Return whether `value` has the key or index `step`."""
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)


def path_text(path: Path) -> str:
    """Write a path as people do; keys that are no plain words are quoted.

    >>> path_text(("spec", "rules", 0, "warn")), path_text(("labels", "a b"))
    ('spec.rules[0].warn', 'labels["a b"]')
    """
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            out += f".{step}" if out else step
        else:
            out += f"[{shown(step)}]"
    return out


def shown(value: object) -> str:
    r"""Write a value into a message: one line, escaped (no terminal codes, no bidirectional marks), bounded.

    >>> shown("30x"), shown("\x1b[31m")
    ('"30x"', '"\\u001b[31m"')
    """
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 2] + ".."


def closest(name: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed name that `name` was probably meant to be.

    >>> closest("thresold", ["threshold", "window"]), closest("xyz", ["threshold"])
    ('threshold', None)
    """
    lowered = {each.lower(): each for each in allowed}
    found = difflib.get_close_matches(name[:SHOWN_MAX].lower(), lowered, n=1, cutoff=_CLOSE)
    return lowered[found[0]] if found else None


def choice_hint(name: object, allowed: Iterable[str], none: str = "nothing is allowed here; remove it") -> str:
    """Return the hint for a name that is not among `allowed`: did you mean, and what there is; `none` where there is nothing.

    >>> choice_hint("numric", ["numeric", "categorical"])
    'did you mean numeric? allowed: numeric, categorical'
    """
    names = list(allowed)
    if not names:
        return none
    listed = ", ".join(names[:LISTED_MAX]) + (", .." if len(names) > LISTED_MAX else "")
    guess = closest(name, names) if isinstance(name, str) else None
    return f"did you mean {guess}? allowed: {listed}" if guess else f"allowed: {listed}"
