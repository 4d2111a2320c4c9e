"""Floor 0: the shapes everything shares. Knows nothing of recipes, models or stages."""
