"""What a run set over its recipe's own values, by a preset or by `--set`, and what of it concerns a change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from demiurgic.run.presets import read_presets
from demiurgic.run.recipe import Recipe
from demiurgic.run.yaml_lines import read_yaml


@dataclass(frozen=True)
class Setting:
    """One value that was set over the recipe's own."""

    text: str
    """As `--set` says it."""
    preset: str | None = None
    """The one it stands in; None where it was typed."""

    @property
    def place(self) -> tuple[str, ...]:
        """The step, and the keys and list positions in it."""
        return tuple(self.text.partition("=")[0].strip().split("."))

    def holds(self, place: Sequence[str]) -> bool:
        """Whether the value of a place stands inside of this one."""
        return len(self.place) < len(place) and tuple(place[: len(self.place)]) == self.place

    def covers(self, place: Sequence[str]) -> bool:
        """Whether it sets that place, something in it, or what it stands in."""
        shorter = min(len(self.place), len(place))
        return len(self.place) > 1 and tuple(place[:shorter]) == self.place[:shorter]

    @property
    def remedy(self) -> str:
        """What to do about it where it would stand over a change."""
        if self.preset is None:
            return f"leave away {self}, which would stand over the change"
        return f"change {'.'.join(self.place)} in the preset {self.preset}, which would stand over the change"

    def __str__(self) -> str:
        return f"--set {self.text}" if self.preset is None else f"the preset {self.preset} ({self.text})"


def settings_of(recipe: Recipe) -> list[Setting]:
    """In the order they were applied."""
    own = _texts_of_preset(recipe)
    return [Setting(text, recipe.preset if text in own else None) for text in recipe.overrides]


def _texts_of_preset(recipe: Recipe) -> set[str]:
    preset = read_presets(read_yaml(recipe.path), file=str(recipe.path)).get(recipe.preset or "")
    return {entry.text for entry in preset.entries} if preset is not None else set()


def options_of(recipe: Recipe) -> Iterator[str]:
    """The options of the run: `--preset 40gb`, `--set student.steps=50`."""
    if recipe.preset is not None:
        yield f"--preset {recipe.preset}"
    yield from (str(setting) for setting in settings_of(recipe) if setting.preset is None)
