"""`guardian topics`: the topics of Kafka, made and checked as the code says they must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.entrypoints.cli.output import emit, say
from guardian.entrypoints.cli.session import Output, session
from guardian.errors import UsageError

if TYPE_CHECKING:
    from guardian.engine.topic_check import Planned

app = typer.Typer(help="Make and check the topics of Kafka.", no_args_is_help=True)

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
    from guardian.bootstrap import counted_partitions, look_at_topics, make_topics
    from guardian.config import Settings
    from guardian.engine.topic_check import plan

    home = session().home
    settings = Settings.load(home)
    cluster, found = look_at_topics(settings, counted_partitions(home, settings))
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
    from guardian.bootstrap import counted_partitions, look_at_topics
    from guardian.config import Settings
    from guardian.engine.findings import exit_code
    from guardian.engine.topic_check import check_topics

    home = session().home
    settings = Settings.load(home)
    found = list(check_topics(*look_at_topics(settings, counted_partitions(home, settings))))
    emit([finding.to_json() for finding in found], FINDING_COLUMNS, output)
    for finding in found:
        if finding.hint:
            say(f"{finding.check}: {finding.hint}")
    raise typer.Exit(exit_code(found))


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
