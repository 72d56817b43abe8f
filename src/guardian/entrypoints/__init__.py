"""Where people and processes come in."""
