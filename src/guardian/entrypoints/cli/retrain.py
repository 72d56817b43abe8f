"""`guardian retrain`: what the alerts ask for, and what people decide about it."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from guardian.decisions.retraining import RequestState
from guardian.entrypoints.cli.output import emit, say
from guardian.entrypoints.cli.session import Output, session

if TYPE_CHECKING:
    from guardian.decisions.retraining import Action

app = typer.Typer(help="List, approve, reject and complete retraining requests.", no_args_is_help=True)

COLUMNS = ("id", "model", "version", "state", "reason", "proposed_at", "decided_by")

RequestId = Annotated[str, typer.Argument(help="The request's id, or the beginning of it.")]
By = Annotated[str, typer.Option("--by", help="Who decides; default the user who runs this.")]
Note = Annotated[str, typer.Option("--note", help="Why, in your words; kept in the audit log.")]


@app.command("list")
def list_requests(
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    state: Annotated[RequestState | None, typer.Option(help="Only requests in this state.")] = None,
    output: Output = None,
) -> None:
    """List retraining requests, oldest first."""
    from guardian.adapters.sql.reader import Filter
    from guardian.bootstrap import open_reader

    emit(open_reader(session().home).retraining(Filter(model=model, state=state)), COLUMNS, output)


@app.command()
def approve(request: RequestId, by: By = "", note: Note = "") -> None:
    """Approve a request: its trainer may start."""
    _decide(request, "approve", by, note)


@app.command()
def reject(request: RequestId, by: By = "", note: Note = "") -> None:
    """Reject a request."""
    _decide(request, "reject", by, note)


@app.command()
def complete(
    request: RequestId,
    failed: Annotated[bool, typer.Option("--failed", help="The training failed.")] = False,
    by: By = "",
    note: Note = "",
) -> None:
    """Say that an approved training is done, or that it failed."""
    _decide(request, "fail" if failed else "complete", by, note)


def _decide(request: str, action: Action, by: str, note: str) -> None:
    from guardian.adapters.clock import wall_clock
    from guardian.bootstrap import INBOX, open_store
    from guardian.engine.decide import Decision, decide
    from guardian.engine.ports import Partition

    store = open_store(session().home)
    decision = Decision(action, by or getpass.getuser(), note, wall_clock())
    done = decide(store, Partition(INBOX, 0), request, decision)
    say(f"request {done.id} of {done.model} is {done.state.value}")
