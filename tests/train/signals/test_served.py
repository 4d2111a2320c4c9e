"""A teacher behind an endpoint: its words are those of the model, by ids and by text, and are asked for once."""

import math
from dataclasses import replace

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.core.records import Row
from demiurgic.models.windows import Windows
from demiurgic.train.batch import TokenBatch
from demiurgic.train.signals.served import Served, open_signal
from mock_openai import Fails, MockOpenAI, Tells
from pretrained import FAMILIES, pretrained
from telling_services import Telling
from tiny_models import LINES, conversation
from tiny_training import artifact, quiet, tiny_start, tiny_tokens

CPU = torch.device("cpu")
ROWS = [
    *(Row(id=f"line:{number}", text=line) for number, line in enumerate(LINES)),
    Row(id="odd", text="naïve – 日本 😀 # 12"),
    conversation("Write the function", "def add(left, right): é", id="talk"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    model = tiny_start(folder / "teacher")
    tiny_tokens(folder / "rows", model, rows=ROWS, length=64)
    return folder


@pytest.fixture(scope="module")
def telling(folder):
    return Telling(folder / "teacher" / "model")


@pytest.fixture(scope="module")
def windows(folder):
    return Windows.open(folder / "rows" / "tokens")


def opened(folder, windows, url, tmp_path, *, model=None, provider=None, at_once=4, **config):
    provider = provider or {"use": "openai", "model": "small", "base_url": url}
    context = quiet(journal=tmp_path / "journal.sqlite", requests_in_flight=at_once)
    served = Served.model_validate({"provider": provider, **config})
    return open_signal(served, windows, context, tokenizer=model or folder / "teacher" / "model")


def read(signal, batch):
    return signal.read(batch, batch.supervised()).chunk(slice(None), None)


def expected(telling, batch, k):
    """For each supervised token, the model's log-probabilities of its likeliest words, each document by itself."""
    found = []
    tokens = batch.supervised()
    for position in tokens.positions_N.tolist():
        window, place = divmod(position, batch.ids_BT.shape[1])
        documents = batch.documents_BT[window]
        start = int((documents == documents[place]).nonzero()[0])
        top = telling.log_TV(batch.ids_BT[window, start : place + 1].tolist())[-1].topk(k)
        found.append(dict(zip(top.indices.tolist(), top.values.tolist(), strict=True)))
    return found


def words_of(said):
    """By supervised token, the words that are there."""
    return [
        {id: log for id, log in zip(ids, logs, strict=True) if log > -math.inf}
        for ids, logs in zip(said.ids_NK.tolist(), said.log_NK.tolist(), strict=True)
    ]


def without_halves(words, telling):
    """Without the words that a text cannot name: halves of characters."""
    return {id: log for id, log in words.items() if "\ufffd" not in telling.tokenizer.decode([id])}


def test_a_teacher_asked_by_ids_says_what_its_model_says(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)
    with MockOpenAI(telling) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, top_k=5)
        said = read(signal, batch)
        signal.close()
    for words, wanted in zip(words_of(said), expected(telling, batch, 5), strict=True):
        assert words == pytest.approx(wanted, abs=1e-5)
    masses = said.log_NK.double().exp().sum(1) + said.log_tail_N[1.0].double().exp()
    assert torch.allclose(masses, torch.ones_like(masses), atol=1e-6)
    metrics = signal.summary().metrics
    assert metrics["teacher_tokens_matched"].value == metrics["teacher_mass_matched"].value == 1


def test_the_same_asked_by_text_says_the_same_of_all_whole_characters(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)
    with MockOpenAI(telling) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, top_k=5, ask="text")
        said = read(signal, batch)
        signal.close()
    for words, wanted in zip(words_of(said), expected(telling, batch, 5), strict=True):
        assert words == pytest.approx(without_halves(wanted, telling), abs=1e-5)
    summary = signal.summary().metrics
    assert summary["teacher_tokens_matched"].value == 1
    assert 0 < summary["teacher_words_matched"].value < 1


