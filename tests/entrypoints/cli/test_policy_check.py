"""`guardian policy check` and `guardian schema`, as they are called."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from guardian.catalog.model_file import ModelFile
from guardian.entrypoints.cli import main
from guardian.files.schema import schema_of
from guardian.files.strict_yaml import BYTES_MAX, read
from guardian.policies.model import PolicyFile

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "policies"
CORPUS = ROOT / "tests" / "policies"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A directory with one broken policy, one that warns, and the models of the corpus."""
    monkeypatch.chdir(tmp_path)
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "models.yaml").write_bytes((CORPUS / "good" / "models.yaml").read_bytes())
    return policies


def put(home, folder, name):
    (home / f"{name}.yaml").write_bytes((CORPUS / folder / f"{name}.yaml").read_bytes())


def run(capsys, *arguments):
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_valid_files_print_how_late_their_alerts_are(capsys):
    code, out, err = run(capsys, "policy", "check", str(SHIPPED))
    assert code == 0
    assert "employment-drift/FeatureDrift on employment-ma: opens at evaluation 2, 1d6h after" in out
    assert err == "2 models, 7 policies: 0 errors, 0 warnings\n"


def test_many_mistakes_are_all_told_at_once_whatever_stands_beside_them(home, capsys):
    put(home, "bad", "none-hides-another")
    code, out, _ = run(capsys, "policy", "check")
    assert code == 1
    assert len(out.splitlines()) >= 30
    for what in (
        'no model file describes "loan"',
        '"drift.pis"',
        "did you mean drift.psi?",
        "[SEXX]",
        "modell",
        "two rules are called A",
    ):
        assert what in out


def test_every_mistake_is_one_line_with_its_place_and_the_exit_code_is_1(home, capsys):
    put(home, "bad", "many-at-once")
    code, out, err = run(capsys, "policy", "check")
    assert code == 1
    assert out.splitlines()[:3] == [
        (
            'policies/many-at-once.yaml:8:21: error: file.unknown-key: unknown key "ower" in metadata '
            "(hint: did you mean owner? allowed: owner, labels, description)"
        ),
        (
            'policies/many-at-once.yaml:12:37: error: file.unknown-key: unknown key "widow" '
            "(hint: did you mean window? allowed: columns, by, classes, change, parameters, error, window, every, open_after, "
            "close_after, restate_every, require, on_unknown, retrain, labels, annotations)"
        ),
        (
            'policies/many-at-once.yaml:14:15: error: policy.unknown-metric: there is no metric "drift.psy" '
            "(hint: did you mean drift.psi? allowed: drift.psi, drift.js_distance, drift.ks, drift.wasserstein, "
            "drift.total_variation, drift.chi_squared)"
        ),
    ]
    assert len(out.splitlines()) == 5
    assert err == "5 errors, 0 warnings\n"


def test_warnings_are_fine_unless_asked_for(home, capsys):
    put(home, "warned", "drift-without-rows")
    code, out, _ = run(capsys, "policy", "check")
    assert code == 0
    assert out.startswith("policies/drift-without-rows.yaml:9:15: warning: policy.no-rows: ")
    assert run(capsys, "policy", "check", "--fail-on", "warn")[0] == 3
    put(home, "bad", "misspelt-key")
    assert run(capsys, "policy", "check", "--fail-on", "warn")[0] == 1


def test_json_holds_everything(home, capsys):
    put(home, "warned", "drift-without-rows")
    assert run(capsys, "-o", "json", "policy", "check")[0] == 2
    _, out, _ = run(capsys, "policy", "check", "--format", "json")
    found = json.loads(out)
    (mistake,) = found["mistakes"]
    assert (mistake["code"], mistake["line"], mistake["column"], mistake["path"]) == (
        "policy.no-rows",
        9,
        15,
        "spec.rules[0].metric",
    )
    assert mistake["warning"] is True
    assert found["lateness"][0]["rule"] == "A"


def test_github_annotations_stand_at_the_line_and_are_escaped(home, capsys):
    put(home, "bad", "threshold-in-percent")
    (home / "threshold-in-percent.yaml").rename(home / "50%,a:b.yaml")
    _, out, _ = run(capsys, "policy", "check", "--format", "github")
    assert out == (
        "::error file=policies/50%25%2Ca%3Ab.yaml,line=10,col=14,title=policy.threshold-out-of-range::"
        "performance.accuracy is never 80 (hint: it lies in [0, 1])\n"
    )


def test_single_files_are_checked_together(home, capsys):
    put(home, "bad", "unknown-column")
    assert run(capsys, "policy", "check", "policies/models.yaml", "policies/unknown-column.yaml")[0] == 1
    code, out, _ = run(capsys, "policy", "check", "policies/unknown-column.yaml")
    assert code == 0
    assert "warning: policy.unknown-model" in out


def test_cases_and_other_files_are_left_alone(home, capsys):
    (home / "p.cases.yaml").write_text("cases: [")
    (home / "notes.md").write_text("# notes")
    (home / "sub.yaml").mkdir()
    assert run(capsys, "policy", "check")[0] == 0


def test_a_file_that_is_too_large_is_said_to_be(home, capsys):
    (home / "big.yaml").write_bytes(b"#" * (BYTES_MAX + 10))
    code, out, _ = run(capsys, "policy", "check")
    assert code == 1
    assert "big.yaml:1:1: error: file.too-large" in out


@pytest.mark.parametrize("path", ["nowhere", "empty"])
def test_nothing_to_check_is_not_fine(tmp_path, capsys, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    code, out, err = run(capsys, "policy", "check", path)
    assert (code, out) == (4, "")
    assert path in err


def test_checking_imports_nothing_heavy():
    script = (
        "import sys; from guardian.entrypoints.cli import main; main(['policy', 'check', sys.argv[1]]);"
        "print(sorted({'numpy', 'scipy', 'pyarrow', 'pandas', 'sqlalchemy', 'sqlmodel', 'evidently'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(SHIPPED)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("kind", "model"), [("policy", PolicyFile), ("model", ModelFile)])
def test_the_schema_is_printed_and_means_the_same_to_old_and_new_readers(capsys, kind, model):
    code, out, _ = run(capsys, "schema", kind)
    assert code == 0
    schema = json.loads(out)
    assert schema == schema_of(model)
    for validator in (Draft7Validator, Draft202012Validator):
        validator.check_schema(schema)
        for path in sorted(SHIPPED.glob(f"*.{kind}.yaml")):
            for document in read(path.read_bytes(), path.name).documents:
                validator({**schema, "$schema": validator.META_SCHEMA["$schema"]}).validate(document.value)


@pytest.mark.parametrize("model", [PolicyFile, ModelFile])
def test_every_field_of_the_formats_has_a_description_and_only_common_words(model):
    schema = schema_of(model)
    for owner in (schema, *schema["$defs"].values()):
        for name, field in owner["properties"].items():
            meant = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field
            assert field.get("description") or meant.get("description"), name
    text = json.dumps(schema)
    for word in ("prefixItems", "unevaluated", "definitions", "dependent", '"ge"', '"title"'):
        assert word not in text


@pytest.mark.parametrize("name", ["misspelt-key", "text-for-number", "unknown-change", "no-rules"])
def test_the_schema_refuses_what_loading_refuses(name):
    (document,) = read((CORPUS / "bad" / f"{name}.yaml").read_bytes(), name).documents
    assert list(Draft7Validator(schema_of(PolicyFile)).iter_errors(document.value))
