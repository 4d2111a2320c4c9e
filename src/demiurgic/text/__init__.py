"""Floor 1: texts as bytes: words, n-grams, similarity, contamination, language. Knows nothing of rows or stages.

Files in `kernels/` are compiled by numba and import it at their top; everything else imports them inside functions.
"""
