"""Documents keep up with the code: generated parts are fresh, and every public name has its heading."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from guardian.audit.report import Flaw
from guardian.catalog.load import MODEL_CODES
from guardian.config import NAMES
from guardian.decisions.alerts import Kind
from guardian.decisions.retraining import Declined
from guardian.decisions.verdict import Reason as VerdictReason
from guardian.events.codec import decode
from guardian.events.dead_letter import DeadLetter
from guardian.events.reasons import Reason as DeadReason
from guardian.files.codes import FILE_CODES
from guardian.metrics.registry import REGISTRY
from guardian.panes.rows import Fate
from guardian.pipeline.case_file import CASE_CODES
from guardian.pipeline.tabular import RejectReason
from guardian.policies.codes import POLICY_CODES, WARNING_CODES

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = {path.name: path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")}
PAGES: Final = {"README.md": (ROOT / "README.md").read_text("utf-8"), **{f"docs/{name}": text for name, text in DOCS.items()}}


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("docs_tool", ROOT / "tools/docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # Every module is imported for its errors; what libraries warn of is not in question.
@pytest.mark.parametrize("name", sorted(DOCS))
def test_what_is_generated_is_fresh(tool, name):
    assert tool.refreshed(DOCS[name]) == DOCS[name], "run tools/docs.py"


def headings(page: str, above: str | None = None) -> set[str]:
    text = DOCS[page]
    if above is not None:
        start = text.index(f"\n## {above}\n") + 1
        text = text[start : (text + "\n## ").index("\n## ", start + 1)]
    return set(re.findall(r"^#{2,4} (.+)$", text, re.MULTILINE)) | set(re.findall(r"^\(`([a-z-]+)`\)", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("page", "above", "names"),
    [
        ("metrics.md", None, REGISTRY),
        ("errors.md", "Mistakes in files", [*FILE_CODES, *MODEL_CODES, *POLICY_CODES, *WARNING_CODES, *CASE_CODES]),
        ("errors.md", "Findings of the audit log", list(Flaw)),
        ("errors.md", "Dead letters", list(DeadReason)),
        ("errors.md", "Rejected rows", list(RejectReason)),
        ("errors.md", "Reasons of verdicts", list(VerdictReason)),
        ("errors.md", "Declined retraining", list(Declined)),
        ("events.md", "What became of an event", list(Fate)),
        ("settings.md", None, NAMES),
    ],
)
def test_every_public_name_has_its_heading(page, above, names):
    found = headings(page, above)
    assert {str(name) for name in names} <= found
    if above not in {None, "Mistakes in files"}:
        assert {head for head in found if re.fullmatch(r"[a-z.-]+", head)} == {str(name) for name in names}


@pytest.mark.filterwarnings("ignore")
def test_every_error_code_has_its_heading(tool):
    tool.errors()  # Imports every module.
    from guardian.errors import GuardianError

    codes = {cls.code for cls in tool._subclasses(GuardianError)}
    assert codes <= headings("errors.md", "Errors")
    shared = {code for code in codes if sum(c.code == code for c in tool._subclasses(GuardianError)) > 1}
    assert not shared, "one code, one meaning"


def test_every_command_has_its_heading(tool):
    assert {path for path, _ in tool.walk_commands()} <= headings("cli.md")


def test_every_transition_of_an_alert_is_explained():
    table = DOCS["events.md"].partition("| transition | |")[2].partition("###")[0]
    assert {f"`{kind}`" for kind in Kind} <= set(re.findall(r"`[a-z_]+`", table))


def test_every_variable_of_the_environment_is_explained():
    read = {name for path in (ROOT / "src").rglob("*.py") for name in re.findall(r'"(GUARDIAN_[A-Z]+)"', path.read_text("utf-8"))}
    assert read
    assert read <= headings("settings.md")


def test_example_events_are_good_events():
    from guardian.catalog.model_file import ModelFile

    page = DOCS["events.md"]
    examples = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)]
    incoming = [example for example in examples if example["type"].split(".")[2] in {"prediction", "label"}]
    assert len(incoming) == 2
    features = {"income": {"type": "numeric"}, "region": {"type": "categorical"}}
    spec = {"task": "binary_classification", "positive_label": 1, "features": features}
    file = {"apiVersion": "guardian/v1alpha1", "kind": "Model", "metadata": {"name": "credit"}, "spec": spec}
    rows = list(
        decode([json.dumps(each).encode() for each in incoming], 0, {"credit": ModelFile.model_validate_json(json.dumps(file))})
    )
    assert len(rows) == 2
    assert not any(isinstance(row, DeadLetter) for row in rows)


def slug(heading: str) -> str:
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / file).resolve() if file else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            heads = re.findall(r"^#{1,4} (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in set(map(slug, heads)), f"{page}: {link}"


def test_changes_are_listed_in_one_form():
    lines = [line for line in (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines() if line.startswith("* ")]
    assert lines
    assert all(re.match(r"\* \[(ADD|CHANGE|FIX|REMOVE)\] [a-z]+: \S", line) for line in lines)
