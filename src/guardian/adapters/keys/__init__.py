"""Key files: Ed25519 pairs on disk, the private half for its owner alone."""
