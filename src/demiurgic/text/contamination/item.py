"""A question of an evaluation set. Knows nothing of how it is looked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """`name` tells it from the others of its benchmark. `choices` are the answers to choose from, where it has some:
    they are taken with a question that is too short, or too much like others, to be found by itself.
    """

    benchmark: str
    name: str
    question: str
    choices: str = ""