def test_what_is_not_matched_is_the_tails(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch([0]), device=CPU)

    def half_strange(id):
        return f"<{id}>" if id % 2 else telling.tokenizer.decode([id])

    with MockOpenAI(lambda body: Tells(telling.by_text(body, spell=half_strange))) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, top_k=5, ask="text", matched=1e-6)
        said = read(signal, batch)
        signal.close()
    assert all(id % 2 == 0 for words in words_of(said) for id in words)
    masses = said.log_NK.double().exp().sum(1) + said.log_tail_N[1.0].double().exp()
    assert torch.allclose(masses, torch.ones_like(masses), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ask", ["ids", "text"])
def test_the_models_of_the_hub_are_asked_with_their_own_special_tokens(family, ask, tmp_path):
    model = pretrained(tmp_path / "teacher" / "model", family)
    artifact(model, kind="model")
    rows = [conversation("Write the function", "def add(left, right):\n    return left", id=f"t{n}") for n in range(3)]
    windows = Windows.open(tiny_tokens(tmp_path / "rows", model, rows=rows, length=128))
    telling = Telling(model)
    batch = TokenBatch.of(windows.batch([0]), device=CPU)
    with MockOpenAI(telling) as mock:
        signal = opened(tmp_path, windows, mock.url, tmp_path, top_k=3, ask=ask)
        said = read(signal, batch)
        signal.close()
    assert signal.summary().metrics["teacher_tokens_matched"].value == 1
    for words, wanted in zip(words_of(said), expected(telling, batch, 3), strict=True):
        assert words == pytest.approx(wanted if ask == "ids" else without_halves(wanted, telling), abs=1e-4)


def test_a_beginning_of_text_that_the_service_adds_is_passed_over(tmp_path):
    model = pretrained(tmp_path / "teacher" / "model", "llama3")
    artifact(model, kind="model")
    rows = [conversation("Write the function", "def add(left, right):", id="talk")]
    windows = Windows.open(tiny_tokens(tmp_path / "rows", model, rows=rows, length=64))
    telling = Telling(model)

    def adding(body):
        return telling({**body, "prompt": "<|begin_of_text|>" + body["prompt"]})

    with MockOpenAI(adding) as mock:
        signal = opened(tmp_path, windows, mock.url, tmp_path, ask="text")
        read(signal, TokenBatch.of(windows.batch([0]), device=CPU))
        signal.close()
    assert signal.summary().metrics["teacher_tokens_matched"].value == 1


def test_a_document_cut_within_a_character_is_asked_from_the_next_one(folder, telling, tmp_path):
    rows = [Row(id="faces", text="".join(f"{number}😀" for number in range(20)))]
    windows = Windows.open(tiny_tokens(tmp_path / "rows", folder / "teacher" / "model", rows=rows, length=13))
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)
    with MockOpenAI(telling) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, ask="text")
        said = read(signal, batch)
        signal.close()
    assert len(mock.requests) == len(windows)
    assert all("\ufffd" not in body["prompt"] for body in mock.requests)
    assert said.ids_NK.shape[0] == len(batch.supervised().labels_N)


def test_each_document_is_asked_once_up_to_its_last_supervised_token(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)
    with MockOpenAI(telling) as mock:
        for _ in range(2):
            signal = opened(folder, windows, mock.url, tmp_path)
            first, again = read(signal, batch), read(signal, batch)
            signal.close()
            assert torch.equal(first.log_NK, again.log_NK)
    assert len(mock.requests) == len(ROWS)
    asked = {tuple(body["prompt"]) for body in mock.requests}
    (talk,) = (ids for ids in asked if telling.tokenizer.decode(ids).startswith("<|im_start|>"))
    assert telling.tokenizer.decode(talk).endswith("é<|im_end|>")


def test_a_document_without_a_supervised_token_is_not_asked_for(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch([0]), device=CPU)
    empty = replace(batch, weights_BT=torch.zeros_like(batch.weights_BT))
    with MockOpenAI(telling) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, top_k=4)
        said = read(signal, empty)
        signal.close()
    assert (mock.requests, said.ids_NK.shape) == ([], (0, 4))


def test_text_that_the_student_wrote_is_asked_like_any_other(folder, windows, telling, tmp_path):
    batch = replace(TokenBatch.of(windows.batch([0]), device=CPU), windows=None)
    with MockOpenAI(telling) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, top_k=5)
        said = read(signal, batch)
        signal.close()
    for words, wanted in zip(words_of(said), expected(telling, batch, 5), strict=True):
        assert words == pytest.approx(wanted, abs=1e-5)


def test_as_many_documents_are_asked_at_once_as_the_context_allows(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)
    with MockOpenAI(lambda body: replace(telling(body), seconds=0.1)) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, at_once=3)
        read(signal, batch)
        signal.close()
    assert mock.most_open == 3


def test_a_teacher_that_cuts_texts_otherwise_is_refused_with_examples(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)

    def letters(body):
        text = body["prompt"]
        told = {"tokens": list(text), "token_logprobs": [None, *[-1.0] * (len(text) - 1)]}
        return Tells({"logprobs": {**told, "top_logprobs": [None, *[{"a": -0.5}] * (len(text) - 1)]}})

    with MockOpenAI(letters) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, ask="text")
        with pytest.raises(UserError, match="does not cut texts into the student's tokens.*such as '"):
            read(signal, batch)
        signal.close()


def test_a_teacher_whose_ids_are_other_tokens_is_refused_by_their_texts(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)

    def other(body):
        choice = telling.by_ids(body)
        for place in choice["prompt_logprobs"][1:]:
            for word in place.values():
                word["decoded_token"] = "zzz"
        return Tells(choice)

    with MockOpenAI(other) as mock:
        signal = opened(folder, windows, mock.url, tmp_path)
        with pytest.raises(UserError, match="which it calls 'zzz'"):
            read(signal, batch)
        signal.close()


