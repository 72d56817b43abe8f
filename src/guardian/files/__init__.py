"""Files that people write: strict YAML to nodes that remember their line and column."""
