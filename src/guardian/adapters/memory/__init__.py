"""Everything in memory: the same behaviour as the SQL database, without its durability. For tests and trials."""
