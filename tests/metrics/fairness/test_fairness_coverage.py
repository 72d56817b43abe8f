"""How often an extreme is judged falsely when the truth lies exactly at the threshold, by seeded simulation.

Claimed at a ratio of 0.8: false violated at most .029, false satisfied at most .028. Each cell has 4,000 draws; the Monte Carlo
error of a rate of .028 is .0026, so up to .036 is within three of them.
"""

import numpy as np
import pytest

from guardian.metrics.fairness.extremes import greatest_difference, least_ratio, lowest_rate
from guardian.metrics.fairness.groups import Groups

DRAWS = 4_000
MOST = {"violated": 0.029 + 0.0079, "satisfied": 0.028 + 0.0079}


def draws(rates, rows, seed):
    rng = np.random.default_rng(seed)
    names, n = tuple(f"g{i}" for i in range(len(rates))), np.array(rows)
    return [Groups(names, rng.binomial(n, rates), n, {}) for _ in range(DRAWS)]


def false(found, threshold):
    """Return how often the threshold lies below low, and above high."""
    return np.mean([e.low > threshold for e in found]), np.mean([e.high < threshold for e in found])


@pytest.mark.parametrize(
    ("rates", "rows"),
    [
        ((0.4, 0.5), (200, 200)),
        ((0.4, 0.5), (2_000, 300)),
        ((0.4, 0.5, 0.5, 0.5), (500, 500, 500, 500)),
        ((0.4, 0.5, 0.45, 0.45, 0.45, 0.45), (200,) * 6),
        ((0.4, 0.5, 0.5, 0.5, 0.5, 0.5), (1_000, 4_000, 700, 500, 500, 500)),
    ],
)
def test_a_ratio_at_the_four_fifths_is_rarely_judged(rates, rows):
    satisfied, violated = false([least_ratio(g) for g in draws(rates, rows, 1)], 0.8)
    assert violated <= MOST["violated"]
    assert satisfied <= MOST["satisfied"]


@pytest.mark.parametrize(
    ("rates", "rows"), [((0.4, 0.5), (200, 200)), ((0.4, 0.5, 0.45, 0.45), (500,) * 4), ((0.4,) * 3 + (0.5,) * 3, (300,) * 6)]
)
def test_a_difference_at_a_tenth_is_rarely_judged(rates, rows):
    violated, satisfied = false([greatest_difference(g) for g in draws(rates, rows, 2)], 0.1)
    assert violated <= MOST["violated"]
    assert satisfied <= MOST["satisfied"]


def test_a_lowest_rate_at_its_threshold_is_rarely_judged():
    satisfied, violated = false([lowest_rate(g) for g in draws((0.4, 0.5, 0.4, 0.6), (300,) * 4, 3)], 0.4)
    assert violated <= MOST["violated"]
    assert satisfied <= MOST["satisfied"]


def test_the_plain_minimum_over_equal_groups_is_biased_and_the_interval_is_not():
    """Six equal groups of 200: the plain ratio says .84 on average where the truth is 1, yet no verdict is false."""
    found = [least_ratio(g) for g in draws((0.5,) * 6, (200,) * 6, 4)]
    assert np.mean([e.value for e in found]) == pytest.approx(0.837, abs=0.005)
    assert np.mean([e.high < 0.8 for e in found]) < 0.01
