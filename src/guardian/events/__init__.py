"""What arrives: CloudEvents decoded once, strictly, into typed rows, or a dead letter with its reason."""
