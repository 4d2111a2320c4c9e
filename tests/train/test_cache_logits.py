"""The stage `cache_logits`, and trainings that read what it made."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from caches import capture, start_and_teacher, windows_of
from demiurgic.core.artifacts import Manifest, Model, Tokens
from demiurgic.core.errors import UserError
from demiurgic.core.records import Row
from demiurgic.run.step import step_key
from demiurgic.train.cache_logits import STAGE, CacheLogitsConfig, too_little_is_a_users_matter
from pretrained import pretrained, write_tokenizer
from tiny_models import LINES
from tiny_training import artifact, log_of, same_weights, tiny_start, tiny_tokens, train

KEEPS = {
    "hidden": {"use": "hidden"},
    "top_k": {"use": "top_k", "k": 16},
    "samples": {"use": "samples", "draws": 50},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = start_and_teacher(tmp_path_factory.mktemp("stage"))
    for form, keep in KEEPS.items():
        capture(folder, form, keep)
    return folder


def config(folder: Path, **more: Any) -> CacheLogitsConfig:
    values = {"data": folder / "rows" / "tokens", "teacher": folder / "teacher"}
    return CacheLogitsConfig.model_validate({**values, **more})


def key(folder: Path, *, seed: int = 1, **more: Any) -> str:
    return step_key(STAGE, config(folder, **more), seed=seed, base=folder)


@pytest.mark.parametrize("form", KEEPS)
def test_a_student_learns_from_each_cache(folder: Path, tmp_path: Path, form: str):
    losses = [{"use": "forward_kl", "weight": 0.9}, {"use": "cross_entropy", "weight": 0.1}]
    teacher = folder / form / form
    step = train(
        folder, str(tmp_path / "student"), teacher=teacher, losses=losses, steps=30, batch=4, learning_rate=1e-2
    )
    totals = [line["total"] for line in log_of(step)]
    assert sum(totals[-5:]) < 0.93 * sum(totals[:5])


def test_a_student_of_cached_hidden_states_is_that_of_the_live_teacher(folder: Path, tmp_path: Path):
    """But for rounding: the cache holds fp32 states here."""
    exact = capture(folder, tmp_path / "exact", {"use": "hidden", "dtype": "fp32"})
    ways = {"live": folder / "teacher", "cached": exact}
    logs = [
        log_of(train(folder, str(tmp_path / name), teacher=teacher, losses=["forward_kl"], steps=8))
        for name, teacher in ways.items()
    ]
    totals = [[line["total"] for line in log] for log in logs]
    assert totals[1] == pytest.approx(totals[0], rel=1e-4)


def test_a_training_with_a_cache_twice_is_the_same(folder: Path, tmp_path: Path):
    steps = [
        train(folder, str(tmp_path / name), teacher=folder / "samples" / "samples", losses=["forward_kl"])
        for name in ("one", "two")
    ]
    assert same_weights(steps[0] / "model", steps[1] / "model")


def test_the_summary_says_what_it_costs_and_how_good_the_teacher_is(folder: Path):
    def metrics(form: str) -> dict[str, float]:
        return {name: metric.value for name, metric in Manifest.read(folder / form).summary.metrics.items()}

    num_tokens = windows_of(folder).counts.supervised
    for form in KEEPS:
        found = metrics(form)
        assert found["tokens"] == num_tokens
        sizes = {path: path.stat().st_size for path in (folder / form / form).iterdir()}
        rows = sum(size for path, size in sizes.items() if path.suffix == ".bin")
        assert found["bytes_per_token"] == pytest.approx(rows / num_tokens)
        assert found["bytes"] == sum(sizes.values())
        assert found["tokens_per_second"] > 0
        assert found["teacher_nats_per_token"] == pytest.approx(metrics("hidden")["teacher_nats_per_token"])
    assert 0 < metrics("top_k")["kept_mass"] < 1
    assert 1 < metrics("samples")["distinct_words"] < 50


def test_the_key_depends_on_tokens_teacher_and_what_is_kept_and_not_on_the_batch(folder: Path, tmp_path: Path):
    others = {
        key(folder),
        key(folder, seed=2),  # which words are drawn
        key(folder, keep=KEEPS["hidden"]),
        key(folder, teacher=folder / "start"),
        key(folder, keep={"use": "samples", "draws": 51}),
        key(folder, data=tiny_tokens(tmp_path / "other", folder / "start" / "model", length=8)),
    }
    assert len(others) == 6
    assert key(folder, batch=3) == key(folder)


@pytest.mark.parametrize("form", ["hidden", "top_k"])
def test_where_nothing_is_drawn_the_seed_is_no_part_of_the_key(folder: Path, form: str):
    assert key(folder, keep=KEEPS[form], seed=1) == key(folder, keep=KEEPS[form], seed=2)
    assert Manifest.read(folder / form).seed is None
    assert Manifest.read(folder / "samples").seed == 3


@pytest.mark.parametrize("form", ["hidden", "samples"])
def test_what_is_kept_depends_on_the_batch_by_rounding_at_most(folder: Path, tmp_path: Path, form: str):
    one = capture(folder, tmp_path / form, KEEPS[form], batch=3)
    two = folder / form / form
    for name in ("hidden.bin", "words.bin"):
        if (one / name).exists():
            found, wanted = (one / name).read_bytes(), (two / name).read_bytes()
            assert len(found) == len(wanted)
            assert sum(a != b for a, b in zip(found, wanted, strict=True)) < 0.01 * len(found)


def test_a_cache_for_other_tokens_is_refused_when_training_starts(folder: Path, tmp_path: Path):
    rows = [Row(id=f"line:{number}", text=line) for number, line in enumerate(LINES[::-1])]
    other = tiny_tokens(tmp_path / "other", folder / "start" / "model", rows=rows)
    with pytest.raises(UserError, match="was made for other tokens .* Make a cache of the same teacher for these"):
        train(folder, str(tmp_path / "s"), data=other, teacher=folder / "top_k" / "top_k", losses=["forward_kl"])


def test_a_cache_is_trained_from_when_its_teacher_is_gone(folder: Path, tmp_path: Path):
    for name in ("start", "rows", "hidden"):
        shutil.copytree(folder / name, tmp_path / name)
    assert (train(tmp_path, teacher=tmp_path / "hidden", losses=["forward_kl"]) / "model").is_dir()


def test_more_words_than_there_are_cannot_be_kept(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="keep.k is 301, and the vocabulary of .* has 300 words"):
        capture(folder, tmp_path / "s", {"use": "top_k", "k": 301})


def test_draws_that_fit_no_row_are_refused_before_the_teacher_is_loaded(tmp_path: Path):
    start_and_teacher(tmp_path)
    tokens = tmp_path / "rows" / "tokens"
    facts = json.loads((tokens / "tokens.json").read_text())
    (tokens / "tokens.json").write_text(json.dumps(facts | {"vocab_size": 1 << 24}))
    artifact(tokens, kind="tokens")
    (tmp_path / "teacher" / "model" / "model.safetensors").write_bytes(b"nothing to load")
    artifact(tmp_path / "teacher" / "model", kind="model")
    with pytest.raises(UserError, match="Set draws to 256 or less"):
        capture(tmp_path, "cache", {"use": "samples", "draws": 1000})


def test_a_capture_without_memory_says_what_to_change(folder: Path):
    with (
        pytest.raises(UserError, match=r"teacher's weights alone take .*\. Set batch: 4 \(now 8\).*--device cpu"),
        too_little_is_a_users_matter(config(folder)),
    ):
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="shapes differ"), too_little_is_a_users_matter(config(folder)):
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"keep": {"use": "top_k", "k": 0}}, "greater than 0"),
        ({"keep": {"use": "top_k", "temperatures": []}}, "at least 1 item"),
        ({"keep": {"use": "samples", "temperatures": [1.0, 1.0]}}, "hold one of them twice"),
        ({"keep": {"use": "samples", "temperatures": [0.0]}}, "greater than 0"),
        ({"keep": {"use": "samples", "draws": 70_000}}, "less than or equal to 65535"),
        ({"keep": {"use": "all"}}, "'hidden', 'top_k', 'samples'"),
        ({"keep": {"use": "hidden", "dtype": "fp8"}}, "'bf16' or 'fp32'"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_read(folder: Path, changes: dict[str, Any], reason: str):
    with pytest.raises(ValidationError, match=reason):
        config(folder, **changes)


SERVED = {"use": "served", "provider": {"use": "openai", "model": "big", "base_url": "http://127.0.0.1:9/v1"}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "keep is samples, and a served teacher tells its likeliest words alone"),
        ({"keep": {"use": "top_k", "k": 21}}, r"keep.k \(21\) is more than the teacher's top_k \(20\)"),
        ({"keep": {"use": "top_k", "k": 20, "temperatures": [1.0, 2.0]}}, "holds at 1 alone"),
        ({"keep": {"use": "top_k", "k": 20}}, "set tokenizer to the step that data was made with"),
    ],
)
def test_of_a_served_teacher_only_what_it_says_can_be_kept(folder: Path, changes: dict[str, Any], reason: str):
    with pytest.raises(ValidationError, match=reason):
        config(folder, teacher=SERVED, **changes)


def qwen(folder: Path, **changes: Any) -> Path:
    """A Qwen-like model as the one part of a step."""
    return artifact(
        pretrained(folder / "model", "qwen2", hidden_size=64, intermediate_size=64, **changes), kind="model"
    )


def test_a_teacher_with_another_tokenizer_file_asks_for_that_of_the_data(tmp_path: Path):
    student, teacher = qwen(tmp_path / "start"), qwen(tmp_path / "teacher", seed=1, vocab_size=384)
    tiny_tokens(tmp_path / "rows", student)
    rewrite(teacher / "tokenizer.json")
    artifact(teacher, kind="model")
    with pytest.raises(UserError, match="has another tokenizer.json .* Set tokenizer to that of the data"):
        capture(tmp_path, "cache", KEEPS["hidden"])
    part = capture(tmp_path, "cache", KEEPS["hidden"], tokenizer=student)
    assert (train(tmp_path, teacher=part, losses=["reverse_kl"]) / "model").is_dir()


def rewrite(tokenizer: Path) -> None:
    """The same tokenizer in other bytes."""
    tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text()), indent=3))


def test_a_teacher_whose_ids_are_other_tokens_is_refused(tmp_path: Path):
    student, teacher = qwen(tmp_path / "start"), qwen(tmp_path / "teacher", seed=1)
    tiny_tokens(tmp_path / "rows", student)
    write_tokenizer(teacher, "llama3")
    artifact(teacher, kind="model")
    with pytest.raises(UserError, match="number their tokens differently: '.*' is .* for one and .* for the other"):
        capture(tmp_path, "cache", KEEPS["top_k"], tokenizer=student)


def test_windows_longer_than_the_teacher_reads_are_refused(folder: Path, tmp_path: Path):
    short = tiny_start(tmp_path / "short", context=8, seed=1)
    with pytest.raises(UserError, match="have 16 tokens; the model .* attends to 8"):
        capture(folder, tmp_path / "s", KEEPS["top_k"], teacher=short)


def test_a_teacher_whose_word_is_no_number_is_refused(folder: Path, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    for form, keep in KEEPS.items():
        broken = tiny_start(tmp_path / form / "broken", seed=1)
        weights = load_file(broken / "model.safetensors")
        weights["model.norm.weight"][0] = float("nan")
        save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
        artifact(broken, kind="model")
        with pytest.raises(UserError, match="says of windows 0 to 1 of .* is not finite"):
            capture(folder, tmp_path / form / "cache", keep, teacher=broken)


def test_the_artifacts_of_a_step_are_told_by_what_is_kept(folder: Path):
    for form, keep in KEEPS.items():
        assert list(STAGE.parts(config(folder, keep=keep))) == [form]
        assert list(Manifest.read(folder / form).parts) == [form]
    assert isinstance(config(folder).data, Tokens)
    assert isinstance(config(folder).teacher, Model)
