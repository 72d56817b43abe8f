"""The shape of the code: contracts, sizes, light commands, and what no line of it does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src/guardian"
MODULES: Final = sorted(SOURCE.rglob("*.py"))
LINES_MAX: Final = 400
HEAVY: Final = (
    "evidently",
    "shap",
    "fairlearn",
    "pandas",
    "faust",
    "scipy",
    "numpy",
    "pyarrow",
    "sklearn",
    "sqlalchemy",
    "sqlmodel",
)
UNSAFE_MODULES: Final = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "skops"}
UNSAFE_CALLS: Final = {"eval", "exec", "__import__"}
TREES: Final = ("src", "tests", "docs", "policies", "migrations", "tools", "requirements", ".ci")
TEXT: Final = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".json", ".cfg", ""}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def named(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_the_contracts_are_those_the_architecture_tells_of():
    contracts = re.findall(r"^\[\[tool\.importlinter\.contracts\]\]$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    words = {7: "Seven", 8: "Eight", 9: "Nine", 10: "Ten"}
    assert f"{words[len(contracts)]} contracts" in (ROOT / "docs/architecture.md").read_text("utf-8")


def test_every_room_has_its_line_in_the_architecture():
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    table = page.partition("| room |")[2].partition("\n\n")[0]
    rooms = {p.stem for p in SOURCE.iterdir() if (p.is_dir() and (p / "__init__.py").exists()) or p.suffix == ".py"} - {
        "__init__"
    }
    assert rooms == {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split(" | ")[0])}


def test_no_module_is_too_long():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: n for name, n in lengths.items() if n > LINES_MAX} == {}


@pytest.mark.parametrize("command", [["--help"], ["policy", "check", str(ROOT / "policies")]])
def test_what_is_asked_often_imports_nothing_heavy(command):
    script = (
        "import sys; from guardian.entrypoints.cli import main; code = main(sys.argv[1:]);"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), code)"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"


def imported(path: Path) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node, node.module


def test_nothing_is_loaded_that_could_run_code():
    found = [named(path, node) for path in MODULES for node, name in imported(path) if name.partition(".")[0] in UNSAFE_MODULES]
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in UNSAFE_CALLS:
                found.append(named(path, node))
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                found.append(named(path, node.value))
    assert found == []


RUNS_SQL: Final = {"text", "execute", "executemany", "executescript", "exec_driver_sql"}


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def composed(node: ast.AST) -> bool:
    """Whether an expression makes text of parts: an f-string, +, %, format or join."""
    for part in ast.walk(node):
        match part:
            case ast.JoinedStr(values=values) if any(isinstance(value, ast.FormattedValue) for value in values):
                return True
            case ast.BinOp(left=left, right=right) if is_text(left) or is_text(right):
                return True
            case ast.Attribute(value=value, attr="format" | "join") if is_text(value):
                return True
    return False


def test_no_composed_text_reaches_sql():
    found = []
    for path in sorted((SOURCE / "adapters/sql").rglob("*.py")):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            said = ast.unparse(node.args[0])
            # PRAGMAs take no parameters; theirs are constants of the module.
            if name in RUNS_SQL and composed(node.args[0]) and said != "f'PRAGMA {pragma}'":
                found.append(f"{named(path, node)}: {said[:60]}")
    assert found == []


@pytest.mark.parametrize(
    ("text", "is_composed"),
    [
        ("f'SELECT {x}'", True),
        ("'SELECT ' + x", True),
        ("'SELECT %s' % x", True),
        ("'SELECT {}'.format(x)", True),
        ("' '.join(x)", True),
        ("update(t).values(n=t.c.n + 1)", False),
        ("'SELECT 1'", False),
    ],
)
def test_composed_text_is_recognised(text, is_composed):
    assert composed(ast.parse(text, mode="eval")) is is_composed


def texts() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXT and not path.name.startswith(".git"))
    for name in TREES:
        yield from (
            path for path in (ROOT / name).rglob("*") if path.is_file() and path.suffix in TEXT and "__pycache__" not in str(path)
        )


def test_no_registry_and_no_machine_is_named():
    # Written in pieces, so that this file does not find itself.
    places = "|".join(f"/{name}/" for name in ("root", "work", "home/[a-z]+", "Users/[A-Za-z]+"))
    told = "|".join(
        f"{a}{b}" for a, b in (("--index", "-url"), ("--extra-index", "-url"), ("--find", "-links"), ("--trusted", "-host"))
    )
    addressed = r"https?://[^\s\"')]*" + "/sim" + "ple"
    pattern = re.compile(rf"(?<![\w.~-])({places})|^\s*({told})|{addressed}", re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in texts()
        for match in pattern.finditer(path.read_text("utf-8", "replace"))
    ]
    assert found == []


def test_lock_files_pin_everything_by_hash():
    for name in ("default.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text("utf-8").replace("\\\n", " ")
        pins = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
        assert pins
        assert [
            pin for pin in pins if not re.match(r"[A-Za-z0-9_.-]+(\[[\w,-]+\])?==\S+.* --hash=sha256:[0-9a-f]{64}", pin)
        ] == []
