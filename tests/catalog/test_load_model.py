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


SERVING = "  serving: {inputs: [b, a], outputs: {prediction: label, score: p, threshold: 0.5}, classes: [false, true]}\n"


def test_what_serving_leaves_open_follows_from_the_file():
    model = load(TEXT)
    assert model.spec.serving is None
    assert model.spec.served.inputs == ("a",)
    assert load(TEXT + "  serving: {service: s}\n").spec.served.service == "s"
    served = load(TEXT + SERVING).spec.served
    assert (served.inputs, served.classes, served.outputs.threshold) == (("b", "a"), (False, True), 0.5)


def test_files_without_serving_keep_their_digest():
    assert "serving" not in load(TEXT).to_json()["spec"]
    assert ModelFile.model_validate(load(TEXT + SERVING).to_json()) == load(TEXT + SERVING)
