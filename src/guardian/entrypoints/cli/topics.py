"""`guardian topics`: the topics of Kafka, made and checked as the code says they must be, and halted partitions resumed."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.entrypoints.cli.output import emit, say
from guardian.entrypoints.cli.session import Format, Output, session
from guardian.errors import UsageError

if TYPE_CHECKING:
    from guardian.engine.findings import Finding
    from guardian.engine.topic_check import Planned

app = typer.Typer(help="Make and check the topics of Kafka, and resume halted partitions.", no_args_is_help=True)

PLAN_COLUMNS = ("topic", "action", "partitions", "replication", "retention", "direction", "key")
FINDING_COLUMNS = ("check", "state", "what")


@app.command()
def create(
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1_000, help="Of the events' topic; can never be changed. Default 12.")
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=100, help="Copies of each partition; default 3, or as many as there are brokers.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be made.")] = False,
    output: Output = None,
) -> None:
    """Make the topics that are missing; those that exist are left alone."""
    from guardian.config import Settings
    from guardian.engine.topic_check import plan
    from guardian.entrypoints.cli.broker import look_at_topics, make_topics, standings_of

    home = session().home
    settings = Settings.load(home)
    cluster, found = look_at_topics(settings, len(standings_of(home, settings)))
    if partitions is not None and cluster.counted not in {0, partitions}:
        what = f"guardian counts {cluster.counted} partitions of this log already"
        raise UsageError(what, hint="leave --partitions out, or set topic_prefix to a new name for a new log")
    planned = plan(cluster, found, partitions, replication)
    if not dry_run:
        make_topics(settings, planned)
    emit([_row(topic, dry_run=dry_run) for topic in planned], PLAN_COLUMNS, output)


@app.command()
def check(output: Output = None) -> None:
    """Compare the topics with what they must be, and with what is counted; exit code 1 where something is wrong."""
    from guardian.config import Settings
    from guardian.entrypoints.cli.broker import standings_of, topic_findings

    home = session().home
    settings = Settings.load(home)
    raise typer.Exit(print_findings(list(topic_findings(settings, standings_of(home, settings))), output))


@app.command()
def resume(
    partition: Annotated[int, typer.Argument(min=0, help="The number of the halted partition.")],
    note: Annotated[str, typer.Option("--note", help="What became of the log, and why to go on; it is kept.")],
    by: Annotated[str, typer.Option("--by", help="Who decides; default the user who runs this.")] = "",
) -> None:
    """Let a halted partition be read again, from where counting stands.

    A partition halts when its log is not the one that was counted. Find out why first: what lies there now is counted as it
    comes.
    """
    from guardian.adapters.clock import wall_clock
    from guardian.bootstrap import broker_of, open_store
    from guardian.config import Settings
    from guardian.engine import halt
    from guardian.engine.ports import Partition

    home = session().home
    place = Partition(broker_of(Settings.load(home)).events, partition)
    halt.resume(open_store(home), place, by or getpass.getuser(), note, wall_clock())
    say(f"{halt.name_of(place)} will be read again: a running worker goes on within five seconds")


def print_findings(found: list[Finding], output: Format | None) -> int:
    """Print findings, and on stderr in full what is wrong and what to do about it; return the exit code."""
    from guardian.engine.findings import exit_code

    emit([finding.to_json() for finding in found], FINDING_COLUMNS, output)
    for finding in found:
        if finding.hint:
            say(f"{finding.check}: {finding.what} (hint: {finding.hint})")
    return exit_code(found)


def _row(topic: Planned, *, dry_run: bool) -> dict[str, Any]:
    from guardian.units import format_duration

    return {
        "topic": topic.name,
        "action": "exists" if topic.exists else "would be made" if dry_run else "made",
        "partitions": topic.partitions,
        "replication": topic.replication,
        "retention": format_duration(topic.spec.retention_ms),
        "direction": topic.spec.direction,
        "key": topic.spec.key,
    }
