"""`guardian db`: the database's schema."""

from __future__ import annotations

import typer

from guardian.entrypoints.cli.output import say
from guardian.entrypoints.cli.session import session

app = typer.Typer(help="Upgrade and check the database's schema.", no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Make the database, or bring it to this release's schema."""
    from guardian.bootstrap import upgrade_database
    from guardian.errors import NotFoundError

    home = session().home
    if not home.root.is_dir():
        raise NotFoundError(f"there is no directory {home.root}", hint="make it, or name another with --home")
    say(f"the database has schema {upgrade_database(home)}")


@app.command()
def check() -> None:
    """Say whether the database has this release's schema; exit code 4 when it has not."""
    from guardian.bootstrap import open_database

    database = open_database(session().home)
    database.close()
    say(f"{database.name} has this release's schema")
