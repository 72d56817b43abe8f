"""`guardian replay VERDICT`: judge a recorded verdict again from its evidence."""

from __future__ import annotations

from typing import Annotated

import typer

from guardian.entrypoints.cli.output import emit, say
from guardian.entrypoints.cli.session import Output, session


def replay(
    verdict: Annotated[str, typer.Argument(help="A verdict's id: ID for its latest revision, ID@REVISION for another.")],
    output: Output = None,
) -> None:
    """Recompute a verdict from policy, model file, reference and evidence; exit code 1 when it does not come out the same."""
    from guardian.bootstrap import open_reader, open_store
    from guardian.errors import UsageError
    from guardian.pipeline.replay import replay as again

    name, _, revision = verdict.partition("@")
    if revision and not revision.isdecimal():
        raise UsageError(f"{verdict!r} is no verdict", hint="write ID or ID@REVISION")
    home = session().home
    record, position = open_reader(home).verdict_record(name, int(revision) if revision else None)
    done = again(record["model"], record["body"], position, open_store(home).artifact)
    rows = [{"source": source, **row} for source, row in (("recorded", done.recorded), ("replayed", done.now))]
    emit(rows, ("source", "verdict", "reason", "value", "interval", "n", "threshold"), output)
    if not done.same:
        say("the replay differs from the record")
        raise typer.Exit(1)
    say("the same, byte for byte")
