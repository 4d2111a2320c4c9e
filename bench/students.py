"""Does distillation help? The demo's student against its controls over several seeds (recipes/stdlib.yaml).

    python bench/students.py --store store-students --seeds 5

Each seed draws new start weights and a new order of the data for the student and both controls; teacher and data stay.
A difference is paired within a seed; its interval is Student's t over the seeds.
"""

import sys
from pathlib import Path

import demiurgic
from demiurgic.core.console import Console
from demiurgic.core.metric import Metric
from demiurgic.run.context import Context
from demiurgic.run.status import store_status
from demiurgic.run.store import Store
from demiurgic.stats.intervals import mean
from tables import options, show

PER_SEED = ("small", "student", "score")  # the controls are like the student
AFTER_SCORE = ("adapter.model", "specialist.base", "score_domain.models.student", "file.model")
"""What names the one student after it is scored: that of the first seed, and none of it is made here."""
MODELS = ("teacher", "student", "control", "control_seconds")
DIFFERENCES = ("student_vs_control", "student_vs_control_seconds")
METRICS = ("bits_per_byte", "parses")


def main() -> int:
    parser = options("The student against its controls, over seeds.")
    parser.add_argument("--store", default="store-students")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="STEP.FIELD=VALUE")
    arguments = parser.parse_args()
    seeds = list(range(1, arguments.seeds + 1))
    recipe = demiurgic.load_recipe("stdlib", overrides=["name=students", *over_seeds(seeds), *arguments.set])
    context = Context(console=Console(), base=recipe.path.parent)
    outcomes = demiurgic.run_recipe(recipe, store=arguments.store, to="score[*]", context=context)
    summaries = {o.step: o.manifest.summary.metrics for o in outcomes if o.step.startswith("score[") and o.manifest}
    rows = []
    for metric in METRICS:
        for name in (*MODELS, *DIFFERENCES):
            values = [
                metrics[f"{name}.{metric}"].value for metrics in summaries.values() if f"{name}.{metric}" in metrics
            ]
            if len(values) == len(summaries):
                rows.append(row(metric, name, mean(values)))
    for name in DIFFERENCES:
        shares = [metrics.get(f"{name}.recovered_share") for metrics in summaries.values()]
        if None not in shares:  # undefined where the teacher has no clear lead
            rows.append(
                row("bits_per_byte", f"{name}: share of lead", mean([share.value for share in shares if share]))
            )
    seconds = {
        name: sum(
            o.manifest.summary.metrics["train_seconds"].value
            for o in outcomes
            if o.manifest and o.step.partition("[")[0] == name
        )
        / len(summaries)
        for name in MODELS[1:]
    }
    status = store_status(Store(Path(arguments.store)))
    show(
        f"Students over {len(summaries)} seeds: mean and 95 % interval (Student's t)",
        rows,
        as_json=arguments.json,
        ledger=", ".join(step.line for step in status.recipes["students"] if step.step in summaries),
        train_seconds=", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()),
    )
    return 0


def over_seeds(seeds: list[int]) -> list[str]:
    """What to change in the demo's recipe to have the student, its controls and their score once per seed."""
    expanded = [f"{step}.for_each={{seed: {seeds}}}" for step in PER_SEED]
    return expanded + [f"{place}=student[seed={seeds[0]}]" for place in AFTER_SCORE]


def row(metric: str, name: str, measured: Metric) -> dict[str, object]:
    values = {"mean": measured.value, "low": measured.low, "high": measured.high}
    return {"metric": metric, "model or difference": name, **values}


if __name__ == "__main__":
    sys.exit(main())
