"""`guardian reference`: the tables that live data are compared with, folded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.entrypoints.cli.output import emit, say
from guardian.entrypoints.cli.session import Output, session
from guardian.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardian.panes.windows import Reference

app = typer.Typer(help="Build and show references.", no_args_is_help=True)

ModelName = Annotated[str, typer.Argument(help="The model's name.")]


@app.command()
def build(
    model: ModelName, out: Annotated[Path | None, typer.Option("--out", help="Also write the reference's bytes here.")] = None
) -> None:
    """Fold the table that a model file names into a reference, store it by its digest, and print the digest."""
    from guardian.bootstrap import TableReferences, open_store, read_files
    from guardian.effects import Artifact

    home = session().home
    files = read_files(home)
    if model not in files.models:
        raise NotFoundError(f"there is no model file of {model}", hint=f"there are: {', '.join(sorted(files.models)) or 'none'}")
    reference = TableReferences(home).build(files.models[model])
    blob = reference.to_bytes()
    with open_store(home).begin() as transaction:
        transaction.put_artifacts([Artifact(reference.digest, "reference", blob)])
    if out is not None:
        out.write_bytes(blob)
    rows = reference.window().predictions
    say(f"{model}: {rows:,} rows, {len(reference.parameters.columns)} columns")
    print(reference.digest)  # noqa: T201 - the one datum


@app.command()
def show(
    model: ModelName,
    output: Output = None,
) -> None:
    """Show the reference that holds for a model, column by column."""
    from guardian.bootstrap import INBOX, open_store
    from guardian.engine.catalog import load_catalog
    from guardian.engine.ports import Partition

    held = load_catalog(open_store(session().home), Partition(INBOX, 0)).get(model)
    if held is None or held.timeline.latest.reference is None:
        raise NotFoundError(f"no reference holds for {model}", hint="guardian up activates the files of the home directory")
    emit(_rows(held.timeline.latest.reference), ("column", "type", "cells", "rows", "missing", "range"), output)


def _rows(reference: Reference) -> Iterator[dict[str, Any]]:
    from guardian.catalog.parameters import NumericColumn

    window = reference.window()
    for column in reference.parameters.columns:
        counts = window.part(f"column/{column.name}")
        numeric = isinstance(column, NumericColumn)
        yield {
            "column": column.name,
            "type": "numeric" if numeric else "categorical",
            "cells": column.bins if isinstance(column, NumericColumn) else len(column.keys),
            "rows": int(counts.sum()),
            "missing": int(counts[-1]),
            "range": f"{column.low:g} to {column.high:g}" if isinstance(column, NumericColumn) else ", ".join(column.keys[:8]),
        }
