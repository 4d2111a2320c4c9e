"""Datasets mixed by shares: how many rows of each kind, which of them, in what order. Judges no row."""
