"""The outside world, one thing a package."""
