"""New things: a tokenizer learned from rows, a model of a given shape with random weights."""
