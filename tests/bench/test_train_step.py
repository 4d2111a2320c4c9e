"""The bench of a whole step: its own contender on a tiny model, and how the peers' figures are compared."""

import json
from pathlib import Path

import pytest

from bench_modules import bench
from demiurgic.core.artifacts import Model, Tokens
from demiurgic.models.tokenizer import load_tokenizer
from demiurgic.models.windows import Windows

TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("step")
    bench("train_step").make(folder, vocabulary=400, length=24, batch=2, student=TINY, teacher=TINY)
    return folder


def test_what_is_made_up_is_an_artifact_of_the_size_asked_for(folder: Path):
    model, tokens = Model.open(folder / "student" / "model"), Tokens.open(folder / "rows" / "tokens")
    assert len(load_tokenizer(model.path)) == 400
    windows = Windows.open(tokens.path)
    assert (len(windows), windows.length, windows.counts.supervised) == (2, 24, 2 * 23)


def test_our_step_is_the_stage_itself_with_the_loss_of_each_step(folder: Path):
    found = json.loads(bench("train_step").ours(folder, steps=3, batch=2))
    assert len(found["seconds"]) == 2
    assert len(found["losses"]) == 3
    assert found["losses"][2] < found["losses"][0]  # the same windows at every step
    assert 0 < found["peak_bytes"] < found["loaded_bytes"]


def run(seconds: float, num_bytes: float, *, first_loss: float = 2.0) -> dict[str, object]:
    times = [seconds, seconds * 3, seconds]
    sizes = {"loaded_bytes": 100e6, "peak_bytes": num_bytes}
    return {"seconds": times, "cpu_seconds": times, "losses": [first_loss, 1.0], **sizes}


def test_a_peer_is_compared_by_medians():
    names = bench("train_step")
    found = {names.OURS: [run(1.0, 5e6), run(1.0, 5e6)], names.GKD: [run(2.0, 10e6), run(2.0, 10e6)]}
    own, gkd = names.compared(found, vocabulary=400, tokens=100)
    assert (own["tokens/s"], gkd["tokens/s"]) == (100, 50)
    assert (gkd["tokens/s, ours ÷ theirs"], gkd["memory, ours ÷ theirs"]) == (2.0, 0.5)
    assert gkd["wanted"] == "≥ 1.3 and ≤ 0.7"
    assert (own["models, MB"], own["memory above models, MB"]) == (100, 5)


@pytest.mark.parametrize("first_loss", [2.003, 1.997, float("nan")])
def test_a_peer_that_begins_with_another_loss_is_not_compared(first_loss: float):
    names = bench("train_step")
    names.refuse_other_losses({names.OURS: [run(1.0, 5e6)], names.GKD: [run(1.0, 5e6, first_loss=2.001)]})
    other = [run(1.0, 5e6), run(1.0, 5e6, first_loss=first_loss)]
    with pytest.raises(SystemExit, match="TRL GKDTrainer.* begins with the loss .*demiurgic with 2:"):
        names.refuse_other_losses({names.OURS: [run(1.0, 5e6)], names.GKD: other})


def test_a_contender_that_fails_stops_the_bench_with_what_it_said():
    with pytest.raises(SystemExit, match="no such trainer"):
        bench("train_step").one_process(["sh", "-c", "echo no such trainer >&2; exit 3"], threads=1)
