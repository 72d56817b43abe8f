"""guardian: watches machine-learning models in production and governs what happens next."""

__version__ = "0.1.0"
