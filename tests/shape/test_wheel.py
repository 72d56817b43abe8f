"""What is installed: the wheel holds all that the commands need, and `guardian init` works from it alone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return built


def test_the_wheel_holds_everything(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "guardian = guardian.entrypoints.cli:main" in archive.read(points).decode()
    for path in [*(ROOT / "src/guardian").rglob("*.py"), *(ROOT / "src/guardian/demo_data").iterdir()]:
        assert str(path.relative_to(ROOT / "src")) in names
    for tree in ("policies", "migrations"):
        for path in (ROOT / tree).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"guardian/packed/{tree}/{path.relative_to(ROOT / tree)}" in names
    assert "guardian/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_nothing_else_is_packed(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert [n for n in archive.namelist() if not n.startswith(("guardian/", "guardian_ml-"))] == []
        assert [n for n in archive.namelist() if "__pycache__" in n or n.endswith((".pyc", ".db", ".pem"))] == []


def test_a_home_is_made_from_the_wheel_alone(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import sys, guardian; from guardian.entrypoints.cli import main; print(guardian.__file__);"
        "sys.exit(main(['init', 'home', '--examples']) or main(['--home', 'home', 'policy', 'check']))"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "site") in done.stdout
    assert (tmp_path / "home/guardian.db").exists()
    assert "2 models" in done.stderr
