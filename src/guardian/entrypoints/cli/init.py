"""`guardian init`: make a home directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardian.config import Home
from guardian.entrypoints.cli.output import say
from guardian.entrypoints.cli.session import session

EDITOR_SETTINGS = """{
  "yaml.schemas": {
    "./.schemas/model.json": "policies/*.model.yaml",
    "./.schemas/policy.json": "policies/*.policy.yaml"
  }
}
"""


def init(
    directory: Annotated[Path | None, typer.Argument(help="The directory; default the home directory.")] = None,
    examples: Annotated[bool, typer.Option("--examples", help="Copy the example policies in.")] = False,
) -> None:
    """Make a home directory: settings, database, signing key; what is there already is kept."""
    from guardian.adapters.home.files import copy_files, packed_policies
    from guardian.bootstrap import make_home
    from guardian.entrypoints.cli.schema import schema_text

    home = Home(directory) if directory else session().home
    make_home(home)
    editor, schemas = home.root / ".vscode", home.root / ".schemas"
    for folder in (editor, schemas):
        folder.mkdir(exist_ok=True)
    if not (editor / "settings.json").exists():
        (editor / "settings.json").write_text(EDITOR_SETTINGS, "utf-8")
    for kind in ("model", "policy"):
        (schemas / f"{kind}.json").write_text(schema_text(kind), "utf-8")
    if examples:
        copy_files(sorted(packed_policies().glob("*.yaml")), home.policies)
    say(f"{home.root} is ready; the audit log is signed with {home.private_key}: keep a copy of checkpoints elsewhere")
