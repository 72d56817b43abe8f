"""`guardian worker`: a process of a fleet on Kafka."""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import Annotated

import typer

from guardian.entrypoints.cli.output import say
from guardian.entrypoints.cli.session import session
from guardian.errors import UsageError


class Role(StrEnum):
    """What a process of a fleet does."""

    ALL = "all"
    COUNT = "count"
    JUDGE = "judge"


def worker(
    role: Annotated[
        Role, typer.Option("--role", help="Count partitions; judge, activate files, sign and relay; or all of it.")
    ] = Role.ALL,
    until_idle: Annotated[
        bool,
        typer.Option(
            "--until-idle",
            help="End when what this role does is done for every event there is; with `judge`, others must count them.",
        ),
    ] = False,
    finalise: Annotated[
        bool, typer.Option("--finalise", help="With --until-idle: move the clocks on until every window is final.")
    ] = False,
) -> None:
    """Run a worker of a fleet: events from Kafka, state in the database, alerts onto topics; run as many as you like.

    Ctrl-C or SIGTERM ends it; whatever was under way is done again by whoever comes next. Exit code 75 asks to be started anew.
    """
    if finalise and not until_idle:
        raise UsageError("--finalise needs --until-idle", hint="a service that keeps running never knows the last event")
    from guardian.bootstrap import open_worker

    with open_worker(session().home, role.value, say) as running:
        if role is Role.JUDGE:  # Whoever reads the log handles signals with a deadline of its own.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: running.stop())
        code = running.run(until_idle=until_idle, finalise_all=finalise)
    say("stopped")
    if code:
        raise typer.Exit(code)
