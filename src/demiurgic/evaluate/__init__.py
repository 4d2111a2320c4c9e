"""Floor 5: measures models on held-out rows, each number with its interval, each comparison paired."""
