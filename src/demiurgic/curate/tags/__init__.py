"""What a row is about and how hard it is, by counting cues in columns. No model, and no statistics of any data set."""
