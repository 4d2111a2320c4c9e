"""Floor 5: brings rows into the store, each with where it came from and under which licence."""
