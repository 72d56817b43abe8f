"""A document against a file format: the typed value, or every mistake where it stands, with the way out.

An unknown key is reported at the key, a bad value at the value, a missing key at the mapping that lacks it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from guardian.files.document import Document, Path, choice_hint, has_step, shown
from guardian.files.schema import allowed_keys, description_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardian.errors import Mistake

M = TypeVar("M", bound=BaseModel)

_QUOTED: Final = re.compile(r"'([^']*)'")
_RANGES: Final[Mapping[str, str]] = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "too_short": "needs at least {min_length}",
    "too_long": "has more than {max_length}",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "has more than {max_length} characters",
}
_TYPES: Final[Mapping[str, str]] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Values that are fine alone and do not go together: where, what and the way out."""

    path: Path
    what: str
    hint: str
    code: str = "file.inconsistent"


def refuse(title: str, conflicts: Sequence[Conflict]) -> None:
    """Raise pydantic's ValidationError with every conflict at its own place; does nothing without conflicts.

    For model validators: what they raise otherwise stands at the model as a whole, and is only ever one.
    """
    if conflicts:
        details = [
            InitErrorDetails(type=PydanticCustomError(c.code, "{what}", {"what": c.what, "hint": c.hint}), loc=c.path, input=None)
            for c in conflicts
        ]
        raise ValidationError.from_exception_data(title, details)


def validate(document: Document, model: type[M], at: Path = ()) -> M | tuple[Mistake, ...]:
    """Return what the document, or the part of it at `at`, means as a `model`, or every mistake of it in file order.

    Types are strict: text is not a number, a boolean is not a number, and a duration is text.
    """
    try:
        return model.model_validate_json(json.dumps(document.get(at)), strict=True)
    except ValidationError as error:
        checker = _Checker(document, model, at)
        found = dict.fromkeys(m for group in checker.groups(error.errors(include_url=False)) for m in [checker.mistake(group)])
        return tuple(sorted(found, key=lambda m: (m.line, m.column, m.path)))


@dataclass(frozen=True, slots=True)
class _Found:
    """One of pydantic's errors: its path in the document, and how far it went into one choice of several."""

    path: Path
    choice: bool
    error: ErrorDetails


@dataclass(frozen=True, slots=True)
class _Checker:
    """Turns pydantic's errors into mistakes."""

    document: Document
    model: type[BaseModel]
    at: Path

    def groups(self, errors: Sequence[ErrorDetails]) -> list[list[_Found]]:
        """Put the errors of one value's several choices together; the choice that went deepest speaks for all."""
        unions: dict[Path, list[_Found]] = {}
        out: list[list[_Found]] = []
        for error in errors:
            found, union = self.locate(error)
            if self.spurious(found):
                continue
            if union is None:
                out.append([found])
            else:
                unions.setdefault(union, []).append(found)
        for together in unions.values():
            deepest = max(len(each.path) for each in together)
            best = [each for each in together if len(each.path) == deepest]
            out += [best] if any(each.choice for each in best) else [[each] for each in best]
        return out

    def locate(self, error: ErrorDetails) -> tuple[_Found, Path | None]:
        """Follow an error's location through the document; what is not in it names one choice of a union."""
        path: Path = self.at
        union: Path | None = None
        here = self.document.get(self.at)
        steps = error["loc"]
        for i, step in enumerate(steps):
            if has_step(here, step):
                path, here = (*path, step), here[step]
            elif i == len(steps) - 1 and error["type"] == "missing":
                path = (*path, step)
            elif not error["type"].startswith("file."):
                union = path if union is None else union
        return _Found(path, union == path, error), union

    def spurious(self, found: _Found) -> bool:
        """What was refused is neither left out nor null, and a list whose items are all wrong is not short as well."""
        kind = found.error["type"]
        if not self.document.whole and (
            kind in {"missing", "too_short"} or kind.startswith("file.") or found.error["input"] is None
        ):
            return True
        if kind != "too_short":
            return False
        value = self.document.get(found.path)
        return isinstance(value, list | dict) and len(value) >= found.error["ctx"]["min_length"]

    def mistake(self, group: list[_Found]) -> Mistake:
        if len(group) > 1:
            return self.no_choice(group)
        found = group[0]
        kind, path = found.error["type"], found.path
        if kind == "extra_forbidden":
            what = f"unknown key {shown(path[-1])}{self.inside(path[:-1])}"
            known = allowed_keys(self.model, self.below(path[:-1]))
            unused = [key for key in known if not has_step(self.document.get(path[:-1]), key)]
            return self.document.mistake("file.unknown-key", path, what, choice_hint(path[-1], unused or known), key=True)
        if kind == "missing":
            what = f"{shown(path[-1])} is missing{self.inside(path[:-1])}"
            hint = f"add {path[-1]}: {self.describe(path) or 'it is needed here'}"
            return self.document.mistake("file.missing-key", path, what, hint)
        code, what, hint = self.say(found)
        return self.document.mistake(code, path, what, hint)

    def say(self, found: _Found) -> tuple[str, str, str]:
        """Return code, sentence and hint of a value that is there and wrong."""
        error, value = found.error, shown(found.error["input"])
        kind, ctx = error["type"], error.get("ctx", {})
        describe = self.describe(found.path) or "see the format's schema"
        if kind.startswith("file."):
            return kind, str(ctx["what"]), str(ctx["hint"])
        if kind == "literal_error":
            hint = choice_hint(error["input"], _QUOTED.findall(ctx["expected"]))
            return "file.not-allowed", f"{value} is not allowed here", hint
        if kind in _TYPES:
            return "file.wrong-type", f"{value} is not {_TYPES[kind]}", _type_hint(kind, error["input"], describe)
        if kind in _RANGES:
            return "file.out-of-range", f"{value}: {_RANGES[kind].format(**ctx)}", describe
        if kind == "string_pattern_mismatch":
            return "file.malformed", f"{value} does not have the right form", describe
        return "file.malformed", f"{value}: {error['msg'].removeprefix('Value error, ')}", describe

    def no_choice(self, group: list[_Found]) -> Mistake:
        """A value that is none of several choices."""
        first = group[0]
        names = [n for f in group if f.error["type"] == "literal_error" for n in _QUOTED.findall(f.error["ctx"]["expected"])]
        kinds = list(dict.fromkeys(_TYPES[f.error["type"]] for f in group if f.error["type"] in _TYPES))
        value = first.error["input"]
        what = f"{shown(value)} is not allowed here"
        hint = choice_hint(value, [*names, *kinds])
        code = "file.not-allowed" if names and isinstance(value, str) else "file.wrong-type"
        return self.document.mistake(code, first.path, what, hint)

    def below(self, path: Path) -> Path:
        return path[len(self.at) :]

    def describe(self, path: Path) -> str:
        return description_of(self.model, self.below(path))

    def inside(self, path: Path) -> str:
        return f" in {path[-1]}" if path and isinstance(path[-1], str) else ""


def _type_hint(kind: str, value: Any, describe: str) -> str:
    if kind == "string_type" and isinstance(value, int | float):
        return f"put it in quotes: {shown(json.dumps(value))}"
    if value is None:
        return f"write a value, or leave the key out: {describe}"
    wanted = "a whole number, without quotes" if kind.startswith("int") else _TYPES[kind]
    return f"write {wanted}: {describe}"
