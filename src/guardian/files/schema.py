"""The JSON Schema of a file format: what editors complete by, and where hints take the allowed names from.

In the common subset of draft-07 and 2020-12, so that old and new editors read it alike.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from guardian.units import format_duration

if TYPE_CHECKING:
    from pydantic import BaseModel

    from guardian.files.document import Path

Schema = dict[str, Any]


@lru_cache(maxsize=16)
def schema_of(model: type[BaseModel]) -> Schema:
    """Return the JSON Schema of the files that `model` reads. Shared: not to be changed."""
    schema: Schema = _clean(model.model_json_schema())
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def field_schemas(model: type[BaseModel], path: Path) -> list[Schema]:
    """Return what may stand at `path`, one schema a choice; empty where the format knows no such place."""
    root = schema_of(model)
    found = _choices(root, root)
    for step in path:
        found = [choice for each in found for choice in _step(root, each, step)]
    return found


def description_of(model: type[BaseModel], path: Path) -> str:
    """Return what the format says of the field at `path`, or an empty text."""
    if not path:
        return ""
    for parent in field_schemas(model, path[:-1]):
        text = parent.get("properties", {}).get(path[-1], {}).get("description")
        if text:
            return str(text)
    return ""


def allowed_keys(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that a mapping at `path` may have, in the format's order."""
    return list(dict.fromkeys(key for each in field_schemas(model, path) for key in each.get("properties", {})))


def _choices(root: Schema, schema: Schema) -> list[Schema]:
    if "$ref" in schema:
        return _choices(root, root["$defs"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return [choice for each in schema["anyOf"] for choice in _choices(root, each)]
    return [schema]


def _step(root: Schema, schema: Schema, step: str | int) -> list[Schema]:
    if isinstance(step, int):
        inner = schema.get("items")
    else:
        inner = schema.get("properties", {}).get(step, schema.get("additionalProperties"))
    return _choices(root, inner) if isinstance(inner, dict) else []


def _clean(node: Any) -> Any:
    """Drop what only pydantic means: titles, its own bounds, and durations as numbers."""
    if isinstance(node, list):
        return [_clean(each) for each in node]
    if not isinstance(node, dict):
        return node
    out = {key: _clean(value) for key, value in node.items() if key not in {"title", "ge"} or isinstance(value, dict)}
    if out.get("type") == "string" and isinstance(out.get("default"), int):
        out["default"] = format_duration(out["default"])
    return out
