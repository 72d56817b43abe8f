"""The SQL database: tables, transactions and migrations. Everything that speaks SQL is in this package."""
