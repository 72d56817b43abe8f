"""Equal opportunity difference: fairlearn's name for the true positive rate difference; the same number."""

from guardian.metrics.fairness.true_positive_rate_difference import measure

__all__ = ["measure"]
