"""The recipe for a mix of public sets: it plans without a commit, and walks on small stand-ins for the sets."""

import json
from pathlib import Path

import pytest

import demiurgic
from demiurgic.collect.public_sets import PUBLIC_SETS
from demiurgic.core.artifacts import Dataset
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.run.context import Context

RECIPE = Path(__file__).parents[2] / "recipes" / "public_mix.yaml"
SETS = ("openorca", "alpaca", "wizardlm", "dolly", "hh_rlhf", "code_alpaca", "metamath")
TASKS = {
    "code": (
        "Write a Python function that returns the {} of a list.",
        "```python\ndef {}_of(values):\n"
        "    result = values[0]\n    for value in values:\n        result = max(result, value)\n"
        "    return result\n```\nThe function walks over the list once and keeps the {} it has seen so far.",
    ),
    "mathematics": (
        "A farmer has {} sheep and buys 17 more at 3 dollars each. How many sheep does he have now?",
        "He had {} sheep at first. He buys 17 more, so the total is the sum of both numbers, x + 17 = y. "
        "The answer is the number of sheep, {} + 17.",
    ),
    "creative": (
        "Write a short story about a {} who lives in a lighthouse.",
        "Once upon a time there was a {} who lived in a lighthouse by the sea. Each night the {} lit the lamp, told "
        "the waves a story, until one evening a ship came in and its captain wrote the story down.",
    ),
}
THINGS = ("maximum", "total", "median", "baker", "sailor", "painter", "gardener", "piper", "tailor", "miller", "weaver")


def said(number: int) -> tuple[str, str]:
    question, answer = list(TASKS.values())[number % 3]
    thing = f"{THINGS[number % len(THINGS)]}{number}"
    return question.replace("{}", thing), answer.replace("{}", thing)


def record(name: str, number: int) -> dict[str, object]:
    question, answer = said(number)
    match name:
        case "openorca":
            return {"id": f"flan.{number}", "system_prompt": "", "question": question, "response": answer}
        case "wizardlm":
            turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
            return {"idx": str(number), "conversations": turns}
        case "dolly":
            return {"instruction": question, "context": "", "response": answer, "category": "open_qa"}
        case "hh_rlhf":
            talk = f"\n\nHuman: {question}\n\nAssistant: "
            return {"chosen": talk + answer, "rejected": talk + "No."}
        case "metamath":
            return {"query": question, "response": answer, "type": "GSM_Rephrased", "original_question": question}
        case _:
            return {"instruction": question, "input": "", "output": answer}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / RECIPE.name).write_text(RECIPE.read_text(encoding="utf-8"), encoding="utf-8")
    for place, name in enumerate(SETS):
        lines = (json.dumps(record(name, 100 * place + number)) for number in range(30))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def stand_ins() -> list[str]:
    sources = {
        name: f"{{use: files, paths: [{name}.jsonl], format: {PUBLIC_SETS[name].format}, name: {name}}}"
        for name in SETS
    }
    return [f"{name}.source={source}" for name, source in sources.items()]


def test_it_plans_without_a_commit_and_asks_for_one_when_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    recipe = demiurgic.load_recipe(RECIPE)
    assert [*recipe.steps][-1] == "mixed"
    context = Context(console=Console(quiet=True), base=tmp_path)
    with pytest.raises(UserError, match="git ls-remote .*/datasets/Open-Orca/OpenOrca HEAD"):
        demiurgic.run_recipe(recipe, store=tmp_path / "store", context=context)


def test_its_sets_are_known_and_its_quotas_name_them():
    steps = demiurgic.load_recipe(RECIPE).steps
    (quotas,) = steps["clean"].config.select.quotas
    assert set(quotas.rows) == set(SETS) <= set(PUBLIC_SETS)
    assert sum(steps["mixed"].config.shares.values()) == 100


def test_it_walks_from_seven_sets_to_a_mix(folder: Path):
    small = [*stand_ins(), "mixed.shares={code: 1, mathematics: 1}", "mixed.rows=20", "clean.filters=" + FILTERS]
    recipe = demiurgic.load_recipe(folder / RECIPE.name, overrides=small)
    context = Context(console=Console(quiet=True), base=folder)
    outcomes = {o.step: o for o in demiurgic.run_recipe(recipe, store=folder / "store", context=context)}
    assert {outcome.status for outcome in outcomes.values()} == {"made"}
    clean = outcomes["clean"].manifest.summary.metrics
    assert clean["rows_in"].value == 30 * len(SETS)
    (mixed,) = (folder / "store").glob("mixed-*")
    rows = list(Dataset.open(mixed / "rows").rows())
    assert {row.domain for row in rows} == {"code", "mathematics"}
    assert {row.source for row in rows} <= set(SETS)


FILTERS = "[schema, pii, refusals, offensive, boilerplate, code_syntax, {use: quality, min: 0.1}, domain, difficulty]"
