"""Laws that every counted state obeys, written once; each state's tests call them."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar


class Mergeable(Protocol):
    """A state with an associative, commutative `merge`."""

    def merge(self, other: Self) -> Self:
        """Return the state of both streams."""


M = TypeVar("M", bound=Mergeable)


def check_monoid(zero: M, a: M, b: M, c: M) -> None:
    """Fail unless `zero` is neutral and `merge` is associative and commutative.

    >>> from guardian.panes.pane import Sparse, collect
    >>> import numpy as np
    >>> check_monoid(Sparse.zero(), *(collect(np.array([i, 2]), np.array([1, i])) for i in range(3)))
    """
    assert zero.merge(a) == a == a.merge(zero), "zero is not neutral"
    assert a.merge(b) == b.merge(a), "merge depends on order"
    assert a.merge(b).merge(c) == a.merge(b.merge(c)), "merge depends on grouping"


def check_group(zero: M, a: M, minus_a: M) -> None:
    """Fail unless `minus_a` takes back exactly what `a` brought.

    >>> from guardian.panes.pane import Sparse, collect
    >>> import numpy as np
    >>> check_group(Sparse.zero(), *(collect(np.array([3]), np.array([n])) for n in (5, -5)))
    """
    assert a.merge(minus_a) == zero == minus_a.merge(a), "the inverse leaves something behind"
