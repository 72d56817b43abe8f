"""Composition root: which adapters a process runs with."""
