"""Floor 5: token windows out of rows, and students out of windows, with or without a teacher."""
