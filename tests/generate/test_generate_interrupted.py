"""A run that is killed, stopped or finds no room loses no answer, and pays for none twice that it can know of."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from demiurgic.core.records import Message
from demiurgic.core.seeds import share_of
from demiurgic.providers.base import Request, Sampling
from demiurgic.providers.journal import Entry, Journal
from mock_openai import MockOpenAI, Says, question
from toy_talks import digests, numbers, walk

TESTS = Path(__file__).parents[1]
NUM_QUESTIONS = 170
STEPS = """\
  talks: {use: talks, count: %d}
  made: {use: generate, prompts: talks, temperature: 0, teacher: {use: openai, model: small, base_url: '%s'}}
"""
# Imports once, then runs the recipe in a fork of its own each time a line comes in: a killed run costs half a second.
FORKS = """
import os, sys, traceback
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import openai, pyarrow.parquet
from openai.types import chat
from toy_talks import walk
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            walk(Path(sys.argv[1]), sys.argv[3], requests_in_flight=4)
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def answered(body):
    seconds = 0.01 + 0.04 * share_of(question(body))
    return Says((f"The answer to {question(body)}", " is yes."), seconds=seconds)


def start(script: str, folder: Path, steps: str, **more) -> subprocess.Popen:
    command = [sys.executable, "-c", script, str(folder), str(TESTS), steps]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)


def test_kills_at_random_moments_cost_only_what_was_in_flight(tmp_path):
    dice, num_kills = random.Random(11), 21
    with MockOpenAI(answered) as mock:
        steps = STEPS % (NUM_QUESTIONS, mock.url)
        with start(FORKS, tmp_path, steps) as process:
            assert process.stdout.readline() == "ready\n"
            for _ in range(num_kills):
                process.stdin.write("go\n")
                process.stdin.flush()
                child = int(process.stdout.readline())
                wait_for_requests(mock, len(mock.requests) + dice.randint(0, 3))
                time.sleep(dice.uniform(0.0, 0.06))
                os.kill(child, signal.SIGKILL)
                assert process.stdout.readline() == "ended\n"
            process.stdin.close()
        num_before = len(mock.requests)
        _, made = walk(tmp_path, steps)
        paid = Counter(question(body) for body in mock.requests)
        teacher = {"provider": "openai", "version": 1, "base_url": mock.url, "model": "small"}
        with Journal(tmp_path / "store-journal.sqlite") as journal:
            unknown = {text: journal.num_unknown(Entry.of(teacher, asked_for(text))) for text in paid}

        _, unkilled = walk(tmp_path, steps, store="another")
    assert num_kills < num_before < NUM_QUESTIONS, "the kills fell while there was work"
    assert len(paid) == NUM_QUESTIONS
    assert sum(unknown.values()) > 0, "some kills fell while questions were in flight"
    assert all(1 <= paid[text] <= 1 + unknown[text] for text in paid)
    assert sum(paid.values()) <= NUM_QUESTIONS + sum(unknown.values())
    assert numbers(made)["unknown"] == sum(unknown.values()) <= 4 * num_kills
    assert digests(made) == digests(unkilled)
    assert list(tmp_path.glob("*-asking-*")) == [], "what the killed runs left is swept away"


def wait_for_requests(mock: MockOpenAI, number: int, *, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while len(mock.requests) < number:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def asked_for(text: str) -> Request:
    return Request((Message("user", text),), Sampling(max_tokens=1024, temperature=0.0))


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from toy_talks import numbers, walk
_, made = walk(Path(sys.argv[1]), sys.argv[3], requests_in_flight=4)
"""


def test_ctrl_c_waits_for_the_answers_under_way(tmp_path):
    with MockOpenAI(lambda body: Says((question(body),), seconds=0.4)) as mock:
        steps = STEPS % (20, mock.url)
        with start(RUN, tmp_path, steps, stderr=subprocess.DEVNULL) as process:
            wait_for_requests(mock, 6)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) != 0
        num_paid = len(mock.requests)
        assert num_paid < 20
        with Journal(tmp_path / "store-journal.sqlite") as journal:
            assert journal.num_answers() == num_paid
        mock.script = lambda body: Says((question(body),))
        _, made = walk(tmp_path, steps)
    assert (numbers(made)["from_journal"], numbers(made)["unknown"]) == (num_paid, 0)
    assert len(mock.requests) == 20


def test_a_second_ctrl_c_leaves_the_answers_under_way(tmp_path):
    with MockOpenAI(lambda body: Says((question(body),), seconds=20)) as mock:
        steps = STEPS % (20, mock.url)
        with start(RUN, tmp_path, steps, stderr=subprocess.PIPE) as process:
            wait_for_requests(mock, 4)
            for _ in range(2):
                process.send_signal(signal.SIGINT)
                time.sleep(0.3)
            assert process.wait(10) != 0
        mock.script = lambda body: Says((question(body),))
        _, made = walk(tmp_path, steps)
    assert (numbers(made)["asked"], numbers(made)["unknown"]) == (20, 4)


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
"""


def test_a_journal_without_room_stops_the_step_and_the_next_run_goes_on(tmp_path):
    with MockOpenAI(lambda body: Says(("x" * 20_000,))) as mock:
        steps = STEPS % (20, mock.url)
        with start(FULL + RUN, tmp_path, steps, stderr=subprocess.PIPE) as process:
            _, error = process.communicate()
        assert "UserError: The journal of answers" in error
        assert "run the same command again" in error
        num_paid = len(mock.requests)
        assert 0 < num_paid < 20
        _, made = walk(tmp_path, steps)
        assert numbers(made)["rows"] == 20
        assert numbers(made)["from_journal"] > 0
        # What was in flight when the room ended found no place to be written to: at most that is asked again.
        assert len(mock.requests) <= 20 + 4
        assert len(mock.requests) == 20 + numbers(made)["unknown"]


def test_no_time_enters_a_row(tmp_path):
    steps = "  talks: {use: talks, count: 3}\n  made: {use: generate, prompts: talks, teacher: scripted}\n"
    _, first = walk(tmp_path, steps, store="one")
    time.sleep(1.1)
    _, second = walk(tmp_path, steps, store="two")
    assert digests(first) == digests(second)
    assert json.loads((first.folder / "manifest.json").read_text())["made"] != second.manifest.made


def test_a_journal_that_another_run_holds_open_is_shared(tmp_path):
    shared = tmp_path / "shared.sqlite"
    with MockOpenAI(answered) as mock:
        steps = STEPS % (10, mock.url)
        (tmp_path / "there").mkdir()
        with start(SHARING, tmp_path / "there", steps, stderr=subprocess.PIPE) as process:
            assert process.stdout.readline() == "ready\n"
            _, here = walk(tmp_path, steps, journal=shared)
            _, error = process.communicate()
            assert process.returncode == 0, error
        assert len(mock.requests) == 10, "two runs at once pay for each answer once"
        assert numbers(here)["rows"] == 10


SHARING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from toy_talks import walk
print("ready", flush=True)
walk(Path(sys.argv[1]), sys.argv[3], journal=Path(sys.argv[1]).parent / "shared.sqlite")
"""
