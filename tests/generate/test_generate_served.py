"""A teacher of our own weights, asked over HTTP as any service is."""

import threading
from pathlib import Path

import pytest

import demiurgic.serve.served  # noqa: F401  registers the provider of its name
from demiurgic.core.artifacts import Model
from demiurgic.core.metric import Summary
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig
from tiny_models import tiny_model
from toy_talks import STAGES, digests, numbers, rows, walk

STEPS = """\
  big: {use: tiny}
  talks: {use: talks, count: 3}
  made: {use: generate, prompts: talks, teacher: {use: %s, model: big}, samples: 2, temperature: 0.8, max_tokens: 60}
"""


def tiny(config: StageConfig, out: Path, context: Context) -> Summary:
    """Make a tiny model."""
    tiny_model(out / "model")
    (out / "model-tokenizer").rename(out / "words")
    return Summary()


@pytest.fixture(autouse=True)
def a_stage_that_makes_a_model(monkeypatch):
    monkeypatch.setitem(STAGES, "tiny", Stage("tiny", StageConfig, tiny, {"model": Model}))


def test_a_served_model_answers_and_is_gone_afterwards(tmp_path):
    threads = set(threading.enumerate())
    *_, made = walk(tmp_path, STEPS % "served")
    assert numbers(made)["asked"] == 6
    assert numbers(made)["rows"] + numbers(made)["dropped"] == 6
    digest = made.manifest.inputs["teacher.model"]["digest"]
    assert all(digest[:12] in row.teacher for part in ("rows", "dropped") for row in rows(made, part))
    assert set(threading.enumerate()) <= threads


def test_what_a_model_said_over_http_it_says_without_and_is_not_asked_again(tmp_path):
    *_, served = walk(tmp_path, STEPS % "served", store="one")
    *_, bare = walk(tmp_path, STEPS % "transformers", store="two")
    assert digests(served) == digests(bare)
    *_, kept = walk(tmp_path, STEPS % "transformers", store="three", journal=tmp_path / "one-journal.sqlite")
    assert (numbers(kept)["asked"], numbers(kept)["from_journal"]) == (0, 6)
