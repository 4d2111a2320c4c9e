"""A real, tiny one of every registered provider: the contract tests run on these.

Whoever adds a provider adds its example here.
"""

import atexit
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from demiurgic.core.artifacts import Gguf, Model
from demiurgic.core.metric import Summary
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import Provider
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.run.step import run_stage
from local_models import tiny_pair
from mock_openai import Body, MockOpenAI, Says, Tells, question
from tiny_models import QUIET

SECRET = "sk-a-key-that-nobody-may-see-0123456789"


@contextmanager
def _openai() -> Iterator[Mapping[str, Any]]:
    with MockOpenAI(_say) as mock, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", SECRET)
        yield {"model": "small", "base_url": mock.url, "api_key_env": "OPENAI_API_KEY"}


def _say(body: Body) -> Says | Tells:
    if "prompt" not in body:
        return Says((question(body), "!"))
    words = {str(id): {"logprob": -1.0 - id / 100, "rank": id + 1} for id in range(body["prompt_logprobs"])}
    own = [{str(id): {"logprob": -9.0, "rank": 99}, **words} for id in body["prompt"][1:]]
    return Tells({"prompt_logprobs": [None, *own]})


@contextmanager
def _scripted() -> Iterator[Mapping[str, Any]]:
    yield {"answers": ["First of all.", "Second."]}


@contextmanager
def _model() -> Iterator[Mapping[str, Any]]:
    yield {"model": str(_models() / "model")}


@contextmanager
def _gguf() -> Iterator[Mapping[str, Any]]:
    yield {"model": str(_models() / "gguf")}


@cache
def _models() -> Path:
    """A finished step with a tiny model as Hugging Face folder and as GGUF file, made once for all tests."""

    def run(config: StageConfig, out: Path, context: Context) -> Summary:
        made = tiny_pair(out / "made")
        made.folder.rename(out / "model")
        (out / "gguf").mkdir()
        made.gguf.rename(out / "gguf" / "model.gguf")
        shutil.rmtree(out / "made")
        return Summary()

    folder = Path(mkdtemp(prefix="providers-"))
    atexit.register(shutil.rmtree, folder)
    stage = Stage("pair", StageConfig, run, makes={"model": Model, "gguf": Gguf})
    return run_stage(stage, {}, folder / "pair", context=QUIET)


EXAMPLES: Mapping[str, Callable[[], Any]] = {
    "llama_cpp": _gguf,
    "openai": _openai,
    "scripted": _scripted,
    "served": _model,
    "transformers": _model,
}


@contextmanager
def example(name: str) -> Iterator[Provider]:
    """The provider of that name, chosen as a recipe chooses it, open."""
    with EXAMPLES[name]() as options, PROVIDERS.choose({"use": name, **options})(QUIET) as provider:
        yield provider
