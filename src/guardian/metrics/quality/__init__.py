"""Data quality: is the input complete, in range, known, and does the truth arrive?"""
