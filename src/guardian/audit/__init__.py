"""What is kept: canonical records in hash chains, trees over them, signed checkpoints, and their verifier."""
