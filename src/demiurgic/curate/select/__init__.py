"""Which of the good rows to keep: whole sources, the best by score, so many of each. Knows no filters and no split."""

from demiurgic.curate.select.config import Quotas, Scored, Select
from demiurgic.curate.select.select import select

__all__ = ["Quotas", "Scored", "Select", "select"]
