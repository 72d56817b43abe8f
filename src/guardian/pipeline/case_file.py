"""`*.cases.yaml`: unit tests of a policy on a time axis. The shape of the file, and what its short notation means.

    policy: credit-drift.yaml
    cases:
      - note: drift that lasts two evaluations alerts once
        series: {psi(income): ["0.01 [0, 0.02] x3", "0.31 [0.28, 0.34] x2", _, "unknown: no-reference"]}
        rows: 900
        expect:
          - {at: 3, rung: error, verdict: violated, alert: pending}

Takes documents of the files room. Gives typed cases, or every mistake where it stands. Never: opens a file, judges anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from guardian.catalog.model_file import DurationMs, Strict
from guardian.decisions.verdict import Reason
from guardian.files.document import choice_hint, shown
from guardian.files.validate import validate
from guardian.metrics.base import Measured, Undefined, Why

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardian.errors import Mistake
    from guardian.files.document import Document, Path
    from guardian.metrics.base import Measurement

CASE_CODES: Final[dict[str, str]] = {
    "cases.entry": "An entry of a series is not of the notation.",
    "cases.length": "Lists of one case have different lengths, or an evaluation is asked for that no series reaches.",
    "cases.series": "A series is of nothing that the policy judges, or its name can be read in two ways.",
    "cases.unknown-rule": "An expectation names a rule, rung or subject that its case does not evaluate.",
    "cases.expects-nothing": "An expectation says where, but not what.",
    "cases.policy": "The policy file named cannot be tested.",
}
"""The codes of mistakes that only case files have. Public: listed in docs/errors.md, and never change meaning."""

EVALUATIONS_MAX: Final = 1_000  # Of one case; more is what a backtest is for.
_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TIMES: Final = r"(?:\s+x(?P<times>\d{1,4}))?"
_ENTRY: Final = re.compile(
    rf"(?:_|unknown:\s*(?P<why>[a-z-]+)|(?P<value>{_NUMBER})(?:\s*\[\s*(?P<low>{_NUMBER})\s*,\s*(?P<high>{_NUMBER})\s*\])?"
    rf"(?P<small>\s+small-cells)?){_TIMES}"
)
_PLAIN: Final = re.compile(rf"(?P<value>{_NUMBER}){_TIMES}")
_RANGE: Final = re.compile(r"(\d{1,4})\.\.(\d{1,4})")
_ENTRY_HINT: Final = (
    'write "0.31 [0.28, 0.34]", 0.31, "0.31 [0.28, 0.34] small-cells", _ (no data) or "unknown: REASON"; " x5" repeats'
)

AlertWord = Literal["none", "pending", "firing", "resolved"]
EffectWord = Literal[
    "alert", "retrain-proposed", "retrain-declined", "retrain-approved", "retrain-withdrawn", "retrain-inherited"
]


class Context(Strict):
    """What a proposal of retraining is weighed by; by default nothing stands against it."""

    in_flight: bool = Field(default=False, description="A request of the model is under way.")
    broken_input: bool = Field(default=False, description="The input data are faulty.")
    immature_labels: bool = Field(default=False, description="Too many labels are still missing.")
    champion: bool = Field(default=True, description="The version is the one in charge.")


class Expectation(Strict):
    """What must come out at some evaluations; what is left out is not checked."""

    at: int | str | tuple[int, ...] = Field(description='Evaluations from 0: 3, [3, 4], or "3..7".')
    rule: str | None = Field(default=None, description="The rule's name; absent: every rule of the case.")
    rung: Literal["warn", "error", "unknown"] | None = Field(
        default=None, description="warn, error, or unknown for the alert of on_unknown; absent: warn and error."
    )
    column: str | None = Field(default=None, description="The column, or the output prediction or score.")
    by: str | None = Field(default=None, description="The segment, columns joined by a comma.")
    of_class: str | None = Field(default=None, alias="class", description="The class of a multiclass model.")
    verdict: Literal["violated", "satisfied", "inconclusive", "unknown"] | None = Field(default=None, description="The verdict.")
    reason: str | None = Field(default=None, description="Its reason code.")
    alert: AlertWord | None = Field(default=None, description="Where the alert stands after the evaluation.")
    effects: tuple[EffectWord, ...] | None = Field(
        default=None, description="Everything that follows, in any order; [] for nothing."
    )


class CaseDecision(Strict):
    """What people, or the training system, say to the request that is open."""

    at: int = Field(ge=0, description="After which evaluation, from 0.")
    action: Literal["approve", "reject", "start", "complete", "fail"] = Field(description="What they say.")


class CaseSpec(Strict):
    """One case."""

    note: str = Field(description="What it shows, in a sentence.", min_length=1, max_length=200)
    series: dict[str, tuple[str | float, ...]] = Field(description="Measurements in order, by what they measure.", min_length=1)
    rows: str | float | tuple[str | float, ...] | None = Field(default=None, description="Live rows; absent: enough.")
    label_coverage: str | float | tuple[str | float, ...] | None = Field(
        default=None, description="Share with labels; absent: 1."
    )
    context: Context = Field(default_factory=Context, description="What stands against retraining.")
    decisions: tuple[CaseDecision, ...] = Field(default=(), description="What is decided about retraining requests, and when.")
    expect: tuple[Expectation, ...] = Field(description="What must come out.", min_length=1)


class CasesFile(Strict):
    """A whole `*.cases.yaml`."""

    policy: str = Field(description="The policy file, beside this one.", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.ya?ml$")
    model: str | None = Field(default=None, description="The model's name in alerts; absent: the first that the policy names.")
    every: DurationMs | None = Field(default=None, description="Distance between evaluations; absent: each rule's own.")
    cases: tuple[CaseSpec, ...] = Field(description="The cases.", min_length=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One expectation, its evaluations written out.

    Attributes:
        spec: What must come out.
        at: The evaluations.
        line: Where it stands in the file.
    """

    spec: Expectation
    at: tuple[int, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Case:
    """One case, its notation written out; every list has one item an evaluation.

    Attributes:
        note: What it shows.
        series: Measurements by the series' key; n is filled in from `rows`.
        rows: Live rows, or None for enough.
        coverage: Label coverage.
        context: What stands against retraining.
        decisions: What is decided about retraining requests; each finds a request that takes it, or the case fails.
        expect: What must come out.
        index: Its place in the file, for mistakes.
    """

    note: str
    series: dict[str, tuple[Measurement, ...]]
    rows: tuple[int, ...] | None
    coverage: tuple[float, ...]
    context: Context
    decisions: tuple[CaseDecision, ...]
    expect: tuple[Wanted, ...]
    index: int

    @property
    def evaluations(self) -> int:
        """How many evaluations the case has."""
        return len(self.coverage)


@dataclass(frozen=True, slots=True)
class Cases:
    """A whole file, its notation written out."""

    document: Document
    spec: CasesFile
    cases: tuple[Case, ...]


def load_cases(document: Document) -> Cases | tuple[Mistake, ...]:
    """Return the cases that `document` holds, or its mistakes in file order; the policy is not looked at."""
    spec = validate(document, CasesFile)
    if not isinstance(spec, CasesFile):
        return spec
    mistakes: list[Mistake] = []
    cases = tuple(_case(document, one, i, mistakes) for i, one in enumerate(spec.cases))
    return tuple(mistakes) if mistakes else Cases(document, spec, cases)


def parse_entry(text: str | float) -> tuple[Measurement, int]:
    """Read one entry of a series: the measurement, with n still 0, and how often it stands there. Raises ValueError.

    >>> parse_entry("0.31 [0.28, 0.34] x2")
    (Measured(value=0.31, n=0, low=0.28, high=0.34, se=None, fit=True, detail={}), 2)
    >>> parse_entry("unknown: immature-labels")[0].why.value
    'immature-labels'
    """
    match = _ENTRY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{shown(text)} is no measurement")
    times = int(match["times"] or 1)
    if match["value"] is None:
        why = match["why"] or Why.NO_DATA.value
        if why not in set(Why):
            raise ValueError(f"{shown(why)} is no reason for an unknown ({', '.join(Why)})")
        return Undefined(Why(why)), times
    value = float(match["value"])
    low, high = (value, value) if match["low"] is None else (float(match["low"]), float(match["high"]))
    if not low <= high:
        raise ValueError(f"{shown(text)}: the interval's ends are crossed")
    return Measured(value, 0, low, high, fit=match["small"] is None), times


def _case(document: Document, spec: CaseSpec, index: int, mistakes: list[Mistake]) -> Case:
    at: Path = ("cases", index)
    before = len(mistakes)
    series = {key: tuple(_entries(document, (*at, "series", key), items, mistakes)) for key, items in spec.series.items()}
    if len(mistakes) > before:  # Lengths follow from entries: what is wrong with one is not said twice.
        return Case(spec.note, series, None, (), spec.context, spec.decisions, (), index)
    count = max(map(len, series.values()))
    for key, values in series.items():
        if len(values) != count:
            what = f"the series has {len(values)} evaluations, another of the case {count}"
            mistakes.append(document.mistake("cases.length", (*at, "series", key), what, 'repeat an entry with " x5"', key=True))
    if count > EVALUATIONS_MAX:
        what = f"the case has {count:,} evaluations, more than {EVALUATIONS_MAX:,}"
        mistakes.append(document.mistake("cases.length", (*at, "series"), what, "show the turning points, not the whole history"))
    rows = None if spec.rows is None else _numbers(document, (*at, "rows"), spec.rows, count, mistakes)
    coverage = _numbers(
        document, (*at, "label_coverage"), 1.0 if spec.label_coverage is None else spec.label_coverage, count, mistakes
    )
    expect = tuple(_wanted(document, (*at, "expect", i), one, count, mistakes) for i, one in enumerate(spec.expect))
    whole = None if rows is None else tuple(int(n) for n in rows)
    return Case(spec.note, series, whole, coverage, spec.context, spec.decisions, expect, index)


def _entries(document: Document, at: Path, items: Sequence[str | float], mistakes: list[Mistake]) -> Iterator[Measurement]:
    for i, item in enumerate(items):
        try:
            value, times = parse_entry(item)
        except ValueError as error:
            mistakes.append(document.mistake("cases.entry", (*at, i), str(error), _ENTRY_HINT))
            value, times = Undefined(Why.NO_DATA), 1
        yield from [value] * times


def _numbers(
    document: Document, at: Path, written: str | float | tuple[str | float, ...], count: int, mistakes: list[Mistake]
) -> tuple[float, ...]:
    """Write out `900`, `"900 x3"` or a list of them to `count` numbers; a single number without repetition is for all."""
    items = written if isinstance(written, tuple) else (written,)
    out: list[float] = []
    for i, item in enumerate(items):
        match = _PLAIN.fullmatch(str(item).strip())
        if match is None or float(match["value"]) < 0:
            path = (*at, i) if isinstance(written, tuple) else at
            mistakes.append(
                document.mistake("cases.entry", path, f"{shown(item)} is no number of this kind", 'write 900 or "900 x5"')
            )
            return (0.0,) * count
        out += [float(match["value"])] * int(match["times"] or 1)
    if isinstance(written, int | float):
        return (float(written),) * count
    if len(out) != count:
        what = f"{len(out)} numbers for {count} evaluations"
        mistakes.append(document.mistake("cases.length", at, what, "give one for each evaluation, or a single number for all"))
        return (0.0,) * count
    return tuple(out)


def _wanted(document: Document, at: Path, spec: Expectation, count: int, mistakes: list[Mistake]) -> Wanted:
    evaluations = _evaluations(spec.at)
    if evaluations is None or not evaluations or not all(0 <= i < count for i in evaluations):
        what = f"{shown(spec.at)} names no evaluation between 0 and {count - 1}"
        mistakes.append(document.mistake("cases.length", (*at, "at"), what, 'write 3, [3, 4] or "3..7"'))
    if (spec.verdict, spec.reason, spec.alert, spec.effects) == (None, None, None, None):
        hint = "add verdict, reason, alert or effects"
        mistakes.append(document.mistake("cases.expects-nothing", at, "the expectation can never fail", hint))
    if spec.reason is not None and spec.reason not in set(Reason):
        what, hint = f"{shown(spec.reason)} is no reason code", choice_hint(spec.reason, list(Reason))
        mistakes.append(document.mistake("file.not-allowed", (*at, "reason"), what, hint))
    return Wanted(spec, evaluations or (), document.place(at).line)


def _evaluations(at: int | str | tuple[int, ...]) -> tuple[int, ...] | None:
    if isinstance(at, int):
        return (at,)
    if isinstance(at, tuple):
        return at
    match = _RANGE.fullmatch(at.strip())
    return None if match is None else tuple(range(int(match[1]), int(match[2]) + 1))
