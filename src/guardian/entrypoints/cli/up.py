"""`guardian up`: run the embedded engine."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from guardian.entrypoints.cli.output import say
from guardian.entrypoints.cli.session import session
from guardian.errors import UsageError


def up(
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when every event there is has been judged.")] = False,
    finalise: Annotated[
        bool, typer.Option("--finalise", help="With --until-idle: move the clocks on until every window is final.")
    ] = False,
) -> None:
    """Run the embedded engine: count, judge, record, announce; Ctrl-C or SIGTERM ends it after the step under way."""
    if finalise and not until_idle:
        raise UsageError("--finalise needs --until-idle", hint="a service that keeps running never knows the last event")
    from guardian.bootstrap import open_service

    service = open_service(session().home, say)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run(until_idle=until_idle, finalise=finalise)
    say("stopped")
