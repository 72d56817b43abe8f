"""Write the parts of docs/ that repeat what the code says: `python tools/docs.py`; with --check, only say whether they are stale.

A generated part stands between `<!-- generated: NAME -->` and `<!-- /generated -->`; everything around it is written by hand. The
sources are the registries: metrics, errors and codes, settings, commands, and the keys of files.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, PlainSerializer
from pydantic_core import PydanticUndefined

import guardian
from guardian.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from dataclasses import Field

    from pydantic.fields import FieldInfo

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
PART: Final = re.compile(r"(?P<open><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<close><!-- /generated -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    stale = [path for path in sorted(DOCS.glob("*.md")) if refreshed(text := path.read_text("utf-8")) != text]
    for path in stale:
        if "--check" not in arguments:
            path.write_text(refreshed(path.read_text("utf-8")), "utf-8")
        print(f"{path.relative_to(ROOT)} {'is stale' if '--check' in arguments else 'was written'}")
    return 1 if stale and "--check" in arguments else 0


def refreshed(text: str) -> str:
    """Return a document with its generated parts as the code has them now."""
    return PART.sub(lambda part: f"{part['open']}\n{PARTS[part['name']]().strip()}\n\n{part['close']}", text)


def metrics(family: str) -> str:
    from guardian.metrics.registry import REGISTRY

    return "\n\n".join(_metric(name) for name, metric in REGISTRY.items() if metric.family == family)


def _metric(name: str) -> str:
    from guardian.metrics.registry import REGISTRY

    metric = REGISTRY[name]
    low, high = (_bound(x) for x in (metric.low, metric.high))
    facts = [
        ("unit", metric.unit),
        ("range", f"{low} to {high}"),
        ("of", {"columns": "each column or output", "model": "the model", "groups": "the groups of a segment (`by`)"}[metric.of]),
        ("columns", " or ".join(metric.columns) if metric.of == "columns" else ""),
        ("tasks", ", ".join(metric.tasks)),
        ("better", metric.better),
        ("parameters", ", ".join(f"`{key}` (default {value:g})" for key, value in metric.parameters.items())),
        ("needs", " and ".join(_needs(metric))),
        ("`classes`", "each class of a multiclass model by itself" if metric.per_class else ""),
    ]
    module = (ROOT / "src/guardian/metrics" / f"{name.replace('.', '/')}.py").read_text("utf-8")
    text = ast.get_docstring(ast.parse(module)) or ""
    reading = metric.reading.replace("{value}", "*value*")
    lines = [f"* {what}: {said}" for what, said in facts if said]
    return "\n".join([f"### {name}", "", text, "", *lines, "", f"Reading: {reading}"])


def _needs(metric: Any) -> Iterator[str]:
    unknown = [task for task in metric.tasks if metric.is_unknown_without_reference(task)]
    if unknown:
        yield "a reference" if len(unknown) == len(metric.tasks) else "a reference (multiclass)"
    if metric.needs_labels:
        yield "labels"


def _bound(x: float) -> str:
    return {float("inf"): "infinity", float("-inf"): "minus infinity"}.get(x, f"{x:.4g}")


def errors() -> str:
    """Return every error class that has a code of its own, by code."""
    from guardian.errors import GuardianError

    for module in pkgutil.walk_packages(guardian.__path__, "guardian."):
        importlib.import_module(module.name)
    found = {cls.code: cls for cls in reversed(list(_subclasses(GuardianError)))}
    return _headed((code, _first_paragraph(cls.__doc__)) for code, cls in sorted(found.items()) if cls is not GuardianError)


def _subclasses(cls: type) -> Iterator[Any]:
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("guardian.") and not sub.__module__.startswith("guardian.testing."):  # Nor those of tests.
            yield sub
            yield from _subclasses(sub)


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def file_codes() -> str:
    from guardian.files.codes import FILE_CODES

    return _headed(FILE_CODES.items())


def model_codes() -> str:
    from guardian.catalog.load import MODEL_CODES

    return _headed(MODEL_CODES.items())


def policy_codes() -> str:
    from guardian.policies.codes import POLICY_CODES

    return _headed(POLICY_CODES.items())


def warning_codes() -> str:
    from guardian.policies.codes import WARNING_CODES

    return _headed(WARNING_CODES.items())


def case_codes() -> str:
    from guardian.pipeline.case_file import CASE_CODES

    return _headed(CASE_CODES.items())


def audit_findings() -> str:
    from guardian.audit.report import MEANINGS

    return _headed((flaw.value, means) for flaw, means in MEANINGS.items())


def _headed(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n\n".join(f"### {code}\n\n{text}" for code, text in pairs)


def settings() -> str:
    from guardian.config import NAMES, PREFIX

    parts = []
    for name, setting in NAMES.items():
        lines = [
            f"### {name}",
            "",
            setting.metadata["doc"],
            "",
            f"* {_setting_values(setting)}",
            f"* in the environment: `{PREFIX}{name.upper()}`",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _setting_values(setting: Field[Any]) -> str:
    meta = setting.metadata
    if "pattern" in meta:
        return f"a text: {meta['hint']}; default {f'`{setting.default}`' if setting.default else 'empty'}"
    write: Callable[[Any], str] = format_duration if meta["span"] else (lambda n: f"{n:,}")
    low, high, default = (write(x) for x in (meta["low"], meta["high"], setting.default))
    return f"{'a duration, as text' if meta['span'] else 'a whole number'}, {low} to {high}; default {default}"


def topics() -> str:
    from guardian.engine.topics import SPECS, full_name

    rows = []
    for spec in SPECS:
        name, types = f"`{full_name('guardian', spec.name)}`", ", ".join(f"`{type_}`" for type_ in spec.types)
        facts = (name, spec.direction, spec.what, spec.key, str(spec.partitions), format_duration(spec.retention_ms), types)
        rows.append(f"| {' | '.join(facts)} |")
    return "\n".join(["| topic | | carries | key | partitions | kept | types |", "|---|---|---|---|---|---|---|", *rows])


def commands() -> str:
    return "\n\n".join(_command(path, command) for path, command in walk_commands())


def walk_commands() -> Iterator[tuple[str, Any]]:
    """Yield every command of `guardian` with its words, groups before what is in them."""
    import typer

    from guardian.entrypoints.cli import app

    def walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield path, command
        if hasattr(command, "list_commands"):
            context = typer.Context(command)
            for name in command.list_commands(context):
                yield from walk(f"{path} {name}", command.get_command(context, name))

    yield from walk("guardian", typer.main.get_command(app))


def _command(path: str, command: Any) -> str:
    words = re.sub(r"(?<!\n)\n(?!\n)", " ", command.help or "").strip()
    rows = [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    lines = [f"{'#' * min(path.count(' ') + 2, 4)} {path}", "", words]
    if rows:
        lines += ["", "| | | default |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _parameter(parameter: Any) -> tuple[str, str, str]:
    name = ", ".join(f"`{opt}`" for opt in parameter.opts)
    if parameter.param_type_name == "argument":
        name = f"`{parameter.metavar or parameter.name.upper()}`"
    elif not parameter.is_flag:
        name += f" {_value_of(parameter)}"
    default = parameter.default
    shown = "" if default in (None, "", False, ()) or callable(default) else f"`{getattr(default, 'value', default)}`"
    return name, (parameter.help or "").replace("|", "\\|"), "required" if parameter.required else shown


def _value_of(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    if parameter.metavar:
        return str(parameter.metavar)
    if issubclass(kind, Enum):
        return "\\|".join(str(member.value) for member in kind)
    return {int: "N", Path: "PATH"}.get(kind, "TEXT")


def keys(kind: str) -> str:
    from guardian.catalog.model_file import ModelFile
    from guardian.pipeline.case_file import CasesFile
    from guardian.policies.model import PolicyFile

    file = {"model": ModelFile, "policy": PolicyFile, "cases": CasesFile}[kind]
    rows = [f"| `{path}` | {typed} | {default} | {said} |" for path, typed, default, said in walk_keys(file)]
    return "\n".join(["| key | value | default | |", "|---|---|---|---|", *rows])


def walk_keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield (path, type, default, description) of every key of a file, parents before children."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        yield path, _type(field.annotation, field), _default(field), (field.description or "").replace("|", "\\|")
        for inner, step in _models(field.annotation):
            yield from walk_keys(inner, f"{path}{step}.")


def _models(annotation: Any, step: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, step
    elif origin is dict:
        yield from _models(get_args(annotation)[1], f"{step}.NAME")
    elif origin is tuple:
        yield from _models(get_args(annotation)[0], f"{step}[]")
    elif origin in {Union, UnionType}:
        for each in get_args(annotation):
            yield from _models(each, step)


def _type(annotation: Any, field: FieldInfo | None = None) -> str:
    spans = [m for m in (field.metadata if field else ()) if isinstance(m, PlainSerializer)]
    spans += [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, PlainSerializer)]
    if spans:
        return "duration" if spans[0].func is format_duration else "condition"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in inner)
    if origin is dict:
        return f"mapping to {_type(inner[1])}"
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin in {Union, UnionType}:
        return " or ".join(dict.fromkeys(_type(each) for each in inner if each is not NoneType))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return {str: "text", int: "whole number", float: "number", bool: "`true` \\| `false`"}[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if default is PydanticUndefined or default in (None, "", ()) or isinstance(default, BaseModel):
        return ""
    spans = any(isinstance(m, PlainSerializer) for m in field.metadata)
    shown = format_duration(default) if spans else str(default).lower() if isinstance(default, bool) else default
    return f"`{shown}`"


PARTS: Final[dict[str, Callable[[], str]]] = {
    **{f"metrics-{family}": (lambda f=family: metrics(f)) for family in ("quality", "drift", "performance", "fairness")},
    "errors": errors,
    "codes-file": file_codes,
    "codes-model": model_codes,
    "codes-policy": policy_codes,
    "codes-warning": warning_codes,
    "codes-cases": case_codes,
    "audit-findings": audit_findings,
    "settings": settings,
    "topics": topics,
    "commands": commands,
    **{f"keys-{kind}": (lambda k=kind: keys(k)) for kind in ("model", "policy", "cases")},
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
