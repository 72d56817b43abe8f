"""What follows: verdicts with reasons, alerts as folds over them, retraining requests as a state machine."""
