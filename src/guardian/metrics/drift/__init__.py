"""Drift: how far a live window has left its reference."""
