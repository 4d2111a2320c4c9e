"""Models as other programs want them, each file verified against its source."""
