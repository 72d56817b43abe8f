"""Composition of the core: count, judge, and what reuses them."""
