"""Performance: how right the model was, once the labels are there."""
