"""No answer is lost, and none is asked for twice unless nobody can know that it was."""

import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message
from demiurgic.providers.base import Done, ProviderError, Request, Sampling, Text, collect
from demiurgic.providers.journal import Entry, Journal, Journaled, Tally
from demiurgic.providers.openai import OpenAIProvider
from tiny_rows import a_few, conversations
from toy_providers import Counting, answer, ask

TESTS = Path(__file__).parents[1]
OURS = {"digest": "0123", "engine": "transformers"}

samplings = st.builds(
    Sampling,
    max_tokens=st.none() | st.integers(1, 100),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(0, 100),
    stop=st.lists(st.text(max_size=3), max_size=2).map(tuple),
)
requests = st.builds(Request, messages=conversations, sampling=samplings, sample=st.integers(0, 3))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store-journal.sqlite"


def test_an_answer_is_asked_for_once(path):
    provider = Counting()
    with Journal(path) as journal:
        first = journal.answer(provider, ask("Hi"))
        second = journal.answer(provider, ask("Hi"))
        assert first == second == answer(1)
        assert journal.tally == Tally(asked=1, tokens=2, kept=1, unknown=0)
    assert provider.num_asked == 1


def test_an_answer_outlives_the_process_that_asked(path):
    with Journal(path) as journal:
        journal.answer(Counting(), ask("Hi"))
    with Journal(path) as journal:
        provider = Counting()
        assert journal.answer(provider, ask("Hi")) == answer(1)
        assert provider.num_asked == 0
        assert journal.num_answers() == 1


def test_a_journaled_provider_is_the_same_provider(path):
    provider = Counting()
    with Journal(path) as journal, Journaled(provider, journal) as kept:
        assert kept.identity == provider.identity
        assert collect(kept.complete(ask("Hi"))) == collect(kept.complete(ask("Hi"))) == answer(1)
    assert provider.closed


@given(requests, requests)
@a_few
def test_two_requests_have_one_key_only_when_they_are_the_same(first, second):
    def sent(request):
        return replace(request, messages=tuple(replace(m, weight=None) for m in request.messages))

    same = Entry.of(OURS, first) == Entry.of(OURS, second)
    # An empty text where nothing stands is the same thing sent.
    assume(all(m.tool_call_id != "" and m.reasoning != "" for r in (first, second) for m in r.messages))
    assert same == (sent(first) == sent(second))


@given(requests, st.sampled_from(["role", "content", "sampling", "sample", "identity", "one message more"]))
@a_few
def test_any_change_is_another_key(request, change):
    first, *others = request.messages
    identity, other = OURS, request
    match change:
        case "role":
            other = replace(
                request, messages=(replace(first, role="tool" if first.role == "user" else "user"), *others)
            )
        case "content":
            other = replace(request, messages=(replace(first, content=first.content + " "), *others))
        case "sampling":
            other = replace(request, sampling=replace(request.sampling, max_tokens=101))
        case "sample":
            other = replace(request, sample=request.sample + 1)
        case "identity":
            identity = {**OURS, "digest": "4567"}
        case "one message more":
            other = replace(request, messages=(*request.messages, Message("user", "")))
    assert Entry.of(OURS, request).key != Entry.of(identity, other).key


@given(requests)
@a_few
def test_a_loss_weight_and_the_way_a_number_is_written_are_not_part_of_the_key(request):
    weighed = replace(request, messages=tuple(replace(m, weight=0.5) for m in request.messages))
    assert Entry.of(OURS, weighed) == Entry.of(OURS, request)
    whole, real = (replace(request, sampling=replace(request.sampling, temperature=t)) for t in (1, 1.0))
    assert Entry.of(OURS, whole) == Entry.of(OURS, real)


def test_weights_of_our_own_have_one_key_at_every_port():
    keys = set()
    for port in (1234, 4321):
        with OpenAIProvider(model="x", base_url=f"http://127.0.0.1:{port}/v1", identity=OURS) as provider:
            keys.add(Entry.of(provider.identity, ask("Hi")).key)
    assert len(keys) == 1


def test_a_question_that_failed_counts_as_not_asked(path):
    busy = ProviderError("busy", retryable=True)
    provider = Counting(fail_with=(busy, UserError("no such model")))
    with Journal(path) as journal:
        for _ in range(2):
            with pytest.raises(UserError):
                journal.answer(provider, ask("Hi"))
        assert journal.answer(provider, ask("Hi")) == answer(3)
        assert journal.tally == Tally(asked=1, tokens=2, kept=0, unknown=0)


def test_a_question_that_may_have_been_billed_is_counted_as_unknown(path):
    lost = ProviderError("broke off", retryable=True, maybe_billed=True)
    provider = Counting(fail_with=(lost, KeyboardInterrupt()))
    with Journal(path) as journal:
        for _ in range(2):
            with pytest.raises((ProviderError, KeyboardInterrupt)):
                journal.answer(provider, ask("Hi"))
        journal.answer(provider, ask("Hi"))
        assert journal.tally.unknown == 2
    with Journal(path) as journal:  # a later run says so too
        journal.answer(provider, ask("Hi"))
        assert journal.tally == Tally(asked=0, tokens=0, kept=1, unknown=2)


