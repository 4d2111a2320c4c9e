import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from demiurgic.cli.main import cli
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.train.trackers import TRACKERS, Trackers, refuse_missing, scalars

LINE: dict[str, Any] = {
    "step": 7,
    "num_steps": None,
    "learning_rate": 2e-3,
    "source": "data",
    "total": 2.5,
    "components": {"forward_kl": {"raw": 2.0, "weight": 0.9, "weighted": 1.8, "options": {"temperature": 1.5}}},
    "phase": {"name": "warm", "progress": 0.25},
}


def events(folder: Path) -> list[tuple[str, int, float]]:
    """The scalars in TensorBoard's files, in the order of the files, as it shows them: without what was purged."""
    from tensorboardX.proto.event_pb2 import Event

    found: list[tuple[str, int, float]] = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[12 + length + 4 :]
            if event.session_log.status == 1:  # START: what lies at or after this step was sent by a run that died
                found = [scalar for scalar in found if scalar[1] < event.step]
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return found


def open_tensorboard(folder: Path, *, console: Console | None = None) -> Trackers:
    return Trackers(["tensorboard"], folder=folder, run="student", console=console or Console(quiet=True))


def test_the_numbers_of_a_line_have_a_path_each():
    assert dict(scalars(LINE)) == {
        "train/learning_rate": 2e-3,
        "loss/total": 2.5,
        "loss/forward_kl/raw": 2.0,
        "loss/forward_kl/weight": 0.9,
        "loss/forward_kl/weighted": 1.8,
        "loss/forward_kl/options/temperature": 1.5,
        "phase/progress": 0.25,
    }


def test_a_look_at_held_out_windows_has_paths_of_its_own():
    line = {"step": 9, "held_out": {"nats_per_token": 3.5, "best": True}}
    assert dict(scalars(line)) == {"held_out/nats_per_token": 3.5, "held_out/best": 1.0}


def test_tensorboard_gets_every_number_at_its_step(tmp_path: Path):
    with open_tensorboard(tmp_path) as trackers:
        trackers.write(LINE)
        trackers.write({"step": 8, "total": 2.25})
    found = events(tmp_path)
    assert ("loss/total", 7, 2.5) in found
    assert ("loss/total", 8, 2.25) in found
    assert ("phase/progress", 7, 0.25) in found


def test_a_run_that_goes_on_takes_back_what_came_after_its_checkpoint(tmp_path: Path):
    with open_tensorboard(tmp_path) as trackers:
        for step in (1, 2, 3):
            trackers.write({"step": step, "total": float(step)})
    second = tmp_path / "tensorboard" / "events.out.tfevents.0000000000.first"
    next((tmp_path / "tensorboard").iterdir()).rename(second)  # two runs of one second would share a name
    with open_tensorboard(tmp_path) as trackers:
        trackers.write({"step": 1, "held_out": {"nats_per_token": 5.0}})
        for step in (2, 3, 4):
            trackers.write({"step": step, "total": 10.0 * step})
    assert events(tmp_path) == [
        ("loss/total", 1, 1.0),
        ("held_out/nats_per_token", 1, 5.0),
        ("loss/total", 2, 20.0),
        ("loss/total", 3, 30.0),
        ("loss/total", 4, 40.0),
    ]


def test_an_unknown_tracker_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match='There is no tracker "tensorbord". Did you mean "tensorboard"?'):
        refuse_missing(["tensorbord"])


def test_a_tracker_whose_package_is_missing_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("demiurgic.core.optional.installed", lambda module: False)
    for name, line in (("wandb", "pip install wandb"), ("trackio", "pip install trackio")):
        with pytest.raises(UserError, match=line):
            Trackers([name], folder=tmp_path, run="student", console=Console(quiet=True))
    with pytest.raises(UserError, match=r'pip install "demiurgic\[tensorboard\]"'):
        open_tensorboard(tmp_path)


def test_every_tracker_has_a_package():
    for name in TRACKERS:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError, match="not installed"):
            patch.setattr("demiurgic.core.optional.installed", lambda module: False)
            refuse_missing([name])


def test_a_tracker_that_fails_is_said_once_and_the_others_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "tensorboard").write_text("a file where a folder is wanted")
    with open_tensorboard(tmp_path, console=Console()) as trackers:
        trackers.write(LINE)
        trackers.write(LINE)
    said = capsys.readouterr().err
    assert said.count("the tracker tensorboard failed") == 1
    assert "log.jsonl has every step" in said


def test_a_run_with_a_tracker_that_is_not_known_stops_before_its_first_step(tmp_path: Path):
    command = ["run", "--track", "wanb", "--store", str(tmp_path / "store")]
    found = CliRunner().invoke(cli, command)
    assert 'Did you mean "wandb"?' in str(found.exception)
    assert not (tmp_path / "store").exists()


class Service:
    """A package of a service that prints to stdout whatever it is asked, and keeps how runs were opened."""

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []

    def Settings(self, **settings: Any) -> dict[str, Any]:
        return settings

    def init(self, **asked: Any) -> Any:
        print("* Run initialized")
        self.opened.append(asked)
        return SimpleNamespace(log=lambda scalars, step: print("logged"), finish=lambda: print("finished"))


@pytest.fixture(params=["wandb", "trackio"])
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Service]:
    found = Service()
    monkeypatch.setitem(sys.modules, request.param, found)
    monkeypatch.setattr("demiurgic.core.optional.installed", lambda module: True)
    return request.param, found


def send(name: str, folder: Path, step: int) -> None:
    with Trackers([name], folder=folder, run="student-0123", console=Console(quiet=True)) as trackers:
        trackers.write({"step": step, "total": 1.0})


def test_what_a_service_prints_does_not_get_into_the_results(
    tmp_path: Path, service: tuple[str, Service], capsys: pytest.CaptureFixture[str]
):
    send(service[0], tmp_path, 1)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["* Run initialized", "logged", "finished"]


def test_only_a_training_that_goes_on_goes_on_with_its_run(tmp_path: Path, service: tuple[str, Service]):
    name, found = service
    for folder, step in [("a", 1), ("a", 8), ("b", 1)]:
        send(name, tmp_path / folder, step)
    number = "id" if name == "wandb" else "name"
    first, second, other = (opened[number] for opened in found.opened)
    assert first == second != other
    assert [opened["resume"] == "allow" for opened in found.opened] == [False, True, False]
