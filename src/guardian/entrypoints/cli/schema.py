"""`guardian schema`: the JSON Schema of the files that people write, for editors and for checks in CI."""

from __future__ import annotations

import json
import sys
from enum import StrEnum

import typer


class Kind(StrEnum):
    """What there is a schema of."""

    POLICY = "policy"
    MODEL = "model"
    EVENTS = "events"


def schema(kind: Kind = typer.Argument(..., help="policy, model or events.")) -> None:
    """Print the JSON Schema of policy files, model files or events, in the common subset of draft-07 and 2020-12."""
    sys.stdout.write(schema_text(kind))


def schema_text(kind: str) -> str:
    """Return a kind's JSON Schema as text."""
    from guardian.catalog.model_file import ModelFile
    from guardian.files.schema import schema_of
    from guardian.policies.model import PolicyFile

    if kind == Kind.EVENTS:
        from guardian.events.schema import events_schema

        return json.dumps(events_schema(), indent=2, ensure_ascii=False) + "\n"
    formats = {Kind.POLICY: PolicyFile, Kind.MODEL: ModelFile}
    return json.dumps(schema_of(formats[Kind(kind)]), indent=2, ensure_ascii=False) + "\n"
