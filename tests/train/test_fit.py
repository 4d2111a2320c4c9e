"""Padded vocabularies of one family teach one another; other vocabularies do not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from caches import some_windows
from demiurgic.core.artifacts import Manifest
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric, Summary
from demiurgic.models.likelihood import token_nats
from demiurgic.models.load import load_model
from demiurgic.models.windows import Windows
from demiurgic.train.fit import refuse_other_vocabulary
from demiurgic.train.objective import objective
from demiurgic.train.signals.live import LiveTeacher
from pretrained import pretrained
from tiny_training import artifact, components, log_of, other_tokens, tiny_start, tiny_tokens, train

NUM_TOKENS = 320
SMALL = {"hidden_size": 64, "intermediate_size": 64}


def model(folder: Path, vocab_size: int, *, seed: int = 0, **more: Any) -> Path:
    """A Qwen-like model whose embeddings are padded to `vocab_size`."""
    found = pretrained(folder / "model", "qwen2", vocab_size=vocab_size, seed=seed, **SMALL, **more)
    return artifact(found, kind="model")


@pytest.mark.parametrize(("student_rows", "teacher_rows"), [(320, 384), (384, 320), (352, 384), (384, 352)])
def test_padding_of_either_vocabulary_changes_nothing(tmp_path: Path, student_rows: int, teacher_rows: int):
    start, teacher = model(tmp_path / "start", student_rows), model(tmp_path / "teacher", teacher_rows, seed=1)
    windows = Windows.open(tiny_tokens(tmp_path / "rows", start))
    assert windows.vocab_size == NUM_TOKENS
    losses = ["forward_kl", {"use": "reverse_kl", "temperature": 2.0}, "cross_entropy"]
    found, head_gradient = total_and_head_gradient(start, teacher, windows, losses)
    assert torch.count_nonzero(head_gradient[windows.vocab_size :]) == 0
    assert torch.count_nonzero(head_gradient[: windows.vocab_size]) > 0
    for folder in (start, teacher):
        cut(folder, windows.vocab_size)
    wanted, cut_gradient = total_and_head_gradient(start, teacher, windows, losses)
    assert found == pytest.approx(wanted, rel=1e-6)
    torch.testing.assert_close(head_gradient[: windows.vocab_size], cut_gradient, rtol=1e-4, atol=1e-7)


def total_and_head_gradient(
    start: Path, teacher: Path, windows: Windows, losses: list[Any]
) -> tuple[float, torch.Tensor]:
    student = load_model(start, device="cpu")
    signal = LiveTeacher(load_model(teacher, device="cpu"), vocab_size=windows.vocab_size, bf16=False)
    batch = some_windows(windows, 0, 2)
    module = objective(student, vocab_size=windows.vocab_size, teacher=signal)
    found = module(batch, float(batch.weights_BT.sum()), components(*losses))
    found.total.backward()
    gradient = student.get_output_embeddings().weight.grad
    assert gradient is not None
    return found.total.item(), gradient


def cut(folder: Path, vocab_size: int) -> None:
    """Take the padding away from a folder."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights = {name: w[:vocab_size].clone() if "embed_tokens" in name else w for name, w in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": vocab_size}))


def test_a_student_is_trained_by_a_teacher_with_more_padding(tmp_path: Path):
    start = model(tmp_path / "start", 352, std=0.02)
    model(tmp_path / "teacher", 384, seed=1)
    tiny_tokens(tmp_path / "rows", start)
    step = train(tmp_path, teacher=tmp_path / "teacher", losses=["forward_kl"], steps=15, learning_rate=5e-3)
    totals = [line["total"] for line in log_of(step)]
    assert totals[-1] < totals[0]
    config = json.loads((step / "model" / "config.json").read_text())
    assert config["vocab_size"] == 352


def test_the_held_out_losses_of_student_and_teacher_are_over_the_tokenizers_words(tmp_path: Path):
    start, teacher = model(tmp_path / "start", 352, std=0.02), model(tmp_path / "teacher", 384, seed=1)
    tiny_tokens(tmp_path / "rows", start)
    others = other_tokens(tmp_path / "others", start)
    step = train(tmp_path, teacher=teacher, losses=["forward_kl"], held_out=others, steps=2)
    told = next(line["held_out"] for line in log_of(step) if "held_out" in line)
    for folder, found in ((step / "model", "nats_per_token"), (teacher, "teacher_nats_per_token")):
        assert told[found] == pytest.approx(nats_per_token(folder, others, vocab_size=NUM_TOKENS), rel=1e-5)
        assert told[found] < nats_per_token(folder, others, vocab_size=None) - 1e-3


