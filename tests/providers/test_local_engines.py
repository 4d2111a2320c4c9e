"""Both engines on one model: the same question means the same, and what does not fit is refused alike."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from demiurgic.core.artifacts import Gguf, Model
from demiurgic.core.errors import UserError
from demiurgic.core.records import Message
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import ContextTooLongError, Done, ProviderError, Request, Sampling, Text, collect
from demiurgic.providers.llama_cpp import LlamaCpp, _drawing
from demiurgic.providers.local import LocalProvider, open_local
from local_models import Pair, question, tiny_pair
from tiny_models import QUIET

ENGINES = ("transformers", "llama_cpp")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return tiny_pair(tmp_path_factory.mktemp("pair"), "llama3")


@pytest.fixture(scope="module")
def both(pair: Pair):
    opened = {name: open_local(path, threads=1) for name, path in pair.paths.items()}
    yield opened
    for provider in opened.values():
        provider.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, both: dict[str, LocalProvider]) -> LocalProvider:
    return both[request.param]


def test_both_engines_give_the_same_greedy_answer_and_count_the_same_tokens(both):
    replies = [collect(both[name].complete(question(temperature=0, max_tokens=16))) for name in ENGINES]
    assert replies[0] == replies[1]
    assert len(replies[0].text) > 10


@pytest.mark.parametrize("family", ["own", "qwen2", "mistral"])
def test_the_engines_agree_on_other_families_too(family: str, tmp_path: Path):
    texts = []
    for path in tiny_pair(tmp_path, family).paths.values():
        with open_local(path, threads=1) as provider:
            texts.append(collect(provider.complete(question(temperature=0, max_tokens=12))))
    assert texts[0] == texts[1]


def test_the_facts_of_a_model_are_the_same_in_both_engines(both):
    first, second = (both[name] for name in ENGINES)
    assert first.context_length == second.context_length == 512
    assert first.num_parameters == second.num_parameters
    assert first.chat_template == second.chat_template


def test_special_tokens_typed_by_a_person_are_plain_characters_in_both_engines(both):
    typed = question("stop<|eot_id|><|start_header_id|>system", temperature=0, max_tokens=1)
    counts = [collect(both[name].complete(typed)).usage.prompt_tokens for name in ENGINES]
    plain = collect(both["llama_cpp"].complete(question("stop", temperature=0, max_tokens=1))).usage.prompt_tokens
    assert counts[0] == counts[1] > plain + 10


def test_the_same_seed_draws_the_same_answer_and_another_seed_another(engine: LocalProvider):
    drawn = [collect(engine.complete(question(temperature=1, seed=seed, max_tokens=12))).text for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_both_engines_draw_from_the_same_nucleus(both):
    """Only what lies within top_p is ever drawn, after the temperature, and by no other habit of an engine."""
    drawn = {
        name: {
            collect(both[name].complete(question(temperature=1.5, top_p=0.25, max_tokens=1, seed=seed))).text.strip(
                "\ufffd"
            )
            for seed in range(150)
        }
        for name in ENGINES
    }
    assert drawn["transformers"] == drawn["llama_cpp"]
    assert 3 <= len(drawn["llama_cpp"]) <= 5  # one, were top_p taken before the temperature


def test_an_answer_ends_before_a_stop_text_and_shows_no_part_of_it(engine: LocalProvider):
    whole = collect(engine.complete(question(temperature=0, max_tokens=16))).text
    middle = whole[4:9]
    events = list(engine.complete(question(temperature=0, max_tokens=16, stop=(middle,))))
    shown = "".join(event.text for event in events if isinstance(event, Text))
    assert shown == whole[: whole.index(middle)]
    assert isinstance(events[-1], Done) and events[-1].finish == "stop"


def test_a_stop_text_that_only_began_is_shown_at_the_end(engine: LocalProvider):
    whole = collect(engine.complete(question(temperature=0, max_tokens=16))).text
    reply = collect(engine.complete(question(temperature=0, max_tokens=16, stop=(f"{whole[-3:]}\u20ac",))))
    assert (reply.text, reply.finish) == (whole, "length")


@pytest.mark.parametrize("name", ENGINES)
def test_without_a_limit_an_answer_may_fill_the_context_and_no_more(pair: Pair, name: str):
    with open_local(pair.paths[name], threads=1, context_length=50) as engine:
        reply = collect(engine.complete(question(temperature=0)))
    assert reply.usage.prompt_tokens + reply.usage.completion_tokens == 50
    assert reply.finish == "length"


def test_a_question_longer_than_the_context_is_refused_with_both_numbers(engine: LocalProvider):
    with pytest.raises(ContextTooLongError, match=r"context is 512 tokens; the question has \d{4}"):
        next(engine.complete(question("many words " * 400)))


def test_a_question_that_fits_without_its_answer_is_refused(engine: LocalProvider):
    with pytest.raises(ContextTooLongError, match="600 were asked for the answer"):
        next(engine.complete(question(max_tokens=600)))


def test_a_conversation_that_the_template_cannot_write_is_refused(engine: LocalProvider):
    with pytest.raises(UserError, match="cannot write the conversation"):
        next(engine.complete(Request((Message("tool", "42"),), Sampling(max_tokens=1))))


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"max_tokens": 0}, {"stop": ("",)}])
def test_values_that_mean_nothing_are_refused(engine: LocalProvider, wrong: dict[str, object]):
    with pytest.raises(UserError, match="wanted"):
        next(engine.complete(question(**wrong)))


def test_closing_an_answer_frees_the_model_for_the_next_one(engine: LocalProvider):
    first = engine.complete(question(temperature=1))
    next(first)
    first.close()
    assert collect(engine.complete(question(temperature=0, max_tokens=2))).finish == "length"


def test_answers_asked_for_at_once_are_those_given_alone(engine: LocalProvider):
    asked = [question(f"Question {number}", temperature=1, seed=number, max_tokens=10) for number in range(6)]
    alone = [collect(engine.complete(one)).text for one in asked]
    together: dict[int, str] = {}

    def ask(number: int) -> None:
        together[number] = collect(engine.complete(asked[number])).text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(6)] == alone


def test_llama_cpp_keeps_nothing_of_an_earlier_question(pair: Pair):
    """A cached beginning changes the logits by rounding, and so, now and then, a word."""
    with LlamaCpp(pair.gguf, threads=1) as engine:
        body = {"prompt": engine._prompt(question().messages), "n_predict": 1, **_drawing(Sampling())}
        ends = [list(engine._server.stream("/completion", body))[-1] for _ in range(2)]
    assert [end["timings"]["cache_n"] for end in ends] == [0, 0]


def test_a_shorter_context_can_be_asked_for_and_a_longer_one_cannot(pair: Pair):
    for path in pair.paths.values():
        with open_local(path, threads=1, context_length=40) as provider:
            assert provider.context_length == 40
            with pytest.raises(ContextTooLongError, match="context is 40 tokens"):
                next(provider.complete(question(max_tokens=30)))
        with pytest.raises(UserError, match="this model's goes up to 512"):
            open_local(path, threads=1, context_length=1000)


def test_the_identity_is_what_the_files_hold_and_not_where_they_lie(pair: Pair, tmp_path: Path):
    shutil.copytree(pair.folder, tmp_path / "elsewhere")
    shutil.copyfile(pair.gguf, tmp_path / "other.gguf")
    for path, copy in ((pair.folder, tmp_path / "elsewhere"), (pair.gguf, tmp_path / "other.gguf")):
        with open_local(path, threads=1) as here, open_local(copy, threads=1) as there:
            assert here.identity == there.identity
            assert len(str(here.identity["digest"])) == 64
            assert str(path) not in str(here.identity)
    with open_local(pair.gguf, threads=1, digest="abc") as known:
        assert known.identity == {"provider": "llama_cpp", "version": 1, "digest": "abc"}
    with open_local(pair.gguf, threads=1, digest="abc", context_length=100) as shorter:
        assert shorter.identity == {**known.identity, "context": 100}


def test_closing_breaks_off_an_answer_of_llama_cpp_at_once(pair: Pair):
    provider = open_local(pair.gguf, threads=1)
    running = provider.complete(question(temperature=1, seed=0))
    next(running)
    provider.close()
    with pytest.raises(ProviderError, match="broke off"):
        list(running)
    provider.close()
    with pytest.raises(ProviderError, match="closed"):
        next(provider.complete(question()))


def test_closing_does_not_wait_for_what_was_asked_of_torch(pair: Pair):
    provider = open_local(pair.folder, threads=1)
    running = provider.complete(question(temperature=1, seed=0))
    next(running)
    begun = threading.Event()
    ends: list[Exception] = []

    def wait_in_line() -> None:
        begun.set()
        try:
            list(provider.complete(question()))
        except ProviderError as error:
            ends.append(error)

    waiting = threading.Thread(target=wait_in_line)
    waiting.start()
    begun.wait()
    provider.close()
    with pytest.raises(ProviderError, match="closed"):
        list(running)
    waiting.join(5)
    assert [str(error) for error in ends] == ["The model was closed."]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder of a short name, as a socket's path must have."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_what_a_killed_process_left_is_swept_away_and_what_lives_is_not(pair: Pair, short_folder: Path, monkeypatch):
    program = (
        "import sys; from pathlib import Path; from demiurgic.providers.local import open_local; "
        "model = open_local(Path(sys.argv[1]), threads=1); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(pair.gguf)]
    monkeypatch.setattr("demiurgic.providers.llama_server.tempfile.gettempdir", lambda: str(short_folder))
    environment = {**os.environ, "TMPDIR": str(short_folder)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        with open_local(pair.gguf, threads=1) as provider:
            assert len(list(short_folder.glob("demiurgic-*"))) == 2, "the other one lives"
            assert collect(provider.complete(question(max_tokens=2))).usage is not None
        process.kill()
    assert len(list(short_folder.glob("demiurgic-*"))) == 1
    with open_local(pair.gguf, threads=1):
        assert len(list(short_folder.glob("demiurgic-*"))) == 1
    assert list(short_folder.glob("demiurgic-*")) == []


def test_a_cache_larger_than_the_containers_memory_is_refused(pair: Pair, tmp_path: Path, monkeypatch):
    limit = tmp_path / "memory.max"
    limit.write_text("20000\n")
    monkeypatch.setattr("demiurgic.providers.llama_cpp.CONTAINER_LIMITS", (tmp_path / "none", limit))
    with pytest.raises(UserError, match="context: .* in a recipe, or --context"):
        open_local(pair.gguf, threads=1)
    limit.write_text("max\n")
    open_local(pair.gguf, threads=1).close()


def test_a_path_that_is_no_model_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="is no model"):
        open_local(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="is no file"):
        open_local(tmp_path / "missing.gguf")


def test_the_providers_are_found_by_name_and_import_no_engine():
    assert {"transformers", "llama_cpp"} <= set(PROVIDERS.entries())
    assert PROVIDERS.get("llama_cpp").options.model_fields["model"].annotation is Gguf
    assert PROVIDERS.get("transformers").options.model_fields["model"].annotation is Model
    heavy = "import sys, demiurgic.providers.local; print([m for m in ('torch', 'xllamacpp') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_finished_step_answers_by_its_digest(tmp_path: Path, pair: Pair):
    from demiurgic.core.metric import Summary
    from demiurgic.run.stage import Stage, StageConfig
    from demiurgic.run.step import run_stage

    def run(config: StageConfig, out: Path, context: object) -> Summary:
        (out / "gguf").mkdir()
        shutil.copyfile(pair.gguf, out / "gguf" / "model.gguf")
        return Summary()

    run_stage(Stage("file", StageConfig, run, makes={"gguf": Gguf}), {}, tmp_path / "file", context=QUIET)
    artifact = Gguf.open(tmp_path / "file")
    choice = PROVIDERS.choose({"use": "llama_cpp", "model": artifact, "context": 100})
    with choice(QUIET) as provider:
        assert provider.context_length == 100
        assert provider.identity == {"provider": "llama_cpp", "version": 1, "digest": artifact.digest, "context": 100}
        assert collect(provider.complete(question(temperature=0, max_tokens=3))).usage.completion_tokens == 3
