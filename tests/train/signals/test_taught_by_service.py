"""Students taught by a service: asked while they train, or when the answers were generated, from recipe to weights."""

import json

import pytest

import demiurgic.serve.served  # noqa: F401  registers the provider of its name
from demiurgic.core.artifacts import Model
from demiurgic.core.errors import RecipeError, UserError
from demiurgic.core.metric import Summary
from demiurgic.models.windows import Windows
from demiurgic.run.recipe import load_recipe
from demiurgic.run.runner import run_recipe
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.run.store import Store
from demiurgic.train.cache_logits import STAGE as CACHE_LOGITS
from demiurgic.train.tokenize import STAGE as TOKENIZE
from demiurgic.train.train import STAGE as TRAIN
from mock_openai import Fails, MockOpenAI
from telling_services import Telling, answering
from tiny_models import conversation, tiny_model
from tiny_training import distil, log_of, other_tokens, quiet, same_weights, tiny_start, tiny_tokens, train
from toy_talks import STAGES as TALKS

LOSSES = [{"use": "forward_kl"}]


class TinyConfig(StageConfig):
    seed_of_weights: int = 0


def tiny(config, out, context):
    """Make a tiny model."""
    tiny_model(out / "model", seed=config.seed_of_weights)
    (out / "model-tokenizer").rename(out / "words")
    return Summary()


