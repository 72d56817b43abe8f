"""Payloads of model servers: what recorded messages become, what each part of spec.serving does, and what is refused where."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.catalog.model_file import ModelFile
from guardian.events import tensors
from guardian.events.codec import decode
from guardian.events.dead_letter import Problem
from guardian.events.halves import concerns
from guardian.events.inference import predictions_of
from guardian.events.pairs import Pairs, Unreadable
from guardian.events.reasons import Reason
from guardian.events.rows import PredictionRows
from guardian.events.tensors import CELLS_MAX, ROWS_MAX, Tensor, tensor_block
from guardian.testing.example_events import model_file

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))


@dataclass(frozen=True)
class Record:
    offset: int
    timestamp: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def recorded(path: Path) -> tuple[dict[str, ModelFile], list[Record], list[dict[str, object]]]:
    case = json.loads(path.read_text())
    model = case["model"]
    document = {"apiVersion": "guardian/v1alpha1", "kind": "Model", "metadata": {"name": model["name"]}, "spec": model["spec"]}
    records = [
        Record(offset, 0, message["value"].encode(), tuple((name, value.encode()) for name, value in message["headers"]))
        for offset, message in enumerate(case["messages"])
    ]
    return {model["name"]: ModelFile.model_validate(document)}, records, case["events"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_messages_become_their_events(path):
    models, records, expected = recorded(path)
    pairs = Pairs(models)
    assert all(map(concerns, records))
    taken = [pairs.take(record) for record in records]
    assert not any(taken[:-1])
    assert [json.loads(event) for event in taken[-1]] == expected
    assert len(pairs) == 0
    (rows,) = decode(taken[-1], 0, models)
    assert isinstance(rows, PredictionRows)
    assert len(rows.ids) == len(expected)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_either_half_may_come_first(path):
    models, records, expected = recorded(path)
    pairs = Pairs(models)
    events = [event for record in reversed(records) for event in pairs.take(record)]
    assert [json.loads(event) for event in events] == expected


def tensor(name: str, shape: list[int], data: object, datatype: str = "FP64", **more: object) -> dict[str, object]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **more}


TABLE = {"inputs": [tensor("x", [2, 2], [1, 2, 3, 4])]}
BY_NAME = {"inputs": [tensor("salary", [2], [1, 2]), tensor("purpose", [2], ["car", None], "BYTES")]}
ONES = {"outputs": [tensor("predict", [2], [1, 0], "INT64")]}


def told(request: object, response: object, **spec: object) -> list[tuple[object, ...]] | Problem:
    found = predictions_of(model_file("loans", **spec), json.dumps(request).encode(), json.dumps(response).encode())
    return found if isinstance(found, Problem) else [(row.features, row.prediction, row.score) for row in found]


@pytest.mark.parametrize(
    "inputs",
    [
        TABLE,
        {"inputs": [tensor("x", [2, 2], [[1, 2], [3, 4]])]},
        {"inputs": [tensor("salary", [2, 1], [[1], [3]]), tensor("purpose", [2], [2, 4], "INT8"), tensor("other", [9], [])]},
        {"instances": [[1, 2], [3, 4]]},
        {"inputs": [[1, 2], [3, 4]]},
        {"instances": [{"salary": 1, "purpose": 2}, {"salary": 3, "purpose": 4, "other": {}}]},
        {"instances": [{"salary": [1, 3], "purpose": [2, 4]}]},
        {"instances": [[{"salary": 1, "purpose": 2}], [{"salary": 3, "purpose": 4}]]},
    ],
)
def test_the_same_rows_however_they_are_written(inputs):
    assert told(inputs, ONES) == [({"salary": 1, "purpose": 2}, 1, None), ({"salary": 3, "purpose": 4}, 0, None)]


def test_a_missing_value_is_left_out():
    assert told(BY_NAME, ONES) == [({"salary": 1, "purpose": "car"}, 1, None), ({"salary": 2}, 0, None)]


PROBABILITIES = [0.25, 0.75, 0.5, 0.5]


@pytest.mark.parametrize(
    ("serving", "outputs", "expected"),
    [
        ({}, [tensor("anything", [2, 1], [1, 0], "INT32")], [(1, None), (0, None)]),
        ({}, [tensor("a", [2], [9, 9]), tensor("prediction", [2], [1, 0])], [(1, None), (0, None)]),
        ({}, [tensor("score", [2], [0.5, None]), tensor("other", [2], [1, 0])], [(1, 0.5), (0, None)]),
        ({"outputs": {"prediction": "b"}}, [tensor("predict", [2], [9, 9]), tensor("b", [2], [1, 0])], [(1, None), (0, None)]),
        ({"outputs": {"score": "b"}}, [tensor("predict", [2], [1, 0])], [(1, None), (0, None)]),
        ({"classes": [0, 1]}, [tensor("p", [2, 2], PROBABILITIES)], [(1, 0.75), (0, 0.5)]),
        ({"classes": [1, 0]}, [tensor("p", [2, 2], PROBABILITIES)], [(0, 0.25), (1, 0.5)]),
        (
            {"classes": [0, 1], "outputs": {"threshold": 0.5}},
            [tensor("p", [2, 2], PROBABILITIES)],
            [(1, 0.75), (1, 0.5)],
        ),
        ({"classes": [0, 1], "outputs": {"score": "p", "threshold": 0.3}}, [tensor("p", [2], [0.3, 0.2])], [(1, 0.3), (0, 0.2)]),
        (
            {"classes": [0, 1]},
            [tensor("predict", [2], [0, 0]), tensor("predict_proba", [2, 2], PROBABILITIES)],
            [(0, 0.75), (0, 0.5)],
        ),
    ],
)
def test_outputs_of_a_binary_model(serving, outputs, expected):
    found = told(TABLE, {"outputs": outputs}, serving=serving)
    assert not isinstance(found, Problem), found
    assert [row[1:] for row in found] == expected


def test_an_index_means_a_class_where_classes_are_text():
    kinds = {"task": "multiclass_classification", "positive_label": None, "serving": {"classes": ["a", "b", "c"]}}
    proba = tensor("predict_proba", [2, 3], [0.1, 0.2, 0.7, 0.5, 0.3, 0.2])
    for predicted in (tensor("predict", [2], [2, 0], "INT64"), tensor("predict", [2], ["c", "a"], "BYTES")):
        assert [row[1:] for row in told(TABLE, {"outputs": [predicted, proba]}, **kinds)] == [("c", 0.7), ("a", 0.5)]
    stranger = tensor("predict", [2], ["z", "a"], "BYTES")
    assert [row[1:] for row in told(TABLE, {"outputs": [stranger, proba]}, **kinds)] == [("z", None), ("a", 0.5)]
    assert [row[1] for row in told(TABLE, {"outputs": [tensor("predict", [2], [True, False], "BOOL")]}, **kinds)] == ["b", "a"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([1, 0], [(1, None), (0, None)]),
        ([[1], [0]], [(1, None), (0, None)]),
        ([[0.25, 0.75], [0.5, 0.5]], [(1, 0.75), (0, 0.5)]),
        ([{"prediction": 1, "score": 0.5, "x": [[]]}, {"prediction": 0}], [(1, 0.5), (0, None)]),
        ([{"label": 1}, {"label": 0}], [(1, None), (0, None)]),
        ([{"predict_proba": [0.25, 0.75]}, {"predict_proba": [0.5, 0.5]}], [(1, 0.75), (0, 0.5)]),
    ],
)
def test_predictions_of_v1(answer, expected):
    found = told({"instances": [[1, 2], [3, 4]]}, {"predictions": answer}, serving={"classes": [0, 1]})
    assert [row[1:] for row in found] == expected


def test_no_rows_are_no_predictions():
    assert told({"instances": []}, {"predictions": []}) == []
    assert told({"inputs": [tensor("x", [0, 2], [])]}, {"outputs": [tensor("predict", [0], [])]}) == []
    scores = {"outputs": [tensor("predict_proba", [0, 2], [])]}
    assert told({"inputs": [tensor("x", [0, 2], [])]}, scores, serving={"classes": [0, 1]}) == []


RENTS = {"task": "regression", "positive_label": None}


@pytest.mark.parametrize(
    ("request_", "response", "reason", "place"),
    [
        ({}, ONES, Reason.MISSING_FIELD, "$.request.inputs"),
        ([], ONES, Reason.WRONG_TYPE, "$.request"),
        ({"inputs": []}, ONES, Reason.MISSING_FIELD, "$.request.inputs"),
        ({"inputs": [tensor("x", [1], [1]), tensor("y", [1], [1])]}, ONES, Reason.MISSING_FIELD, "$.request.inputs"),
        ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}, ONES, Reason.MISSING_FIELD, "$.request.inputs[0].data"),
        ({"inputs": [{"name": "x", "datatype": "FP32"}]}, ONES, Reason.MISSING_FIELD, "$.request.inputs[0].shape"),
        ({"inputs": [tensor("x", ["2"], [])]}, ONES, Reason.WRONG_TYPE, "$.request.inputs[0].shape[0]"),
        ({"inputs": [tensor("x", [2, 2], [1, 2, 3])]}, ONES, Reason.BAD_SHAPE, "$.request.inputs[0].data"),
        ({"inputs": [tensor("x", [2, 2], [[1, 2, 3], [4]])]}, ONES, Reason.BAD_SHAPE, "$.request.inputs[0].data"),
        ({"inputs": [tensor("x", [2, 3], [1] * 6)]}, ONES, Reason.BAD_SHAPE, "$.request.inputs[0]"),
        ({"inputs": [tensor("x", [-1, -4], [1] * 4)]}, ONES, Reason.BAD_SHAPE, "$.request.inputs[0].shape"),
        ({"inputs": [tensor("x", [], [])]}, ONES, Reason.BAD_SHAPE, "$.request.inputs[0].shape"),
        ({"inputs": [tensor("x", [2, 2], [1] * 4, "FP128")]}, ONES, Reason.WRONG_TYPE, "$.request.inputs[0].datatype"),
        ({"inputs": [tensor("x", [2, 2], [1, 2, 3, "4"])]}, ONES, Reason.WRONG_TYPE, "$.request.inputs[0].data"),
        ({"inputs": [tensor("salary", [2, 2], [1] * 4)]}, ONES, Reason.BAD_SHAPE, "$.request.inputs[0]"),
        (
            {"inputs": [tensor("salary", [2], [1, 2]), tensor("purpose", [1], [1])]},
            ONES,
            Reason.BAD_SHAPE,
            "$.request.inputs",
        ),
        ({"inputs": [tensor("salary", [2], [1, 2])] * 2}, ONES, Reason.BAD_SHAPE, "$.request.inputs"),
        ({"inputs": [tensor("x", [10**30, 0], [])]}, ONES, Reason.TOO_LARGE, "$.request.inputs[0].shape"),
        ({"instances": [[1, 2]] * (ROWS_MAX + 1)}, ONES, Reason.TOO_LARGE, "$.request.instances"),
        ({"instances": [{"salary": [1] * (ROWS_MAX + 1)}]}, ONES, Reason.TOO_LARGE, "$.request.instances"),
        ({"instances": [[1, 2], [3]]}, ONES, Reason.BAD_SHAPE, "$.request.instances"),
        ({"instances": [{"x": 1, "y": 2}]}, ONES, Reason.MISSING_FIELD, "$.request.inputs"),
        (TABLE, {"error": "no"}, Reason.MISSING_FIELD, "$.response.outputs"),
        (TABLE, {"outputs": []}, Reason.MISSING_FIELD, "$.response.outputs"),
        (TABLE, {"outputs": [tensor("a", [2], [1, 0]), tensor("b", [2], [1, 0])]}, Reason.MISSING_FIELD, "$.response.outputs"),
        (TABLE, {"outputs": [tensor("score", [2], [1, 0])]}, Reason.MISSING_FIELD, "$.response.outputs"),
        (TABLE, {"outputs": [tensor("predict", [3], [1, 0, 0])]}, Reason.BAD_SHAPE, "$.response.outputs[0]"),
        (TABLE, {"outputs": [tensor("predict", [2, 2], PROBABILITIES)]}, Reason.BAD_SHAPE, "$.response.outputs[0]"),
        (TABLE, {"outputs": [{"name": 1}]}, Reason.WRONG_TYPE, "$.response.outputs[0].name"),
        (TABLE, {"predictions": [1]}, Reason.BAD_SHAPE, "$.response.predictions"),
    ],
)
def test_what_cannot_be_read_has_its_reason_and_place(request_, response, reason, place):
    problem = told(request_, response)
    assert isinstance(problem, Problem)
    assert (problem.reason, problem.place, problem.model) == (reason, place, "loans")
    assert problem.detail.endswith(".")


@pytest.mark.parametrize(
    ("spec", "outputs", "reason"),
    [
        ({"serving": {"outputs": {"prediction": "b"}}}, [tensor("a", [2], [1, 0])], Reason.MISSING_FIELD),
        (
            {"serving": {"classes": ["a", "b"]}, "positive_label": "b"},
            [tensor("predict", [2], [1, 2])],
            Reason.VALUE_OUT_OF_RANGE,
        ),
        (
            {"serving": {"classes": ["a", "b"]}, "positive_label": "b"},
            [tensor("predict", [2], [1, 0.5])],
            Reason.VALUE_OUT_OF_RANGE,
        ),
        ({"serving": {"classes": [0, 1]}}, [tensor("p", [2, 3], [0.1] * 6)], Reason.BAD_SHAPE),
        ({"serving": {"classes": [0, 1], "outputs": {"threshold": 1}}}, [tensor("p", [2, 3], [0.1] * 6)], Reason.BAD_SHAPE),
        ({"serving": {"classes": [0, 1]}}, [tensor("p", [2, 2], [0.1, None, 0, 0])], Reason.WRONG_TYPE),
        ({}, [tensor("predict_proba", [2, 0], [])], Reason.BAD_SHAPE),
        (RENTS, [tensor("predict", [2, 2], [1] * 4)], Reason.BAD_SHAPE),
    ],
)
def test_what_does_not_fit_the_model_file_is_refused(spec, outputs, reason):
    problem = told(TABLE, {"outputs": outputs}, **spec)
    assert isinstance(problem, Problem)
    assert problem.reason is reason
    assert problem.place.startswith("$.response.outputs")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"\x00binary tensors", Reason.NOT_JSON),
        (b'{"instances": [[NaN, 1]]}', Reason.NOT_FINITE),
        (b'{"instances": [[1e400, 1]], "predictions": [1e400]}', Reason.NOT_FINITE),
        (b'{"instances": ' + b"[" * 700 + b"]" * 700 + b"}", Reason.TOO_DEEP),
        (b" " * (1 << 20) + b"{}", Reason.TOO_LARGE),
    ],
)
def test_bytes_that_are_no_payload(payload, reason):
    for sides in ((payload, json.dumps(ONES).encode()), (json.dumps(TABLE).encode(), payload)):
        problem = predictions_of(model_file("loans"), *sides)
        assert isinstance(problem, Problem)
        assert problem.reason is reason


def test_what_one_request_becomes_is_bounded(monkeypatch):
    monkeypatch.setattr(tensors, "CELLS_MAX", 3)
    for inputs in (TABLE, {"instances": [{"salary": 1, "purpose": 2}] * 2}):
        problem = told(inputs, ONES)
        assert isinstance(problem, Problem)
        assert problem.reason is Reason.TOO_LARGE
    assert ROWS_MAX * 64 <= CELLS_MAX


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.integers(0, 5), st.integers(1, 4), st.data())
def test_flat_and_nested_data_are_the_same_tensor(rows, width, data):
    flat = data.draw(st.lists(st.one_of(st.none(), numbers), min_size=rows * width, max_size=rows * width))
    nested = [flat[i * width : (i + 1) * width] for i in range(rows)]
    found = [tensor_block(Tensor("a", [rows, width], "FP64", way), "$") for way in (flat, nested)]
    assert found[0].rows == found[1].rows == nested


@pytest.mark.parametrize(
    ("datatype", "good", "bad"),
    [
        ("BOOL", [True, 1, 0.0], ["true", 2]),
        ("INT8", [-128, 127, 3.0], [128, -129, 1.5, True, "1"]),
        ("UINT64", [0, 2**64 - 1], [-1, 2**64]),
        ("FP16", [1, 0.5], [False, "0.5", [1]]),
        ("BYTES", ["", "a"], [1, True, {}]),
    ],
)
def test_values_are_of_their_datatype(datatype, good, bad):
    block = tensor_block(Tensor("a", [len(good)], datatype, good), "$")
    assert block.column == good
    for value in bad:
        with pytest.raises(tensors.PayloadError) as caught:
            tensor_block(Tensor("a", [1], datatype, [value]), "$")
        assert caught.value.reason is Reason.WRONG_TYPE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["salary", "predict", "data", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
anything = json_values.map(lambda value: {"instances": value, "predictions": value}) | st.builds(
    lambda name, shape, kind, data: {key: [tensor(name, shape, data, kind)] for key in ("inputs", "outputs")},
    st.sampled_from(["salary", "purpose", "x", "predict", "predict_proba"]),
    st.lists(st.integers(-1, 3), max_size=3),
    st.sampled_from(["BOOL", "INT8", "UINT64", "FP32", "BYTES", "?"]),
    json_values,
)


@given(anything, anything, st.sampled_from([{}, {"classes": [0, 1]}, {"classes": [0, 1], "outputs": {"threshold": 0.5}}]))
def test_nothing_that_is_json_breaks_the_reading(one, other, serving):
    models = {"loans": model_file("loans", serving=serving)}
    both = {"model": "loans", "request": one, "response": other}
    event = {"specversion": "1.0", "type": "io.guardian.inference.v1", "id": "a", "source": "s", "data": both}
    for item in Pairs(models).take(Record(0, 0, json.dumps(event).encode(), ())):
        if isinstance(item, Unreadable):
            assert item.problem.place.startswith("$.data")
        else:
            assert json.loads(item)["data"]["model"] == "loans"
            list(decode([item], 0, models))


def test_inputs_that_are_known_and_not_watched_are_left_out():
    serving = {"inputs": ["other", "salary", "purpose"]}
    by_name = {"inputs": [tensor("other", [1], [9]), tensor("salary", [1], [1])]}
    for inputs in (by_name, {"instances": [{"other": 9, "salary": 1}]}, {"instances": [[9, 1, None]]}):
        assert told(inputs, {"predictions": [1]}, serving=serving) == [({"salary": 1}, 1, None)]


def test_a_prediction_that_is_called_like_a_score_is_no_score():
    serving = {"outputs": {"prediction": "score"}}
    assert told(TABLE, {"outputs": [tensor("score", [2], [1, 0])]}, serving=serving) == told(TABLE, ONES)
