"""New rows: a teacher answers prompts."""
