"""`guardian policy test`: exit codes, what is printed where, and the JUnit report."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from guardian.entrypoints.cli import main

SHIPPED = Path(__file__).parents[3] / "policies"
NAME = "car-loan-drift"


@pytest.fixture
def folder(tmp_path):
    for name in ("car-loan.model.yaml", f"{NAME}.policy.yaml", f"{NAME}.cases.yaml"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def weaken(folder: Path) -> None:
    policy = folder / f"{NAME}.policy.yaml"
    policy.write_text(policy.read_text().replace('"> 0.2"', '"> 0.3"'))


def test_all_is_well(folder, capsys):
    assert main(["policy", "test", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "passed  car-loan-drift  a single bad day is no alert" in out
    assert err == "5 cases, 68 evaluations, 0 failed\n"


def test_the_homes_policies_are_the_default(folder, tmp_path_factory, capsys):
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(folder, home / "policies")
    assert main(["--home", str(home), "policy", "test"]) == 0
    assert "0 failed" in capsys.readouterr().err


def test_a_weakened_rule_is_found_and_named(folder, capsys):
    weaken(folder)
    report = folder / "report.xml"
    assert main(["policy", "test", str(folder), "--junit", str(report)]) == 1
    out, err = capsys.readouterr()
    assert re.search(rf"^{NAME}\.cases\.yaml:\d+  each rung opens", out, re.M)
    assert "EXPECTED" in out
    assert "failed" in err
    (suite,) = ET.parse(report).getroot()  # noqa: S314 - our own file
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) > 0
    assert "expected violated, got satisfied" in "".join(f.text for f in suite.findall("testcase/failure"))


def test_json_says_all_of_it(folder, capsys):
    weaken(folder)
    assert main(["policy", "test", str(folder), "-o", "json", "--run", "each rung"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["policy"], row["passed"], len(row["cases"])) == (NAME, False, 1)
    assert {"place", "case", "at", "about", "what", "expected", "got"} == set(row["cases"][0]["mismatches"][0])
    assert {"rule", "rung", "violated", "satisfied"} == set(row["coverage"][0])


def test_what_no_case_covers_is_said(folder, capsys):
    policy = folder / f"{NAME}.policy.yaml"
    policy.write_text(
        policy.read_text() + '    - {alert: Ks, metric: drift.ks, columns: [car_value], error: "> 0.1", require: {rows: 9}}\n'
    )
    assert main(["policy", "test", str(folder / f"{NAME}.cases.yaml")]) == 0
    assert "car-loan-drift: Ks error is never violated nor satisfied in any case" in capsys.readouterr().err


def test_mistakes_of_all_files_are_told_at_once(folder, capsys):
    one, two = folder / f"{NAME}.cases.yaml", folder / "two.cases.yaml"
    two.write_text(one.read_text().replace("psi(score)", "psi(scor)"))
    one.write_text(one.read_text().replace("rows:", "row:", 1))
    assert main(["policy", "test", str(folder)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["file.unknown-key", "cases.series"]


def test_a_broken_policy_is_told_as_such(folder, capsys):
    policy = folder / f"{NAME}.policy.yaml"
    policy.write_text(policy.read_text().replace("drift.psi", "drift.psy"))
    assert main(["policy", "test", str(folder)]) == 1
    assert "policy.unknown-metric" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--run", "no such case"], 2, "no case was run"),
        (["--run", "("], 2, "no regular expression"),
        (["--junit", "/no/such/directory/x.xml"], 4, "cannot be written"),
    ],
)
def test_bad_options(folder, capsys, arguments, code, said):
    assert main(["policy", "test", str(folder), *arguments]) == code
    assert said in capsys.readouterr().err


def test_paths_that_are_not_there_or_no_cases(folder, capsys):
    assert main(["policy", "test", str(folder / "none")]) == 4
    assert main(["policy", "test", str(folder / f"{NAME}.policy.yaml")]) == 2
    (folder / f"{NAME}.cases.yaml").unlink()
    assert main(["policy", "test", str(folder)]) == 2


def test_two_documents_are_one_too_many(folder, capsys):
    cases = folder / f"{NAME}.cases.yaml"
    cases.write_text(cases.read_text() + "---\na: 1\n")
    assert main(["policy", "test", str(folder)]) == 1
    assert "a second document" in capsys.readouterr().err


def test_nothing_heavy_is_imported():
    code = "import sys; from guardian.entrypoints.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "policy", "test", str(SHIPPED)], capture_output=True, text=True, check=True
    )
    assert not {"numpy", "scipy", "pyarrow", "pandas", "sqlmodel", "rich", "junitparser"} & set(done.stdout.split())
