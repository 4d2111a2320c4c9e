"""Personal data and secrets in texts: one file per noun, each with what finds it, what is reserved, what stands in.

`detectors.py` is the table of all; `scan.py` runs them over texts in columns. Nothing here knows of recipes or stages.
"""
