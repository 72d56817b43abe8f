"""Settings: the home directory and what its guardian.toml and the environment say."""
