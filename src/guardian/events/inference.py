"""A model server's request and response to predictions: V1, and V2, which is the Open Inference Protocol.

Which inputs are features goes by their names, or by `spec.serving.inputs` for a table without names; which outputs are prediction
and score by `spec.serving.outputs`, or by what servers call them. Takes payloads as bytes. Gives a prediction a row, whose values
are then checked like any event's; or one problem, which is the whole request's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgspec

from guardian.catalog.parameters import canonical_key
from guardian.events.dead_letter import Problem
from guardian.events.diagnose import explain, not_json, refuse
from guardian.events.encode import PredictionData
from guardian.events.reasons import Reason
from guardian.events.tensors import Block, PayloadError, Tensor, bounded, item_blocks, tensor_block, unframed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardian.catalog.model_file import ModelFile, Outputs
    from guardian.events.rows import Scalar

PREDICTION_NAMES: Final = ("predict", "prediction")  # MLServer's word, and guardian's.
SCORE_NAMES: Final = ("predict_proba", "score")

T = TypeVar("T")


class _Request(msgspec.Struct, frozen=True, gc=False):
    inputs: list[Any] | None = None
    instances: list[Any] | None = None


class _Response(msgspec.Struct, frozen=True, gc=False):
    outputs: list[Tensor] | None = None
    predictions: list[Any] | None = None
    model_name: str | None = None
    model_version: str | None = None


def model_name(response: bytes) -> str:
    """Return the model that a V2 response names; empty where it names none, or cannot be read.

    >>> model_name(b'{"model_name": "iris", "outputs": []}')
    'iris'
    """
    try:
        return _decode(response, _Response).model_name or ""
    except PayloadError:
        return ""


def predictions_of(file: ModelFile, request: bytes, response: bytes) -> list[PredictionData] | Problem:
    """Return the prediction of each row, in order, or what is wrong with the whole.

    The place of a problem starts with `$.request` or `$.response`.

    Args:
        file: The model's file; newest first where there were several.
        request: V1 or V2 JSON.
        response: Likewise, of the same version.
    """
    side = "request"
    try:
        columns, rows = _inputs(_decode(request, _Request), file)
        side = "response"
        answer = _decode(response, _Response)
        predictions, scores = _said(_outputs(answer, file), file, rows)
    except PayloadError as error:
        return Problem(error.reason, f"$.{side}{error.place.removeprefix('$')}", error.detail, file.name)
    version = answer.model_version or None
    return [
        PredictionData(
            model=file.name,
            version=version,
            features={name: values[i] for name, values in columns.items() if values[i] is not None},
            prediction=predictions[i],
            score=scores[i],
        )
        for i in range(rows)
    ]


def _decode(payload: bytes, kind: type[T]) -> T:
    problem = refuse(payload)
    if problem is None:
        try:
            return msgspec.json.decode(payload, type=kind)
        except msgspec.ValidationError as error:
            problem = explain(str(error), "")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problem = not_json(payload, error)
    raise PayloadError(problem.reason, problem.place, problem.detail)


def _inputs(request: _Request, file: ModelFile) -> tuple[dict[str, list[Any]], int]:
    """Return the columns that are watched, by name, and the number of rows."""
    known = {*file.spec.column_names, *file.spec.served.inputs}
    if request.instances is not None:
        blocks = item_blocks(unframed(request.instances, "$.instances"), "$.instances", known)
    elif request.inputs is None:
        raise PayloadError(Reason.MISSING_FIELD, "$.inputs", "A request has inputs (V2) or instances (V1).")
    elif all(isinstance(item, dict) and "datatype" in item for item in request.inputs):
        tensors = _by_name(_tensors(request.inputs), "$.inputs")
        named = [name for name in tensors if name in known] or list(tensors)
        blocks = {name: tensor_block(*tensors[name]) for name in named}
    else:  # KServe's V1 servers take this word for `instances` too.
        blocks = item_blocks(unframed(request.inputs, "$.inputs"), "$.inputs", known)
    return _columns(blocks, known, file)


def _tensors(items: list[Any]) -> list[Tensor]:
    try:
        return msgspec.convert(items, list[Tensor])
    except msgspec.ValidationError as error:
        problem = explain(str(error), "")
        raise PayloadError(problem.reason, f"$.inputs{problem.place.removeprefix('$')}", problem.detail) from None


def _by_name(tensors: list[Tensor], place: str) -> dict[str, tuple[Tensor, str]]:
    """Return each tensor and its place, by its name."""
    found = {tensor.name: (tensor, f"{place}[{i}]") for i, tensor in enumerate(tensors)}
    if len(found) < len(tensors):
        raise PayloadError(Reason.BAD_SHAPE, place, "Two tensors have the same name.")
    return found


def _columns(blocks: Mapping[str, Block], known: set[str], file: ModelFile) -> tuple[dict[str, list[Any]], int]:
    counts = {len(block.rows) for block in blocks.values()}
    if len(counts) > 1:
        raise PayloadError(Reason.BAD_SHAPE, "$.inputs", "Every input must have as many rows as the others.")
    rows, watched, inputs = max(counts, default=0), frozenset(file.spec.column_names), file.spec.served.inputs
    if counts == {0}:
        return {}, 0
    if any(name in known for name in blocks):
        return {name: block.column for name, block in blocks.items() if name in watched}, rows
    if len(blocks) != 1:
        raise PayloadError(
            Reason.MISSING_FIELD, "$.inputs", "None of the inputs has the name of a feature, and they are no single table."
        )
    (block,) = blocks.values()
    if block.width != len(inputs):
        detail = f"The table has {block.width} columns, spec.serving.inputs (by default the features) {len(inputs)}."
        raise PayloadError(Reason.BAD_SHAPE, block.place, detail)
    bounded(rows, len(watched), block.place)
    return {name: [row[i] for row in block.rows] for i, name in enumerate(inputs) if name in watched}, rows


class _Outputs(NamedTuple):
    """The outputs that were found; one of them is there."""

    prediction: Block | None
    score: Block | None


def _outputs(answer: _Response, file: ModelFile) -> _Outputs:
    wished = file.spec.served.outputs
    if answer.outputs is not None:
        tensors = _by_name(answer.outputs, "$.outputs")
        prediction, score = _names(list(tensors), wished)
        read = {name: tensor_block(*tensors[name]) for name in (prediction, score) if name is not None}
    elif answer.predictions is not None:
        wanted = {wished.prediction or "", wished.score or "", *PREDICTION_NAMES, *SCORE_NAMES}
        read = item_blocks(answer.predictions, "$.predictions", wanted)
        prediction, score = ("", None) if list(read) == [""] else _names(list(read), wished)
    else:
        raise PayloadError(Reason.MISSING_FIELD, "$.outputs", "A response has outputs (V2) or predictions (V1).")
    found = _Outputs(None if prediction is None else read[prediction], None if score is None else read[score])
    alone = found.score is None and file.spec.task != "regression"
    if alone and found.prediction is not None and found.prediction.width > 1:
        return _Outputs(None, found.prediction)  # Probabilities alone: the prediction follows from them.
    return found


def _names(names: list[str], wished: Outputs) -> tuple[str | None, str | None]:
    """Return which output is the prediction and which the score; one of them is there."""
    scores = SCORE_NAMES if wished.score is None else (wished.score,)
    score = next((name for name in scores if name in names and name != wished.prediction), None)
    others = [name for name in names if name != score]
    if wished.prediction is not None and wished.prediction not in names:
        detail = f"There is no output {wished.prediction}; there are: {', '.join(names[:20]) or 'none'}."
        raise PayloadError(Reason.MISSING_FIELD, "$.outputs", detail)
    usual = PREDICTION_NAMES if wished.prediction is None else (wished.prediction,)
    prediction = next((name for name in usual if name in others), others[0] if len(others) == 1 else None)
    if prediction is None and score is None:
        detail = f"Which output is the prediction? Name it in spec.serving.outputs; there are: {', '.join(names[:20]) or 'none'}."
        raise PayloadError(Reason.MISSING_FIELD, "$.outputs", detail)
    return prediction, score


def _said(outputs: _Outputs, file: ModelFile, rows: int) -> tuple[list[Any], list[Any]]:
    """Return the prediction and the score of each row; a score may be None."""
    prediction, score, classes = outputs.prediction, outputs.score, file.spec.served.classes
    for block in outputs:
        if block is not None and len(block.rows) != rows:
            detail = f"The request has {rows} rows, this output {len(block.rows)}."
            raise PayloadError(Reason.BAD_SHAPE, block.place, detail)
    if prediction is not None:
        indexed = bool(classes) and all(isinstance(value, str) for value in classes)
        predictions = [_class_of(value, classes, prediction.place) if indexed else value for value in prediction.column]
    else:
        predictions = _decided(score, file) if score is not None else []
    return predictions, _scores(score, predictions, file) if score is not None else [None] * rows


def _class_of(value: Any, classes: Sequence[Scalar], place: str) -> Any:
    """Return the class that an index means; what is no number is said by name."""
    if not isinstance(value, int | float):
        return value
    if value != int(value) or not 0 <= value < len(classes):
        detail = f"{value} is no index into the {len(classes)} classes of spec.serving."
        raise PayloadError(Reason.VALUE_OUT_OF_RANGE, place, detail)
    return classes[int(value)]


def _decided(score: Block, file: ModelFile) -> list[Any]:
    """Return the class of each row by its scores alone: by the threshold, or the first of the greatest."""
    serving, rows = file.spec.served, _numbers(score)
    if serving.outputs.threshold is not None:
        if score.width > 1:
            _match_classes(score, file)
        positive = _positive(file)
        shares = [row[positive if score.width > 1 else 0] for row in rows]
        return [serving.classes[positive if share >= serving.outputs.threshold else 1 - positive] for share in shares]
    if score.width == 1:
        detail = "There is a score and no prediction: name its output, or say classes and threshold in spec.serving."
        raise PayloadError(Reason.MISSING_FIELD, "$.outputs", detail)
    _match_classes(score, file)
    return [serving.classes[row.index(max(row))] for row in rows]


def _scores(score: Block, predictions: list[Any], file: ModelFile) -> list[Any]:
    if score.width == 1:
        return score.column
    _match_classes(score, file)
    if file.spec.task == "binary_classification":
        positive = _positive(file)
        return [row[positive] for row in score.rows]
    columns = {canonical_key(value): i for i, value in enumerate(file.spec.served.classes)}
    found = [columns.get(canonical_key(value)) for value in predictions]
    return [None if i is None else row[i] for i, row in zip(found, score.rows, strict=True)]


def _positive(file: ModelFile) -> int:
    keys = [canonical_key(value) for value in file.spec.served.classes]
    return keys.index(canonical_key(file.spec.positive_label))  # type: ignore[arg-type]  # every binary model has one


def _match_classes(score: Block, file: ModelFile) -> None:
    classes = file.spec.served.classes
    if not classes or score.width != len(classes):
        detail = f"Each row has {score.width} scores, spec.serving.classes has {len(classes)}: list the classes in their order."
        raise PayloadError(Reason.BAD_SHAPE, score.place, detail)


def _numbers(score: Block) -> list[list[Any]]:
    for row in score.rows:
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in row):
            raise PayloadError(Reason.WRONG_TYPE, score.place, "Every score must be a number: the prediction follows from them.")
    return score.rows
