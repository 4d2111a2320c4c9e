"""Rows to look at: kept and dropped ones with their reasons, duplicates beside what they are duplicates of."""
