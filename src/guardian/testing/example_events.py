"""Model files and events that tests share: one of each task, and one good event of each kind."""

from __future__ import annotations

from guardian.catalog.model_file import ModelFile

PREDICTION = (
    b'{"specversion":"1.0","type":"io.guardian.prediction.v1","id":"loan-1","source":"/serving",'
    b'"time":"2018-10-30T18:00:00.000Z","data":{"model":"loans","version":"1",'
    b'"features":{"salary":1200.5,"purpose":"car"},"prediction":1,"score":0.75,"attributes":{"sex":"f"}}}'
)
LABEL = (
    b'{"specversion":"1.0","type":"io.guardian.label.v1","id":"loan-1/1","source":"/labels",'
    b'"time":"2018-11-30T00:00:00Z","data":{"prediction_id":"loan-1","model":"loans","label":1}}'
)


def model_file(name: str, **spec: object) -> ModelFile:
    """Return a model file of loans, with parts of its spec replaced."""
    base = {
        "task": "binary_classification",
        "positive_label": 1,
        "champion": "1",
        "features": {"salary": {"type": "numeric"}, "purpose": {"type": "categorical"}},
        "protected": ["sex", "purpose"],
        "labels": {"horizon": "90d"},
    }
    document = {"apiVersion": "guardian/v1alpha1", "kind": "Model", "metadata": {"name": name}, "spec": base | spec}
    return ModelFile.model_validate(document)


MODELS = {
    "loans": model_file("loans"),
    "rents": model_file(
        "rents",
        task="regression",
        positive_label=None,
        features={"rooms": {"type": "numeric"}, "class": {"type": "categorical"}, "a b": {"type": "numeric"}},
        protected=[],
    ),
    "kinds": model_file("kinds", task="multiclass_classification", positive_label=None),
}
