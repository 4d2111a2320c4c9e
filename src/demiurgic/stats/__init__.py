"""Floor 1: intervals and comparisons of measured numbers. Knows nothing of models, suites or files."""
