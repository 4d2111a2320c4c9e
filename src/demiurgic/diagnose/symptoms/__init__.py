"""What can be wrong with a training, one idea a file. Each function takes a `Training` and gives findings.

A threshold is a named constant with its reason beside it. A function raises `NotCheckedError` where it cannot tell.
"""
