"""Tables in files: Parquet, CSV and JSON lines, read as bounded batches of plain Python values.

The three formats give equal values for equal tables, as far as a format can say them: numbers and booleans are recognised in
CSV text, timestamps become UTC milliseconds, categories (dictionary columns) their values, and NaN is missing (None).
"""
