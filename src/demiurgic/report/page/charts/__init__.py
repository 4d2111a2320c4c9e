"""Inline SVG: x in percent of the width, y in pixels, so that text keeps its size on a phone. Knows no steps."""