def test_threads_that_ask_the_same_at_once_ask_once(path):
    gate = threading.Event()
    provider = Counting(gate=gate)
    with Journal(path) as journal, ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(journal.answer, provider, ask("Hi")) for _ in range(8)]
        gate.set()
        assert {reply.result().text for reply in replies} == {"answer 1"}
        assert journal.tally == Tally(asked=1, tokens=2, kept=7, unknown=0)


def test_threads_that_ask_different_things_do_not_wait_for_one_another(path):
    slow = Counting(gate=threading.Event())
    with Journal(path) as journal, ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(journal.answer, slow, ask("slow"))
        assert pool.submit(journal.answer, Counting(), ask("quick")).result(5).text == "answer 1"
        slow._gate.set()
        assert waiting.result(5).text == "answer 1"


def test_two_open_journals_on_one_file_ask_once(path):
    gate = threading.Event()
    provider = Counting(gate=gate)
    with Journal(path) as one, Journal(path) as other, ThreadPoolExecutor(2) as pool:
        replies = [pool.submit(journal.answer, provider, ask("Hi")) for journal in (one, other)]
        time.sleep(0.1)
        gate.set()
        assert [reply.result(10).text for reply in replies] == ["answer 1"] * 2
    assert provider.num_asked == 1
    assert [p.name for p in path.parent.iterdir()] == [path.name], "locks and logs are cleared away"


ASK_AND_HANG = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from toy_providers import Counting, ask
from demiurgic.providers.journal import Journal
class Hanging(Counting):
    def complete(self, request):
        print("asked", flush=True)
        threading.Event().wait()
with Journal(Path(sys.argv[1])) as journal:
    journal.answer(Hanging(), ask("Hi"))
"""


def test_what_a_killed_process_was_asking_is_asked_again_and_counted(path):
    command = [sys.executable, "-c", ASK_AND_HANG, str(path), str(TESTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "asked\n"
        provider = Counting()
        with Journal(path) as journal, ThreadPoolExecutor(1) as pool:
            reply = pool.submit(journal.answer, provider, ask("Hi"))
            time.sleep(0.2)
            assert not reply.done(), "while the other process lives it may still get its answer"
            process.kill()
            assert reply.result(10) == answer(1)
            assert journal.tally == Tally(asked=1, tokens=2, kept=0, unknown=1)
            assert journal.num_unknown(Entry.of(provider.identity, ask("Hi"))) == 1


def test_a_reply_is_kept_before_anybody_sees_it(path):
    with Journal(path) as journal, Journaled(Counting(), journal) as provider:
        events = provider.complete(ask("Hi"))
        next(events)
        assert journal.num_answers() == 1


def test_what_no_file_can_hold_does_not_lose_an_answer(path):
    class Odd(Counting):
        def complete(self, request):
            yield Text("\ud83d")
            yield Done("stop", None, {"reasoning": "\ud83d", "share": float("nan")})

    with Journal(path) as journal:
        journal.answer(Odd(), ask("Hi"))
        kept = journal.answer(Odd(), ask("Hi"))
    assert (kept.text, kept.usage, kept.raw["reasoning"]) == ("\ufffd", None, "\ud83d")


OPEN_NEW_FILES = """
import sys
from pathlib import Path
from demiurgic.providers.answer_file import AnswerFile
folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    AnswerFile(folder / f"{number}.sqlite").close()
"""


def test_several_processes_may_open_a_new_journal_at_once(tmp_path):
    command = [sys.executable, "-c", OPEN_NEW_FILES, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in processes] == [""] * 4


def test_only_the_time_while_a_question_is_out_counts(path):
    class Slow(Counting):
        def complete(self, request):
            time.sleep(0.1)
            yield from super().complete(request)

    with Journal(path) as journal, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: journal.answer(Slow(), ask(f"{number}")), range(4)))
        time.sleep(0.2)
        journal.answer(Slow(), ask("0"))
        assert 0.1 <= journal.tally.seconds < 0.25


def test_a_truncated_journal_is_told_by_its_name(path):
    with Journal(path) as journal:
        for number in range(200):
            journal.answer(Counting(), ask(f"Question {number} " + "and so on " * 50))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=f"{path} is damaged"), Journal(path) as journal:
        journal.answer(Counting(), ask("Hi"))


def test_a_file_that_is_no_journal_is_left_alone(path):
    path.write_text("Dear diary, " * 1000)
    with pytest.raises(UserError, match=f"{path} is no journal"):
        Journal(path)
    assert path.read_text().startswith("Dear diary")


def test_the_database_of_another_program_is_left_alone(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE birds (name TEXT)")
    other.close()
    with pytest.raises(UserError, match="no journal of answers"):
        Journal(path)


def test_a_folder_where_the_journal_should_be_is_told(path):
    path.mkdir()
    with pytest.raises(UserError, match="cannot be opened"):
        Journal(path)


FILL_UP = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from toy_providers import Counting, ask
from demiurgic.core.errors import UserError
from demiurgic.providers.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
journal = Journal(Path(sys.argv[1]))
try:
    for number in range(1000):
        journal.answer(Counting(), ask(f"{number} " + "x" * 1000))
except UserError as error:
    print(number, error)
"""


def test_a_disk_without_room_stops_before_the_next_question_and_loses_no_answer(path):
    command = [sys.executable, "-c", FILL_UP, str(path), str(TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    number, _, message = done.stdout.partition(" ")
    assert str(path) in message
    assert "run the same command again" in message
    with Journal(path) as journal:
        assert journal.num_answers() in (int(number), int(number) + 1)
        assert int(number) > 10
