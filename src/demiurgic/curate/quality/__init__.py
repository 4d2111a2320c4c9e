"""How good a row looks, in four parts that are told apart: language, coherence, length, complexity. No model."""
