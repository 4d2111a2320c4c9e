"""Does distillation help? The demo's student against its controls over several seeds (recipes/stdlib.yaml).

    python bench/students.py --store store-students --seeds 5
    python bench/students.py --store store-students --seeds 5 --on-policy

Each seed draws new start weights and a new order of the data for the student and both controls; teacher and data stay.
A difference is paired within a seed; its interval is Student's t over the seeds.

With --on-policy it is asked instead whether the student should write the text of some steps itself (GKD, arXiv
2306.13649). Three students go on from one that was distilled from the data, for equally many optimizer steps: on the
data alone, on data and own text in turn, and on own text alone; each with the forward KL and with the reverse KL.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import demiurgic
import demiurgic.api
from demiurgic.core.metric import Metric
from demiurgic.run.runner import Outcome
from demiurgic.stats.intervals import mean
from seeds import ledger_of, metrics_of, row, walked
from tables import options, show

PER_SEED = ("small", "student", "score")  # the controls are like the student
AFTER_SCORE = ("adapter.model", "specialist.base", "score_domain.models.student", "file.model")
"""What names the one student after it is scored: that of the first seed, and none of it is made here."""
MODELS = ("teacher", "student", "control", "control_seconds")
DIFFERENCES = ("student_vs_control", "student_vs_control_seconds")
METRICS = ("bits_per_byte", "parses")

SHARES = {"off_policy": 0.0, "mixed": 0.5, "on_policy": 1.0}
"""Of the steps whose text the student writes."""
KINDS = ("forward_kl", "reverse_kl")
ON_POLICY_STEPS = 100
GOING_ON = {"batch": 4, "learning_rate": 2e-4, "schedule": "constant"}
"""A tenth of the rate that the student was distilled at: it goes on from weights that are good already."""


def main() -> int:
    parser = options("The student against its controls, over seeds.")
    parser.add_argument("--store", default="store-students")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--on-policy", action="store_true", help="text of the student's own, against the data alone")
    parser.add_argument("--steps", type=int, default=ON_POLICY_STEPS, help="with --on-policy: of each training")
    parser.add_argument("--set", action="append", default=[], metavar="STEP.FIELD=VALUE")
    arguments = parser.parse_args()
    seeds = list(range(1, arguments.seeds + 1))
    if arguments.on_policy:
        path = write_on_policy(Path(f"{arguments.store}-on-policy.yaml"), seeds, steps=arguments.steps)
        show_on_policy(walked(demiurgic.load_recipe(path, overrides=arguments.set), arguments.store), arguments)
    else:
        overrides = ["name=students", *over_seeds(seeds), *arguments.set]
        show_students(walked(demiurgic.load_recipe("stdlib", overrides=overrides), arguments.store), arguments)
    return 0


def show_students(outcomes: Sequence[Outcome], arguments: argparse.Namespace) -> None:
    summaries = metrics_of(outcomes, "score[")
    rows = table(summaries, models=MODELS, differences=DIFFERENCES)
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
    show(
        f"Students over {len(summaries)} seeds: mean and 95 % interval (Student's t)",
        rows,
        as_json=arguments.json,
        ledger=ledger_of(summaries, recipe="students", store=arguments.store),
        train_seconds=", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()),
    )


def show_on_policy(outcomes: Sequence[Outcome], arguments: argparse.Namespace) -> None:
    summaries = metrics_of(outcomes, "score[")
    models = ["start", *(f"{share}_{kind}" for kind in KINDS for share in SHARES)]
    show(
        f"On-policy against off-policy over {len(summaries)} seeds: mean and 95 % interval (Student's t)",
        table(summaries, models=models, differences=[f"{first}_vs_{second}" for first, second in pairs()]),
        as_json=arguments.json,
        ledger=ledger_of(summaries, recipe="on-policy", store=arguments.store),
        steps=arguments.steps,
    )


def table(
    summaries: Mapping[str, Mapping[str, Metric]], *, models: Sequence[str], differences: Sequence[str]
) -> list[dict[str, object]]:
    """A row per metric and model or difference: the mean over the seeds."""
    rows = []
    for metric in METRICS:
        for name in (*models, *differences):
            values = [
                metrics[f"{name}.{metric}"].value for metrics in summaries.values() if f"{name}.{metric}" in metrics
            ]
            if len(values) == len(summaries):
                rows.append(row(metric, name, mean(values)))
    return rows


def pairs() -> list[tuple[str, str]]:
    """Each share of own text against none, with the same loss."""
    return [(f"{share}_{kind}", f"off_policy_{kind}") for kind in KINDS for share in SHARES if share != "off_policy"]


def write_on_policy(path: Path, seeds: list[int], *, steps: int) -> Path:
    """Write the demo's recipe up to its student, then a step for each way to go on and one score of all, per seed.

    All are trained on answers alone, to the same rows: what a student of its own text reads of them are the prompts.
    """
    from ruamel.yaml import YAML

    recipe = YAML(typ="safe").load(demiurgic.api.find_recipe("stdlib").read_text(encoding="utf-8"))
    names = list(recipe["steps"])
    kept = {name: dict(recipe["steps"][name]) for name in names[: names.index("student") + 1]}
    each = {"for_each": {"seed": seeds}}
    kept["small"] |= each
    kept["student"] |= each
    kept["asked"] = {"like": "few", "loss_on": "answers"}
    for kind in KINDS:
        for name, share in SHARES.items():
            going_on = {"use": "train", "model": "student", "data": "asked", "teacher": "teacher", "losses": [kind]}
            own = {"on_policy": {"share": share, "max_new_tokens": 96}} if share else {}
            kept[f"{name}_{kind}"] = {**going_on, **GOING_ON, **own, "steps": steps, **each}
            kept[f"{name}_{kind}"]["warmup_steps"] = min(10, steps // 2)
    models = {"start": "student", **{f"{name}_{kind}": f"{name}_{kind}" for kind in KINDS for name in SHARES}}
    kept["score"] = {
        **recipe["steps"]["score"], "teacher": None, "models": models, "compare": [list(pair) for pair in pairs()],
        "gates": [], **each,
    }  # fmt: skip
    path.write_text(
        json.dumps({"name": "on-policy", "seed": recipe["seed"], "steps": kept}, indent=1), encoding="utf-8"
    )
    return path


def over_seeds(seeds: list[int]) -> list[str]:
    """What to change in the demo's recipe to have the student, its controls and their score once per seed."""
    expanded = [f"{step}.for_each={{seed: {seeds}}}" for step in PER_SEED]
    return expanded + [f"{place}=student[seed={seeds[0]}]" for place in AFTER_SCORE]


if __name__ == "__main__":
    sys.exit(main())
