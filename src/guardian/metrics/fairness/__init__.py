"""Fairness: how far groups of people are treated apart."""
