"""A store with a student that a teacher taught on a little of the standard library: two steps of training each."""

from pathlib import Path

import demiurgic
from tiny_models import QUIET

RECIPE = """\
name: tiny
seed: 3
steps:
  raw:     {use: collect,   source: {use: python_stdlib, packages: [json, textwrap, shlex, bisect]}}
  words:   {use: tokenizer, text: raw, size: 400}
  rows:    {use: tokenize,  data: raw, tokenizer: words, length: 64, packing: fit}
  big:     {use: create, tokenizer: words, shape: {hidden: 32, layers: 2, heads: 2, kv_heads: 1, head_dim: 16,
            intermediate: 64, context: 512}}
  small:   {use: create, tokenizer: words, shape: {hidden: 32, layers: 1, heads: 2, kv_heads: 1, head_dim: 16,
            intermediate: 64, context: 512}}
  teacher: {use: train, model: big, data: rows, steps: 2, batch: 2, learning_rate: 1.0e-3, warmup_steps: 1}
  student: {use: train, model: small, data: rows, steps: 2, batch: 2, learning_rate: 1.0e-3, warmup_steps: 1,
            teacher: teacher, losses: [forward_kl]}
"""


def tiny_store(folder: Path) -> Path:
    """Make the recipe in `folder / store`; returns the store."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(RECIPE)
    outcomes = demiurgic.run_recipe(demiurgic.load_recipe(folder / "tiny.yaml"), store=folder / "store", context=QUIET)
    assert {outcome.status for outcome in outcomes} == {"made"}
    return folder / "store"
