"""Floor 2: models as folders, tensors and token ids. Knows nothing of recipes and stages."""
