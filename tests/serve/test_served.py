"""The provider `served`: the same answers as without HTTP, and nothing left behind."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from demiurgic.core.artifacts import Artifact, Gguf, Model
from demiurgic.core.metric import Summary
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import ContextTooLongError, collect
from demiurgic.providers.local import open_local
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.run.step import run_stage
from demiurgic.serve.served import Served, served
from local_models import Pair, question, tiny_pair
from tiny_models import QUIET


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return tiny_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module", params=[Model, Gguf], ids=lambda kind: kind.kind)
def artifact(request: pytest.FixtureRequest, pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A finished step that holds the tiny model in one of the two formats."""
    kind: type[Artifact] = request.param

    def run(config: StageConfig, out: Path, context: object) -> Summary:
        if kind is Model:
            shutil.copytree(pair.folder, out / "part")
        else:
            (out / "part").mkdir()
            shutil.copyfile(pair.gguf, out / "part" / "model.gguf")
        return Summary()

    folder = tmp_path_factory.mktemp("step") / "teacher"
    run_stage(Stage("teacher", StageConfig, run, makes={"part": kind}), {}, folder, context=QUIET)
    return kind.open(folder)


def listening(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0


def test_the_answer_over_http_is_the_one_without(artifact: Artifact):
    asked = question(temperature=1, seed=4, max_tokens=12)
    path = artifact.file if isinstance(artifact, Gguf) else artifact.path
    with open_local(path, threads=1, digest=artifact.digest) as local:
        expected, identity = collect(local.complete(asked)), local.identity
    with served(QUIET, model=artifact) as provider:
        reply = collect(provider.complete(asked))
        assert (reply.text, reply.finish, reply.usage) == (expected.text, expected.finish, expected.usage)
        assert provider.identity == identity
        assert identity["digest"] == artifact.digest


def test_a_recipe_chooses_it_by_name_for_either_format(artifact: Artifact):
    choice = PROVIDERS.choose({"use": "served", "model": artifact})
    assert choice.options.model is artifact


def test_what_does_not_fit_is_refused_over_http_as_without(artifact: Artifact):
    with served(QUIET, model=artifact) as provider, pytest.raises(ContextTooLongError, match="context is 256 tokens"):
        next(provider.complete(question("many words " * 200)))


def test_nothing_runs_after_it_was_closed(pair: Pair):
    before = set(threading.enumerate())
    with pytest.raises(KeyError), Served(open_local(pair.gguf, threads=1)) as provider:
        address = provider._server.address
        assert listening(address)
        next(provider.complete(question(temperature=1)))
        raise KeyError("whatever goes wrong in between")
    assert not listening(address)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before


def test_nothing_runs_after_its_process_was_killed(pair: Pair):
    program = (
        "import sys; from pathlib import Path; from demiurgic.providers.local import open_local; "
        "from demiurgic.serve.served import Served; provider = Served(open_local(Path(sys.argv[1]), threads=1)); "
        "print(provider._server.address, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(pair.gguf)]
    # What a killed process leaves is the folder of its socket.
    with (
        tempfile.TemporaryDirectory() as temporary,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": temporary},
        ) as process,
    ):
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert listening(address)
        process.kill()
    assert not listening(address)
