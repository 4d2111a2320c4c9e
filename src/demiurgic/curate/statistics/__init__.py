"""What a set of rows is like: lengths, words, domains, languages, before and after each rule. Changes no row."""

from demiurgic.curate.statistics.statistics import Statistics
from demiurgic.curate.statistics.tally import Tally

__all__ = ["Statistics", "Tally"]
