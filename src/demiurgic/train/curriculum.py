"""The losses of a recipe, step by step: which weight and which temperature each has when, and on whose text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from demiurgic.core.registry import Choice
from demiurgic.train.balance import State, balanced_weight, measured
from demiurgic.train.components import Component, Source, asked_of, names_of
from demiurgic.train.phases import Phase, PhaseNow, phase_at
from demiurgic.train.scheduled import Balance, Number, number_at, scheduled_fields


@dataclass(frozen=True)
class Curriculum:
    """A function of the optimizer step alone, but for balanced weights, whose state the checkpoint holds."""

    losses: Sequence[Choice]
    phases: Sequence[Phase] = ()

    def components(
        self, step: int, *, num_steps: int | None, source: Source, balance: State | None = None
    ) -> tuple[Component, ...]:
        """The losses of a step, counted from 0. Always all of them and in the same order.

        `balance` is what `balance_after` gave for the step before.
        """
        weights = self._weights(step, num_steps=num_steps, source=source, balance=balance or {})
        return tuple(
            self._component(name, loss, weights[name], step=step, num_steps=num_steps)
            for name, loss in zip(names_of(self.losses), self.losses, strict=True)
        )

    def balance_after(
        self, balance: State, components: Sequence[Component], raw_K: Sequence[float], *, source: Source
    ) -> dict[str, float]:
        """The state of the balanced weights after a step; empty where no weight is balanced."""
        if not any(isinstance(loss.shared.weight, Balance) for loss in self.losses):
            return {}
        asked = [(c.name, raw) for c, raw in zip(components, raw_K, strict=True) if c.active]
        return measured(balance, [name for name, _ in asked], [raw for _, raw in asked], source=source)

    def number(self, value: float, step: int, *, num_steps: int | None) -> float:
        """Any number of a recipe that may follow a schedule, at a step."""
        return number_at(value, step, num_steps=num_steps, phases=self.phases)

    def phase(self, step: int, *, num_steps: int | None) -> PhaseNow | None:
        """Where in the phases a step lies; None where a recipe has none."""
        if not self.phases or num_steps is None:
            return None
        return phase_at(self.phases, step, num_steps=num_steps)

    def _component(self, name: str, loss: Choice, weight: float, *, step: int, num_steps: int | None) -> Component:
        scheduled = {
            option: number_at(value, step, num_steps=num_steps, phases=self.phases)
            for option, value in scheduled_fields(loss.options)
        }
        options = loss.options.model_copy(update=scheduled) if scheduled else loss.options
        now = Choice(loss.registry, loss.entry, options, loss.shared)
        return Component(name, now, weight, loss.shared.top_entropy, scheduled)

    def _weights(self, step: int, *, num_steps: int | None, source: Source, balance: State) -> Mapping[str, float]:
        named = dict(zip(names_of(self.losses), self.losses, strict=True))
        asked: dict[str, Number] = {
            name: loss.shared.weight if asked_of(loss, source) else 0.0 for name, loss in named.items()
        }
        shares = {name: value.balance for name, value in asked.items() if isinstance(value, Balance)}
        others = {
            name: number_at(value, step, num_steps=num_steps, phases=self.phases)
            for name, value in asked.items()
            if name not in shares
        }
        balanced = {
            name: balanced_weight(
                name, share=share, all_shares=sum(shares.values()), others=others, source=source, state=balance
            )
            for name, share in shares.items()
        }
        return {**others, **balanced}
