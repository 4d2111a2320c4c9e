"""Floor 5: decides which rows are worth training on, which only to be scored on, and says why for each that goes."""
