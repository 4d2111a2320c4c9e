"""How much each component pulls: the norm of its weighted gradient alone, by one more pass for each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from demiurgic.train.components import Component
from demiurgic.train.optimizer import gradient_norm

if TYPE_CHECKING:
    from torch.nn import Module


def component_norms(
    objective: "Module", components: Sequence[Component], *, one_pass: Callable[[Sequence[Component]], object]
) -> dict[str, float]:
    """The norm of the gradient of each component with a weight, alone.

    `one_pass` starts the random streams of the step anew and adds the gradient of the components it is given; so every
    pass draws the same dropout, and the gradients sum to that of the step's own pass. To be called before that pass:
    leaves no gradient.
    """
    norms = {}
    for position, component in enumerate(components):
        if component.active:
            objective.zero_grad(set_to_none=True)
            one_pass([c if k == position else replace(c, weight=0.0) for k, c in enumerate(components)])
            norms[component.name] = gradient_norm(objective)
    objective.zero_grad(set_to_none=True)
    return norms
