"""Floor 3: is this answer good? Checks that stages filter by and score by. Knows nothing of rows or stages."""