def test_a_teacher_that_writes_no_token_out_is_refused(folder, windows, telling, tmp_path):
    """Its ids are those of another vocabulary, and nothing it says would tell."""
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)

    def silent(body):
        choice = telling.by_ids(body)
        for place in choice["prompt_logprobs"][1:]:
            for word in place.values():
                word["decoded_token"] = None
        return Tells(choice)

    with MockOpenAI(silent) as mock:
        signal = opened(folder, windows, mock.url, tmp_path)
        with pytest.raises(UserError, match="names tokens by their ids alone: 0 of .* came with their text"):
            read(signal, batch)
        signal.close()
    metrics = signal.summary().metrics
    assert metrics["teacher_tokens_unverified"].value == 1
    assert "teacher_tokens_matched" not in metrics


def test_words_that_are_all_impossible_have_no_share(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch([0]), device=CPU)

    def impossible(body):
        choice = telling.by_ids(body)
        for place in choice["prompt_logprobs"][1:]:
            for word in place.values():
                word["logprob"] = -900.0
        return Tells(choice)

    with MockOpenAI(impossible) as mock:
        signal = opened(folder, windows, mock.url, tmp_path)
        read(signal, batch)
        signal.close()
    assert "teacher_mass_matched" not in signal.summary().metrics


def test_probabilities_beyond_1_are_refused(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch([0]), device=CPU)

    def certain(body):
        choice = telling.by_ids(body)
        for place in choice["prompt_logprobs"][1:]:
            for word in place.values():
                word["logprob"] = -0.1
        return Tells(choice)

    with MockOpenAI(certain) as mock:
        signal = opened(folder, windows, mock.url, tmp_path)
        with pytest.raises(UserError, match="more than 1"):
            read(signal, batch)
        signal.close()


def test_more_words_than_the_vocabulary_has_leave_nothing_to_the_tail(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch([0]), device=CPU)
    with MockOpenAI(telling) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, top_k=1000)
        said = read(signal, batch)
        signal.close()
    assert said.ids_NK.shape[1] == windows.vocab_size
    assert (said.log_tail_N[1.0] == -math.inf).all()


def test_a_part_of_the_tokens_can_be_chosen_and_hidden_states_there_are_none(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch([0]), device=CPU)
    with MockOpenAI(telling) as mock:
        signal = opened(folder, windows, mock.url, tmp_path)
        said = signal.read(batch, batch.supervised())
        signal.close()
    some = said.select(torch.tensor([3, 1])).chunk(slice(None), None)
    assert torch.equal(some.ids_NK, said.chunk(slice(None), None).ids_NK[[3, 1]])
    with pytest.raises(UserError, match="no hidden states"):
        said.hidden(-1)


def test_our_own_server_is_a_teacher_like_any_other(folder, windows, telling, tmp_path):
    import demiurgic.serve.served  # noqa: F401  registers the provider of its name

    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)
    said = []
    for name in ("served", "transformers"):
        provider = {"use": name, "model": str(folder / "teacher" / "model")}
        signal = opened(folder, windows, "", tmp_path / name, provider=provider, top_k=5)
        said.append(read(signal, batch))
        signal.close()
    over_http, without = said
    assert torch.equal(over_http.ids_NK, without.ids_NK)
    assert torch.equal(over_http.log_NK, without.log_NK)
    for words, wanted in zip(words_of(without), expected(telling, batch, 5), strict=True):
        assert words == pytest.approx(wanted, abs=1e-5)


def test_a_provider_without_log_probabilities_is_refused_when_the_config_is_read():
    with pytest.raises(ValueError, match="scripted is an endpoint without log-probabilities.*openai"):
        Served.model_validate({"provider": "scripted"})


def test_a_tokenizer_that_did_not_make_the_tokens_is_refused(folder, windows, tmp_path):
    other = pretrained(tmp_path / "other", "qwen2")
    with pytest.raises(UserError, match="made with another tokenizer"):
        opened(folder, windows, "http://127.0.0.1:1", tmp_path, model=other)


def test_a_service_that_fails_stops_the_reading_and_what_was_told_is_kept(folder, windows, telling, tmp_path):
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)
    with MockOpenAI(lambda body: Fails(401, "no") if len(mock.requests) > 2 else telling(body)) as mock:
        signal = opened(folder, windows, mock.url, tmp_path, at_once=1)
        with pytest.raises(UserError, match="refuses the key"):
            read(signal, batch)
        signal.close()
        mock.script, num_before = telling, len(mock.requests)
        signal = opened(folder, windows, mock.url, tmp_path, at_once=1)
        read(signal, batch)
        signal.close()
    assert len(mock.requests) == num_before + len(ROWS) - 2
