"""Windows as unions of panes: what merges, what has changed, and bytes there and back."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.canonical import digest
from guardian.catalog.layout import layout_of
from guardian.catalog.parameters import CategoricalColumn, NumericColumn, Parameters
from guardian.errors import InvalidStateError
from guardian.metrics.base import Subject, Undefined, Why
from guardian.panes.pane import SUM_MAX, Sparse, collect
from guardian.panes.windows import BeyondError, ChangedError, Evidence, Pane, Reference, evidence_of, window_of
from guardian.pipeline.measure import measure
from guardian.testing.stories import policy

SEX, AGE = CategoricalColumn("sex", ("1", "2")), NumericColumn("age", (30.0,), 18.0, 80.0)
OLD = Parameters("binary_classification", (AGE, SEX), ("no", "yes"), 1, None, (("sex",),), horizon_panes=3)
NEW_BINS = replace(OLD, columns=(replace(AGE, edges=(40.0,)), SEX))
NEW_SEX = replace(OLD, columns=(AGE, replace(SEX, keys=("1", "3"))))
MORE = replace(OLD, columns=(AGE, NumericColumn("worth", (), 0.0, 1.0), SEX), segments=())
LATER = replace(OLD, horizon_panes=4)
ALL = (OLD, NEW_BINS, NEW_SEX, MORE, LATER)


def vector(size: int, seed: int) -> Sparse:
    rng = np.random.default_rng(seed)
    return collect(rng.integers(0, size, 30), rng.integers(1, 9, 30))


def pane(p: Parameters, seed: int) -> Pane:
    layout = layout_of(p)
    return Pane(p, vector(layout.inputs.size, seed), vector(layout.labels.size, seed + 1))


def naive(panes, p: Parameters, name: str):
    """Return a part's sum over panes, or None where one of them counted it otherwise."""
    want = None
    for one in panes:
        layout, vectors = layout_of(one.parameters), (one.inputs, one.labels)
        for space, v in zip((layout.inputs, layout.labels), vectors, strict=True):
            part = space.by_name.get(name)
            if part is not None:
                mine = layout_of(p)
                if part.digest != (mine.inputs.by_name.get(name) or mine.labels.by_name[name]).digest:
                    return None
                cells = v.dense(space.size)[part.offset : part.offset + part.size].reshape(part.shape)
                want = cells if want is None else want + cells
                break
        else:
            return None
    return want


@given(st.lists(st.tuples(st.sampled_from(range(len(ALL))), st.integers(0, 99)), min_size=1, max_size=5))
def test_parts_of_equal_digest_merge_and_the_others_are_changed(picks):
    panes = [pane(ALL[i], seed) for i, seed in picks]
    p = panes[-1].parameters
    window = window_of(panes, p)
    assert window.predictions == sum(one.predictions for one in panes)
    assert window.labelled == sum(one.labelled for one in panes)
    layout = layout_of(p)
    for name in (*layout.inputs.by_name, *layout.labels.by_name):
        want = naive(panes, p, name)
        if want is None:
            with pytest.raises(ChangedError):
                window.part(name)
        else:
            assert window.part(name).tolist() == want.tolist()


def test_only_the_column_whose_cells_changed_is_changed():
    window = window_of([pane(OLD, 1), pane(NEW_BINS, 2)], NEW_BINS)
    assert window.changed == {"column/age"}
    window = window_of([pane(OLD, 1), pane(NEW_SEX, 2)], NEW_SEX)
    assert window.changed == {"column/sex", "outcome/sex", "labels/sex", "sums/sex"}
    assert window_of([pane(OLD, 1), pane(LATER, 2)], LATER).changed == {"delay/"}
    assert window_of([pane(OLD, 1), pane(OLD, 2)], OLD).changed == frozenset()


def test_a_window_of_nothing_is_empty_and_knows_every_part():
    window = window_of([], OLD)
    assert (window.predictions, window.labelled, window.part("labels/").sum()) == (0, 0, 0)
    with pytest.raises(KeyError):
        window.part("labels/race")


def test_parts_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        window_of([pane(OLD, 1)], OLD).part("outcome/")[0] = 1


NAMES = ("column/age", "labels/sex", "calibration/sex", "sums/sex", "delay/")


