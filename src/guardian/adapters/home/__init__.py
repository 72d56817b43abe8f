"""A home directory's files: read bounded, packed examples copied out."""
