"""Model files: one document to a ModelFile, or its mistakes."""

from guardian.catalog.load import load_model
from guardian.catalog.model_file import ModelFile
from guardian.files.strict_yaml import read
from guardian.units import DAY_MS

TEXT = """
apiVersion: guardian/v1alpha1
kind: Model
metadata: {name: m}
spec:
  task: binary_classification
  positive_label: true
  features: {a: {type: numeric}}
  labels: {horizon: 30d}
"""


def load(text):
    return load_model(read(text.encode(), "m.yaml").documents[0])


def test_a_valid_file_is_a_model():
    model = load(TEXT)
    assert isinstance(model, ModelFile)
    assert (model.name, model.spec.positive_label, model.spec.horizon_ms) == ("m", True, 30 * DAY_MS)


def test_durations_are_text_in_files_and_milliseconds_in_code():
    (mistake,) = load(TEXT.replace("30d", "30"))
    assert (mistake.code, mistake.path) == ("file.malformed", "spec.labels.horizon")
    assert ModelFile.model_validate(load(TEXT).to_json()) == load(TEXT)


def test_what_does_not_go_together_is_told_at_each_place_at_once():
    text = TEXT + "  protected: [a, SEX]\n  segments: [[SEX], [SX], []]\n"
    found = [(m.code, m.path) for m in load(text)]
    assert found == [("file.inconsistent", f"spec.{at}") for at in ("protected[0]", "segments[1][0]", "segments[2]")]


def test_names_that_would_spoil_other_names_are_refused():
    text = TEXT.replace("features: {a:", 'features: {"a,b":') + '  champion: "*"\n'
    assert [m.code for m in load(text)] == ["model.version-name", "model.column-name"]
