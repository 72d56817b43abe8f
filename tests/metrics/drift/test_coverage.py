"""The PSI interval covers as documented: a seeded simulation over sample sizes, cells and sizes of drift."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from guardian.catalog.parameters import CategoricalColumn, Parameters
from guardian.metrics.base import Options, Subject
from guardian.metrics.cells import pair
from guardian.metrics.drift import psi
from guardian.testing.counts import TableCounts

N0 = 50_000
DRAWS = 300  # Of each of four truths and of no drift: the standard error of a coverage of 0.95 over 1,200 draws is 0.0063.
TRUTHS = (0.05, 0.1, 0.2, 0.5)
WHAT = Subject(column="c")

EQUAL = np.full(10, 0.1)
RARE = 0.8 ** np.arange(20) / (0.8 ** np.arange(20)).sum()  # The rarest of 20 cells hold 0.3 to 0.9 % before pooling.

# Shares, live rows, documented mean coverage. Accepted: 0.02 less (three standard errors) to 0.03 more (another mix of drifts).
CASES = [
    (EQUAL, 50, 0.951),
    (EQUAL, 200, 0.952),
    (EQUAL, 1_000, 0.950),
    (EQUAL, 10_000, 0.952),
    (RARE, 50, 0.919),
    (RARE, 200, 0.949),
    (RARE, 1_000, 0.948),
    (RARE, 10_000, 0.948),
]


def index(q: np.ndarray, p: np.ndarray) -> float:
    return float(((q - p) * np.log(q / p)).sum())


def drifted(p: np.ndarray, target: float, rng: np.random.Generator) -> np.ndarray:
    """Return shares whose PSI from `p` is `target`, tilted in a random direction."""
    direction = rng.standard_normal(len(p))

    def tilted(t: float) -> np.ndarray:
        q = p * np.exp(t * direction)
        return q / q.sum()

    return tilted(brentq(lambda t: index(tilted(t), p) - target, 0, 20))


def counted(cells: np.ndarray) -> TableCounts:
    column = CategoricalColumn("c", tuple(f"{i:02d}" for i in range(len(cells))))
    parameters = Parameters("regression", (column,), (), -1, None, (), 0)
    return TableCounts(parameters, int(cells.sum()), 0, {"column/c": np.append(cells, [0, 0])})


@pytest.mark.parametrize(("p", "n", "documented"), CASES)
def test_the_interval_covers_as_documented(p, n, documented):
    rng = np.random.default_rng([n, len(p)])
    covered, too_high, wrongly_fine = [], [], []
    for target in TRUTHS:
        for _ in range(DRAWS):
            q = drifted(p, target, rng)
            reference, live = counted(rng.multinomial(N0, p)), counted(rng.multinomial(n, q))
            to = pair(live, reference, WHAT).grouping.to[: len(p)]
            truth = index(np.bincount(to, weights=q), np.bincount(to, weights=p))
            got = psi.measure(live, reference, WHAT, Options())
            covered.append(got.low <= truth <= got.high)
            too_high.append(got.low > truth)
            wrongly_fine.append(got.high < truth and got.fit)
    assert documented - 0.02 <= np.mean(covered) <= documented + 0.03
    assert np.mean(too_high) <= 0.04
    assert np.mean(wrongly_fine) <= 0.055


@pytest.mark.parametrize("p", [EQUAL, RARE])
@pytest.mark.parametrize("n", [50, 200, 1_000])
def test_without_drift_nothing_is_violated(p, n):
    """Goal: P(violated at 0.1) <= 0.0007. Method: at most 3 of 1,500 draws (Poisson, 98 %)."""
    rng = np.random.default_rng([n, len(p), 1])
    reference = counted(rng.multinomial(N0, p))
    got = [psi.measure(counted(live), reference, WHAT, Options()) for live in rng.multinomial(n, p, size=1_500)]
    assert sum(g.low > 0.1 for g in got) <= 3
    # The bias is taken off: on average no drift is left, where the raw index would be (K - 1) / n.
    critical = np.array([g.detail["no_drift"] for g in got])
    assert np.mean([g.value for g in got]) < 0.5 * critical.mean()
    assert all(math.isfinite(g.high) for g in got)
