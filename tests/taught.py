"""A teacher that learned a small grammar of functions, and students of it: healthy, and made sick by one setting."""

import itertools
import json
import random
from pathlib import Path

import demiurgic
from tiny_models import QUIET

NAMES = ["add", "scale", "move", "join", "count", "merge", "weigh", "shift"]
WORDS = ["left", "right", "size", "rate", "total", "step"]
SIGNS = ["+", "-", "*", "//"]

RECIPE = """\
name: taught
seed: 7
steps:
  # what everything is made from
  raw:     {use: collect,   source: {use: files, paths: [rows.jsonl]}}
  clean:   {use: curate,    data: raw, filters: [], split: {by: row, held_out: 0.15}}
  words:   {use: tokenizer, text: clean.train, size: 320}
  rows:    {use: tokenize,  data: clean.train, tokenizer: words, length: 32, packing: fit, loss_on: everything}
  checks:  {like: rows,     data: clean.held_out}
  big:     {use: create, tokenizer: words, shape: {hidden: 64, layers: 2, heads: 2, kv_heads: 1, head_dim: 32,
            intermediate: 96, context: 128}}
  small:   {use: create, tokenizer: words, shape: {hidden: 32, layers: 1, heads: 2, kv_heads: 1, head_dim: 16,
            intermediate: 64, context: 128}}
  teacher: {use: train, model: big, data: rows, held_out: checks, steps: 100, batch: 8, learning_rate: 1.0e-2,
            warmup_steps: 6, evaluate_every: 20}
  student: {use: train, model: small, data: rows, held_out: checks, teacher: teacher, steps: 100, batch: 8,
            losses: [{use: forward_kl, weight: 0.6}, cross_entropy],   # both of one size
            learning_rate: 1.0e-2, warmup_steps: 6, evaluate_every: 20}
"""


def grammar_rows() -> list[str]:
    """Functions of two arguments in a random order, each once."""
    found = [
        f"def {name}({a}, {b}):\n    return {a} {sign} {b}\n"
        for name, (a, b), sign in itertools.product(NAMES, itertools.permutations(WORDS, 2), SIGNS)
    ]
    random.Random(0).shuffle(found)
    return found


def write_recipe(folder: Path, more: str = "") -> Path:
    """The recipe with its rows beside it, and more steps behind; returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"text": text, "license": "MIT"}) + "\n" for text in grammar_rows())
    (folder / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "taught.yaml").write_text(RECIPE + more, encoding="utf-8")
    return folder / "taught.yaml"


def run(recipe: Path, *, to: str | None = None, overrides: tuple[str, ...] = ()) -> None:
    """Make every step in `store` beside the recipe."""
    loaded = demiurgic.load_recipe(recipe, overrides=overrides)
    demiurgic.run_recipe(loaded, store=recipe.parent / "store", to=to, context=QUIET)