def nats_per_token(folder: Path, tokens: Path, *, vocab_size: int | None) -> float:
    windows = Windows.open(tokens)
    batch = some_windows(windows, *range(len(windows)))
    loaded = load_model(folder, device="cpu")
    nats_BT = token_nats(loaded, batch.ids_BT, documents_BT=batch.documents_BT, vocab_size=vocab_size)
    return float((nats_BT * batch.weights_BT).sum() / batch.weights_BT.sum())


def test_windows_with_pieces_of_rows_are_refused_where_documents_count_the_same(tmp_path: Path):
    start = model(tmp_path / "start", 352)
    pieces = tiny_tokens(tmp_path / "rows", start)
    whole = tiny_tokens(tmp_path / "whole", start, length=128)
    with pytest.raises(UserError, match=r"of the 6 rows of .* are cut into pieces. Tokenize with packing: fit"):
        train(tmp_path, average="documents", data=pieces)
    train(tmp_path, average="documents", data=whole)


def refuse(teacher: Path, reader: Path, vocab_size: int) -> None:
    refuse_other_vocabulary(load_model(teacher, device="cpu"), teacher=teacher, reader=reader, vocab_size=vocab_size)


def test_a_teacher_may_know_more_tokens_behind_those_that_are_shared(tmp_path: Path):
    start, teacher = model(tmp_path / "start", 320), model(tmp_path / "teacher", 384)
    size = num_tokens(start)
    add_token(teacher, "<|tool|>", size)
    refuse(teacher, start, size)


def test_a_token_that_only_the_student_knows_is_refused(tmp_path: Path):
    start, teacher = model(tmp_path / "start", 384), model(tmp_path / "teacher", 384)
    size = num_tokens(start)
    add_token(start, "<|tool|>", size)
    with pytest.raises(UserError, match=rf"'<\|tool\|>' is {size} for one and no token for the other"):
        refuse(teacher, start, size + 1)


def test_the_first_token_that_differs_is_named_with_both_ids(tmp_path: Path):
    start, teacher = model(tmp_path / "start", 320), model(tmp_path / "teacher", 320)
    path = teacher / "tokenizer.json"
    content = json.loads(path.read_text())
    words = content["model"]["vocab"]
    of_id = {number: word for word, number in words.items()}
    words[of_id[40]], words[of_id[50]] = 50, 40
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="is 40 for one and 50 for the other|is 50 for one and 40 for the other"):
        refuse(teacher, start, num_tokens(start))


def test_a_teacher_with_too_few_embeddings_is_refused(tmp_path: Path):
    start, teacher = model(tmp_path / "start", 352), model(tmp_path / "teacher", 320)
    with pytest.raises(UserError, match="has embeddings for 320 tokens, and the vocabulary of .* has 340"):
        refuse(teacher, start, 340)


def num_tokens(folder: Path) -> int:
    content = json.loads((folder / "tokenizer.json").read_text())
    return 1 + max([*content["model"]["vocab"].values(), *(token["id"] for token in content["added_tokens"])])


def add_token(folder: Path, text: str, number: int) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["added_tokens"].append({**content["added_tokens"][0], "id": number, "content": text})
    path.write_text(json.dumps(content))


def test_seconds_of_another_number_of_processes_are_no_measure(tmp_path: Path):
    trained = tiny_start(tmp_path / "trained")
    manifest = Manifest.read(trained.parent)
    seconds = Summary({"train_seconds": Metric.exact(9)})
    replace(manifest, took={"processes": 4}, summary=seconds).write(trained.parent)
    tiny_tokens(tmp_path / "rows", tiny_start(tmp_path / "start"))
    with pytest.raises(UserError, match="trained was trained with --processes 4, and this .* with --processes 1: "):
        train(tmp_path, match_seconds=trained, warmup_steps=30)
