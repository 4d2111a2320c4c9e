"""Floor 1: walks a recipe. Knows stages only as a table it is handed, and nothing of models or rows."""
