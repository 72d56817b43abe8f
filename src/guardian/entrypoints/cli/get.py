"""`guardian get`: print what is known, oldest first."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.decisions.episodes import AlertState
from guardian.decisions.retraining import RequestState
from guardian.decisions.verdict import Verdict
from guardian.entrypoints.cli.output import emit
from guardian.entrypoints.cli.session import Format, Output, instant, session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

app = typer.Typer(help="Print models, windows, measurements, verdicts, alerts, audit records and more.", no_args_is_help=True)


class Severe(StrEnum):
    """The severities of rules; what reads policy files would be slow to import."""

    WARN = "warn"
    ERROR = "error"


Model = Annotated[str | None, typer.Option("--model", "-m", help="Only this model.")]
Policy = Annotated[str | None, typer.Option(help="Only this policy.")]
Rule = Annotated[str | None, typer.Option(help="Only this rule.")]
Severity = Annotated[Severe | None, typer.Option(help="Only this severity.")]
VerdictIs = Annotated[Verdict | None, typer.Option("--verdict", help="Only what was judged so.")]
State = Annotated[AlertState | None, typer.Option(help="Only this state.")]
Standing = Annotated[RequestState | None, typer.Option(help="Only this state.")]
Since = Annotated[str | None, typer.Option(help="Only windows that end after this instant, or what happened from it on.")]
Until = Annotated[str | None, typer.Option(help="Only windows that end by this instant, or what happened before it.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many rows, the newest ones.")]
All = Annotated[bool, typer.Option("--all", help="Superseded revisions, pending and retracted alerts as well.")]


@app.command()
def models(model: Model = None, output: Output = None) -> None:
    """Models and versions that were seen, with what is counted and judged of them."""
    names = ("model", "version", "first_pane", "last_pane", "panes", "verdicts", "firing")
    _print("models", names, output, model=model)


@app.command()
def windows(  # noqa: PLR0913  # one parameter an option
    model: Model = None,
    policy: Policy = None,
    rule: Rule = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    output: Output = None,
) -> None:
    """Windows that were judged, with how many latest verdicts came out how."""
    names = ("model", "version", "window.start", "window.end", "final", "violated", "satisfied", "inconclusive", "unknown")
    _print("windows", names, output, model=model, policy=policy, rule=rule, since=since, until=until, limit=limit)


@app.command()
def verdicts(  # noqa: PLR0913  # one parameter an option
    model: Model = None,
    policy: Policy = None,
    rule: Rule = None,
    verdict: VerdictIs = None,
    severity: Severity = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    everything: All = False,
    output: Output = None,
) -> None:
    """What was judged: the latest revision of each verdict, or all revisions."""
    names = (
        "window.end", "model", "version", "policy", "rule", "severity", "subject", "verdict", "reason", "value", "interval", "n",
    )  # fmt: skip
    wanted = {"model": model, "policy": policy, "rule": rule, "verdict": verdict, "severity": severity}
    _print("verdicts", names, output, **wanted, since=since, until=until, limit=limit, everything=everything)


@app.command()
def measurements(  # noqa: PLR0913  # one parameter an option
    model: Model = None,
    policy: Policy = None,
    rule: Rule = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    everything: All = False,
    output: Output = None,
) -> None:
    """What was measured, once for both rungs of a rule."""
    names = ("window.end", "model", "version", "metric", "subject", "value", "interval", "n")
    wanted = {"model": model, "policy": policy, "rule": rule, "since": since, "until": until}
    _print("measurements", names, output, **wanted, limit=limit, everything=everything)


@app.command()
def alerts(  # noqa: PLR0913  # one parameter an option
    model: Model = None,
    policy: Policy = None,
    rule: Rule = None,
    severity: Severity = None,
    state: State = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    everything: All = False,
    output: Output = None,
) -> None:
    """Firing and resolved alerts; with --all pending and retracted ones too."""
    names = ("state", "severity", "model", "version", "rule", "subject", "started_at", "value", "threshold", "n", "id")
    wanted = {"model": model, "policy": policy, "rule": rule, "severity": severity, "state": state}
    _print("alerts", names, output, **wanted, since=since, until=until, limit=limit, everything=everything)


@app.command()
def audit(model: Model = None, since: Since = None, until: Until = None, limit: Limit = None, output: Output = None) -> None:
    """Audit records, unverified: guardian audit verify verifies them."""
    names = ("recorded_at", "stream", "seq", "kind", "model", "id", "hash")
    _print("audit", names, output, model=model, since=since, until=until, limit=limit)


@app.command()
def retraining(
    model: Model = None,
    state: Standing = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    output: Output = None,
) -> None:
    """Retraining requests."""
    names = ("id", "model", "version", "state", "reason", "proposed_at", "decided_by", "decided_at")
    _print("retraining", names, output, model=model, state=state, since=since, until=until, limit=limit)


@app.command()
def deadletters(
    model: Model = None, since: Since = None, until: Until = None, limit: Limit = None, output: Output = None
) -> None:
    """Events that could not be counted, with the reason."""
    names = ("topic", "partition", "offset", "reason", "place", "model", "detail")
    _print("dead_letters", names, output, model=model, since=since, until=until, limit=limit)


@app.command()
def intake(model: Model = None, since: Since = None, until: Until = None, limit: Limit = None, output: Output = None) -> None:
    """What became of events (counted, joined, duplicate, too-late ..), by the pane of each event's time."""
    _print("intake", ("model", "pane", "fate", "n"), output, model=model, since=since, until=until, limit=limit)


def _print(what: str, columns: tuple[str, ...], output: Format | None, **wanted: Any) -> None:
    from guardian.adapters.sql.reader import Filter
    from guardian.bootstrap import open_reader

    for name in ("since", "until"):
        wanted[name] = instant(wanted.get(name), f"--{name}")
    reader = open_reader(session().home)
    read: Callable[[Filter], Iterable[dict[str, Any]]] = getattr(reader, what)
    emit(read(Filter(**wanted)), columns, output)
