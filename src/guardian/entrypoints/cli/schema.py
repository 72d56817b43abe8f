"""`guardian schema`: the JSON Schema of the files that people write, for editors and for checks in CI; the AsyncAPI document."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.entrypoints.cli.session import session
from guardian.errors import UsageError

if TYPE_CHECKING:
    from guardian.config import Settings
    from guardian.engine.asyncapi import Server


class Kind(StrEnum):
    """What there is a schema of."""

    POLICY = "policy"
    MODEL = "model"
    EVENTS = "events"
    ASYNCAPI = "asyncapi"


def schema(
    kind: Annotated[Kind, typer.Argument(help="policy, model, events or asyncapi.")],
    servers: Annotated[bool, typer.Option("--servers", help="Of asyncapi: say where the broker of this home is.")] = False,
) -> None:
    """Print the JSON Schema of policy files, model files or events, in the common subset of draft-07 and 2020-12.

    asyncapi prints the AsyncAPI document of all topics and messages, under this home's topic_prefix.
    """
    if servers and kind is not Kind.ASYNCAPI:
        raise UsageError(f"--servers is not for {kind}", hint="say guardian schema asyncapi --servers")
    sys.stdout.write(_as_text(_asyncapi(servers)) if kind is Kind.ASYNCAPI else schema_text(kind))


def schema_text(kind: str) -> str:
    """Return a kind's JSON Schema as text."""
    from guardian.catalog.model_file import ModelFile
    from guardian.files.schema import schema_of
    from guardian.policies.model import PolicyFile

    if kind == Kind.EVENTS:
        from guardian.events.schema import events_schema

        return _as_text(events_schema())
    formats = {Kind.POLICY: PolicyFile, Kind.MODEL: ModelFile}
    return _as_text(schema_of(formats[Kind(kind)]))


def _as_text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _asyncapi(servers: bool) -> dict[str, Any]:
    from importlib.metadata import version

    from guardian.config import Settings
    from guardian.engine.asyncapi import asyncapi

    settings = Settings.load(session().home)
    server = _server(settings) if servers else None
    return asyncapi(version("guardian-ml"), settings.topic_prefix, settings.group, server)


def _server(settings: Settings) -> Server:
    from guardian.engine.asyncapi import Server

    tls, sasl = (settings.broker_security in names for names in (("tls", "sasl_tls"), ("sasl", "sasl_tls")))
    return Server(tuple(settings.broker.split(",")), tls, settings.broker_mechanism if sasl else "")
