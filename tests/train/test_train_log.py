"""The training log goes on where the checkpoint stands."""

import json
from pathlib import Path

import pytest

from demiurgic.core.errors import UserError
from demiurgic.train.log import TrainLog, last_step


def write(path: Path, *lines: dict[str, object], tail: str = "") -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


STEPS = [{"step": step, "total": float(step)} for step in (1, 2, 3)]
EVALUATION = {"step": 2, "held_out": {"nats_per_token": 1.0}}


def test_steps_after_the_checkpoint_are_dropped(tmp_path: Path):
    write(tmp_path / "log.jsonl", *STEPS)
    with TrainLog(tmp_path / "log.jsonl", step=2, evaluated_step=0) as log:
        log.write({"step": 3, "total": 33.0})
    assert [line["total"] for line in lines(tmp_path / "log.jsonl")] == [1.0, 2.0, 33.0]


def test_an_evaluation_the_checkpoint_does_not_know_is_dropped(tmp_path: Path):
    write(tmp_path / "log.jsonl", STEPS[0], STEPS[1], EVALUATION)
    with TrainLog(tmp_path / "log.jsonl", step=2, evaluated_step=1):
        pass
    assert lines(tmp_path / "log.jsonl") == STEPS[:2]
    write(tmp_path / "log.jsonl", STEPS[0], STEPS[1], EVALUATION)
    with TrainLog(tmp_path / "log.jsonl", step=2, evaluated_step=2):
        pass
    assert lines(tmp_path / "log.jsonl") == [*STEPS[:2], EVALUATION]


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path):
    write(tmp_path / "log.jsonl", STEPS[0], tail='{"step": 2, "tot')
    with TrainLog(tmp_path / "log.jsonl", step=1, evaluated_step=1):
        pass
    assert lines(tmp_path / "log.jsonl") == STEPS[:1]


def test_what_a_power_cut_left_after_the_checkpoint_is_dropped(tmp_path: Path):
    write(tmp_path / "log.jsonl", STEPS[0], tail="\0\0\0\n" + json.dumps(STEPS[2]) + "\n")
    with TrainLog(tmp_path / "log.jsonl", step=1, evaluated_step=1):
        pass
    assert lines(tmp_path / "log.jsonl") == STEPS[:1]


@pytest.mark.parametrize(
    ("kept", "step", "wrong"),
    [
        ([0, 2], 3, r"lacks step 2 \(1 in all\); the checkpoint beside it goes on after step 3"),
        ([0], 3, r"lacks step 2 \(2 in all\)"),
        ([], 1, r"lacks step 1 \(1 in all\)"),
        ([0, 1, 1], 2, "has its steps twice or out of order"),
    ],
)
def test_a_log_without_every_step_of_the_checkpoint_is_refused(tmp_path: Path, kept: list[int], step: int, wrong: str):
    write(tmp_path / "log.jsonl", *(STEPS[number] for number in kept))
    with pytest.raises(UserError, match=wrong), TrainLog(tmp_path / "log.jsonl", step=step, evaluated_step=0):
        pass


def test_a_line_is_in_the_file_before_the_next_step(tmp_path: Path):
    with TrainLog(tmp_path / "log.jsonl", step=0, evaluated_step=0) as log:
        log.write(STEPS[0])
        assert lines(tmp_path / "log.jsonl") == STEPS[:1]


def test_the_last_step_is_found_behind_an_evaluation(tmp_path: Path):
    write(tmp_path / "log.jsonl", STEPS[0], STEPS[1], EVALUATION)
    assert last_step(tmp_path / "log.jsonl") == STEPS[1]
