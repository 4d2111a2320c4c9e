"""A finished dataset looked at once more, on a sample: numbers a gate can bound, and the worst rows to read."""
