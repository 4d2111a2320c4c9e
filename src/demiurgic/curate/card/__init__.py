"""The data card of a curated dataset: what it is, where it comes from, what was done to it, what is not known of it."""

from demiurgic.curate.card.card import CARD, write_card

__all__ = ["CARD", "write_card"]