@given(st.integers(0, 99), st.booleans())
def test_evidence_is_what_was_read_and_comes_back_from_its_bytes(seed, mixed):
    window = window_of([pane(NEW_BINS if mixed else OLD, seed), pane(OLD, seed + 5)], OLD)
    evidence = evidence_of(window, NAMES)
    again = Evidence.from_bytes(evidence.to_bytes(), OLD)
    assert again.to_bytes() == evidence.to_bytes()
    assert (again.predictions, again.labelled, again.changed) == (window.predictions, window.labelled, evidence.changed)
    assert again.changed == ({"column/age"} if mixed else frozenset())
    for name in evidence.parts:
        assert not any(one.part(name).flags.writeable for one in (evidence, again))
        assert again.part(name).tolist() == window.part(name).tolist()
    if mixed:
        with pytest.raises(ChangedError):
            again.part("column/age")
    with pytest.raises(KeyError):
        again.part("outcome/")
    with pytest.raises(InvalidStateError):
        Evidence.from_bytes(evidence.to_bytes(), NEW_BINS)


def test_evidence_bytes_do_not_depend_on_how_counts_were_cut_into_panes():
    layout = layout_of(OLD)
    a, b, c = (pane(OLD, seed) for seed in (1, 2, 3))
    both = Pane(OLD, a.inputs.merge(b.inputs), a.labels.merge(b.labels))
    one, other = window_of([c, both], OLD), window_of([a, b, c], OLD)
    names = (*layout.inputs.by_name, *layout.labels.by_name)
    assert evidence_of(one, names).to_bytes() == evidence_of(other, names[::-1]).to_bytes()


AMOUNT = Parameters("regression", (AGE,), (), -1, NumericColumn("prediction", (), 0.0, 1.0), (), horizon_panes=1)


def rents(square: int) -> Pane:
    """A pane of one labelled prediction whose squared error is so many steps."""
    sums, delay = (layout_of(AMOUNT).labels.by_name[name].offset for name in ("sums/", "delay/"))
    cells = np.array([sums, sums + 3, delay])
    return Pane(AMOUNT, Sparse.zero(), collect(cells, np.array([1, square, 1])))


def test_sums_that_leave_62_bits_in_a_window_are_not_measured_and_nothing_wraps():
    half = SUM_MAX // 2
    assert window_of([rents(half), rents(half - 4096)], AMOUNT).part("sums/")[0, 3] == SUM_MAX - 4096
    for panes in ([rents(half)] * 2, [rents(half)] * 5, [rents(-half)] * 9):
        window = window_of(panes, AMOUNT)
        assert (window.beyond, window.labelled) == ({"sums/"}, len(panes))
        evidence = Evidence.from_bytes(evidence_of(window, ("sums/", "delay/")).to_bytes(), AMOUNT)
        assert evidence.part("delay/").tolist() == [len(panes), 0]
        for counts in (window, evidence):
            with pytest.raises(BeyondError):
                counts.part("sums/")
        rule = policy("p", {"alert": "A", "metric": "performance.rmse", "warn": "> 1", "require": {"label_coverage": 0}}).rule(
            "A"
        )
        found = measure(rule, Subject(), replace(evidence, predictions=len(panes)), None)
        assert isinstance(found, Undefined)
        assert found.why is Why.NOT_DEFINED


def test_evidence_of_another_format_is_refused():
    blob = evidence_of(window_of([pane(OLD, 1)], OLD), NAMES).to_bytes().replace(b'"format":1', b'"format":2')
    with pytest.raises(InvalidStateError):
        Evidence.from_bytes(blob, OLD)


@pytest.mark.parametrize("p", ALL, ids=("old", "bins", "sex", "more", "later"))
def test_a_reference_comes_back_from_its_bytes(p):
    one = pane(p, 3)
    reference = Reference(p, one.inputs, one.labels)
    with pytest.raises(InvalidStateError, match="format 2"):
        Reference.from_bytes(reference.to_bytes().replace(b'"format":1', b'"format":2'))
    again = Reference.from_bytes(reference.to_bytes())
    assert again == reference
    assert again.digest == reference.digest == digest(reference.to_bytes())
    assert again.window().part("outcome/").tolist() == window_of([one], p).part("outcome/").tolist()