STAGES = {
    **TALKS,
    "tiny": Stage("tiny", TinyConfig, tiny, {"model": Model}),
    "tokenize": TOKENIZE,
    "cache_logits": CACHE_LOGITS,
    "train": TRAIN,
}
RECORDED = """\
name: recorded
seed: 7
steps:
  big:     {use: tiny, seed_of_weights: 1}
  small:   {use: tiny}
  talks:   {use: talks, count: 4}
  answers: {use: generate, prompts: talks, teacher: {use: openai, model: small, base_url: '%s'}, top_logprobs: 4}
  rows:    {use: tokenize, data: answers.rows, tokenizer: small, length: 64, packing: fit}
  kept:    {use: cache_logits, data: rows, teacher: {use: recorded, logprobs: answers.logprobs%s}, tokenizer: small,
            keep: {use: top_k, k: 4}, precision: fp32}
  student: {use: train, model: small, data: rows, teacher: kept, losses: [forward_kl], steps: 12, batch: 2,
            learning_rate: 1.0e-2, precision: fp32}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    start = tiny_start(folder / "start")
    tiny_start(folder / "teacher", seed=1)
    tiny_tokens(folder / "rows", start)
    other_tokens(folder / "others", start)
    return folder


@pytest.fixture(scope="module")
def telling(folder):
    return Telling(folder / "teacher" / "model")


def service(mock, **options):
    return {"use": "served", "provider": {"use": "openai", "model": "small", "base_url": mock.url}, **options}


def here(tmp_path):
    return quiet(journal=tmp_path / "journal.sqlite")


def raw(step):
    return [line["components"]["forward_kl"]["raw"] for line in log_of(step) if "components" in line]


def came_closer(step):
    losses = raw(step)
    return sum(losses[-4:]) < 0.6 * sum(losses[:4])


def test_a_student_comes_closer_to_a_teacher_that_is_asked(folder, telling, tmp_path):
    with MockOpenAI(telling) as mock:
        step = train(
            folder, str(tmp_path / "student"), teacher=service(mock), losses=LOSSES, steps=30, learning_rate=3e-2,
            context=here(tmp_path),
        )  # fmt: skip
    assert came_closer(step)
    metrics = json.loads((step / "manifest.json").read_text())["summary"]["metrics"]
    assert metrics["teacher_tokens_matched"]["value"] == 1
    assert len(mock.requests) == len({str(body["prompt"]) for body in mock.requests})


def test_with_every_word_told_it_is_the_training_with_a_live_teacher(folder, telling, tmp_path):
    with MockOpenAI(telling) as mock:
        served = train(
            folder, str(tmp_path / "served"), teacher=service(mock, top_k=1000), losses=LOSSES, steps=6,
            context=here(tmp_path),
        )  # fmt: skip
    live = train(folder, str(tmp_path / "live"), teacher=folder / "teacher", losses=LOSSES, steps=6)
    assert raw(served) == pytest.approx(raw(live), rel=1e-4)


def test_a_training_that_the_service_stopped_goes_on_without_asking_again_what_it_was_told(folder, telling, tmp_path):
    options = {"losses": LOSSES, "steps": 6, "evaluate_every": 3}
    with MockOpenAI(telling) as mock:
        whole = distil(folder, tmp_path / "whole", teacher=service(mock), context=here(tmp_path / "one"), **options)
        num_asked = len(mock.requests)
        mock.requests.clear()
        mock.script = lambda body: Fails(401, "no") if len(mock.requests) > num_asked - 2 else telling(body)
        with pytest.raises(UserError, match="refuses the key"):
            distil(folder, tmp_path / "cut", teacher=service(mock), context=here(tmp_path / "two"), **options)
        mock.requests.clear()
        mock.script = telling
        cut = distil(folder, tmp_path / "cut", teacher=service(mock), context=here(tmp_path / "two"), **options)
        assert len(mock.requests) == 2
    assert same_weights(whole / "model", cut / "model")


def numbers(step):
    metrics = json.loads((step / "manifest.json").read_text())["summary"]["metrics"]
    return {name: metrics[name]["value"] for name in ("teacher_tokens_seen", "teacher_words_seen")}


def test_what_is_counted_of_the_teachers_words_survives_a_stop_and_is_counted_once(folder, telling, tmp_path):
    options = {"losses": [*LOSSES, {"use": "reverse_kl"}], "steps": 6}
    with MockOpenAI(telling) as mock:
        whole = train(folder, str(tmp_path / "whole"), teacher=service(mock), context=here(tmp_path), **options)
        norms = train(
            folder, str(tmp_path / "norms"), teacher=service(mock), context=here(tmp_path), gradient_norms_every=1,
            **options,
        )  # fmt: skip
        num_asked = len(mock.requests)
        mock.script = lambda body: Fails(401, "no") if len(mock.requests) > num_asked + 4 else telling(body)
        often = quiet(journal=tmp_path / "other.sqlite", checkpoint_seconds=0.0)
        with pytest.raises(UserError, match="refuses the key"):
            train(folder, str(tmp_path / "cut"), teacher=service(mock), context=often, **options)
        mock.script = telling
        cut = train(folder, str(tmp_path / "cut"), teacher=service(mock), context=often, **options)
    assert json.loads((cut / "manifest.json").read_text())["took"]["resumed"]
    assert numbers(whole) == numbers(norms) == numbers(cut)


def test_our_own_server_teaches(folder, tmp_path):
    teacher = {"use": "served", "provider": {"use": "served", "model": str(folder / "teacher" / "model")}}
    step = train(
        folder, str(tmp_path / "student"), teacher=teacher, losses=LOSSES, steps=30, learning_rate=3e-2,
        context=here(tmp_path),
    )  # fmt: skip
    assert came_closer(step)


def test_what_the_student_writes_is_asked_for_too(folder, telling, tmp_path):
    rows = [conversation("Write the function", f"def add(left, right): {n}", id=f"t{n}") for n in range(4)]
    data = tiny_tokens(tmp_path / "talks", folder / "start" / "model", rows=rows, length=64)
    with MockOpenAI(telling) as mock:
        step = train(
            folder, str(tmp_path / "student"), data=data, teacher=service(mock), losses=["reverse_kl"], steps=3,
            on_policy={"share": 1.0, "max_new_tokens": 6}, context=here(tmp_path),
        )  # fmt: skip
    assert [line["source"] for line in log_of(step) if "components" in line] == ["student"] * 3
    written = {tuple(ids) for ids in Windows.open(data).ids_NT.tolist()}
    assert mock.requests
    assert not any(tuple(body["prompt"]) in {ids[: len(body["prompt"])] for ids in written} for body in mock.requests)


def walk(tmp_path, recipe):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe, encoding="utf-8")
    return run_recipe(load_recipe(path, STAGES), Store(tmp_path / "store"), context=quiet())


def test_a_student_learns_from_what_was_told_with_the_answers(telling, tmp_path):
    with MockOpenAI(answering(telling, "def add(left, right):\n    return left + right")) as mock:
        *_, kept, student = walk(tmp_path, RECORDED % (mock.url, ""))
    assert len(mock.requests) == 4
    assert kept.manifest.summary.metrics["teacher_tokens_matched"].value == 1
    assert kept.manifest.summary.metrics["teacher_rows_matched"].value == 4
    assert came_closer(student.folder)


def test_the_log_probabilities_of_answers_are_no_teacher_by_themselves(tmp_path):
    recipe = (RECORDED % ("http://127.0.0.1:1/v1", "")).replace("teacher: kept", "teacher: answers.logprobs")
    with pytest.raises(RecipeError, match="logprobs"):
        walk(tmp_path, recipe)


def test_a_teacher_without_log_probabilities_is_refused_when_the_recipe_is_read(tmp_path):
    recipe = (RECORDED % ("http://127.0.0.1:1/v1", "")).replace(
        "teacher: kept", "teacher: {use: served, provider: scripted}"
    )
    with pytest.raises(RecipeError, match="endpoint without log-probabilities"):
        walk(tmp_path, recipe)
