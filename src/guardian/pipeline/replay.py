"""Judge a recorded verdict again from its evidence: the same method on the same four inputs gives the same bytes.

Takes the audit record that holds the verdict, and the model file, policy, reference and evidence that it names by digest. Gives
the row as it comes out now, beside the row as it was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from guardian.canonical import canonical
from guardian.catalog.model_file import ModelFile
from guardian.decisions.verdict import VerdictKey, VerdictRow, decide
from guardian.errors import GuardianError
from guardian.metrics.base import Measured, Subject
from guardian.metrics.registry import METHOD
from guardian.panes.windows import Evidence, Reference
from guardian.pipeline.epochs import bare_parameters
from guardian.pipeline.measure import measure
from guardian.policies.model import PolicyFile
from guardian.units import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class OtherMethodError(GuardianError):
    """A verdict was judged by another version of the method than this release has."""

    code = "replay.other-method"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A verdict as recorded and as it comes out now; `same` compares their canonical bytes."""

    recorded: Mapping[str, Any]
    now: Mapping[str, Any]

    @property
    def same(self) -> bool:
        """Whether both are the same bytes."""
        return canonical(self.recorded) == canonical(self.now)


def replay(model_name: str, body: Mapping[str, Any], position: int, artifact: Callable[[str], bytes]) -> Replayed:
    """Judge row `position` of a `verdicts` record again.

    Args:
        model_name: The record's model.
        body: The record's body.
        position: The row's place in `rows`.
        artifact: Returns what is stored under a digest; raises NotFoundError.

    Raises OtherMethodError where the record was made by another version of the method.
    """
    if body["method"] != METHOD:
        raise OtherMethodError(
            f"the verdict was judged by method {body['method']}, this release has {METHOD}", hint="run the release that judged it"
        )
    row, digests = body["rows"][position], body["digests"]
    model = ModelFile.model_validate_json(artifact(digests["model"]))
    policy = PolicyFile.model_validate_json(artifact(digests["policy"]))
    reference = Reference.from_bytes(artifact(digests["reference"])) if digests["reference"] else None
    parameters = reference.parameters if reference else bare_parameters(model)
    evidence = Evidence.from_bytes(artifact(row["evidence"]), parameters)
    rule, subject = policy.rule(row["rule"]), Subject.from_json(row["subject"])
    measurement = measure(rule, subject, evidence, reference.window() if reference else None)
    condition = dict(rule.rungs)[row["severity"]]
    verdict, reason = decide(measurement, condition)
    start, end = parse_time(body["window"]["start"]), parse_time(body["window"]["end"])
    key = VerdictKey(model_name, body["version"], policy.name, rule.alert, row["severity"], subject, start, end)
    again = VerdictRow(
        key=key,
        revision=row["revision"],
        final=body["final"],
        due_at=parse_time(body["due_at"]),
        verdict=verdict,
        reason=reason,
        value=None,
        low=None,
        high=None,
        threshold=condition,
        n=measurement.n,
        metric=rule.metric,
        detail=measurement.detail,
        evidence=row["evidence"],
        alert_id=row["alert_id"],
    )
    if isinstance(measurement, Measured):
        again = replace(again, value=measurement.value, low=measurement.low, high=measurement.high)
    return Replayed(row, again.to_json())
