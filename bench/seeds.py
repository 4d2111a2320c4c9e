"""Recipes whose students are trained once per seed: run them, and cite what they found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import demiurgic
from demiurgic.core.console import Console
from demiurgic.core.metric import Metric
from demiurgic.run.context import Context
from demiurgic.run.recipe import Recipe
from demiurgic.run.runner import Outcome
from demiurgic.run.status import store_status
from demiurgic.run.store import Store


def walked(recipe: Recipe, store: str) -> list[Outcome]:
    """Every score, and what it needs."""
    context = Context(console=Console(), base=recipe.path.parent)
    return demiurgic.run_recipe(recipe, store=store, to="score[*]", context=context)


def metrics_of(outcomes: Sequence[Outcome], steps: str) -> dict[str, Mapping[str, Metric]]:
    """The metrics of each step whose name begins so."""
    return {o.step: o.manifest.summary.metrics for o in outcomes if o.step.startswith(steps) and o.manifest}


def ledger_of(steps: Mapping[str, Any], *, recipe: str, store: str) -> str:
    """The lines of the ledger that the numbers of these steps stand in."""
    status = store_status(Store(Path(store)))
    return ", ".join(step.line for step in status.recipes[recipe] if step.step in steps)


def row(metric: str, name: str, measured: Metric) -> dict[str, object]:
    """A line of a table."""
    values = {"mean": measured.value, "low": measured.low, "high": measured.high}
    return {"metric": metric, "model or difference": name, **values}
