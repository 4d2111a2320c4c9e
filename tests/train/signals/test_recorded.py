"""What a teacher told with its answers is laid to the tokens of those answers, wherever in the windows they stand."""

import math

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row
from demiurgic.models.tokenizer import dialect_of, encode_prompt, load_tokenizer
from demiurgic.models.windows import Windows
from demiurgic.providers.logprob_file import AnswerLogprobs, LogprobWriter, read_logprobs
from demiurgic.providers.scores import Place, Word
from demiurgic.train.batch import TokenBatch
from demiurgic.train.signals.recorded import RecordedTeacher, vocabulary_of
from pretrained import FAMILIES, pretrained
from telling_services import Telling
from tiny_models import conversation, tiny_model
from tiny_training import tiny_tokens

CPU = torch.device("cpu")
QUESTION = "Write the function"
ANSWER = "def add(left, right):\n    return é – 日 😀"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "model")


def spelled(model, text, how):
    """An answer's places as a service would give them, the likeliest word always the token itself and one other."""
    tokenizer = load_tokenizer(model)
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [Place(how(tokenizer, id, -0.5), (how(tokenizer, id, -0.5), how(tokenizer, 5, -2.0))) for id in ids]


def by_text(tokenizer, id, logprob):
    return Word(logprob, text=tokenizer.decode([id]))


def by_bytes(tokenizer, id, logprob):
    text = tokenizer.decode([id])
    data = None if "\ufffd" in text else text.encode()
    return Word(logprob, text=text, data=data)


def in_alphabet(tokenizer, id, logprob):
    return Word(logprob, text=tokenizer.convert_ids_to_tokens(id))


def recorded(tmp_path, model, answers, rows, *, length=96, matched=0.99, loss_on="answers"):
    """A teacher of `answers` (row, text, places) over windows of rows."""
    with LogprobWriter(tmp_path / "logprobs") as writer:
        for answer in answers:
            writer.write(*answer)
    windows = Windows.open(tiny_tokens(tmp_path / "rows", model, rows=rows, length=length, loss_on=loss_on))
    return RecordedTeacher(windows, tmp_path / "logprobs", vocabulary_of(model, windows), matched=matched), windows


def said_of(teacher, windows):
    """By supervised token: its label, and the words that were told of it."""
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=CPU)
    tokens = batch.supervised()
    said = teacher.read(batch, tokens).chunk(slice(None), None)
    rows = zip(said.ids_NK.tolist(), said.log_NK.tolist(), strict=True)
    words = [{id: log for id, log in zip(ids, logs, strict=True) if log > -math.inf} for ids, logs in rows]
    return list(zip(tokens.labels_N.tolist(), words, said.log_tail_N[1.0].tolist(), strict=True))


def test_log_probabilities_are_written_down_and_read_again_as_they_were(tmp_path):
    places = (
        Place(Word(-0.5, 3, " the", b" the"), (Word(-0.25, text="é"), Word(-1.5, data=b"\xf0"))),
        Place(Word(-2.0, 7), ()),
    )
    with LogprobWriter(tmp_path) as writer:
        for number in range(600):
            writer.write(f"row:{number}", "the answer", places)
    found = list(read_logprobs(tmp_path))
    assert found[0] == AnswerLogprobs("row:0", "the answer", places)
    assert [answer.row for answer in found] == [f"row:{number}" for number in range(600)]


def test_a_folder_without_log_probabilities_is_refused(tmp_path):
    with pytest.raises(UserError, match="top_logprobs"):
        list(read_logprobs(tmp_path))
    (tmp_path / "logprobs.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match="cannot be read"):
        list(read_logprobs(tmp_path))


@pytest.mark.parametrize("length", [96, 7])
@pytest.mark.parametrize("how", [by_text, by_bytes, in_alphabet])
def test_words_stand_at_their_tokens_also_where_a_row_is_cut(model, how, length, tmp_path):
    rows = [conversation(QUESTION, ANSWER, id="a"), conversation(QUESTION, "for index in range", id="b")]
    answers = [(row.id, row.messages[1].content, spelled(model, row.messages[1].content, how)) for row in rows]
    teacher, windows = recorded(tmp_path, model, answers, rows, length=length)
    end = load_tokenizer(model).convert_tokens_to_ids("<|im_end|>")
    halves = [id for id, data in enumerate(teacher._vocabulary.words) if "\ufffd" in data.decode(errors="replace")]
    for label, words, tail in said_of(teacher, windows):
        if label == end:
            assert (words, tail) == ({}, 0.0)  # nobody told of the end of turn
        elif label in halves and how is not in_alphabet:
            assert label not in words
        elif label != 5:
            assert words[label] == pytest.approx(-0.5)
            assert math.exp(tail) == pytest.approx(1 - sum(map(math.exp, words.values())), abs=1e-6)
    assert teacher.summary().metrics["teacher_tokens_matched"].value == 1
    assert teacher.summary().metrics["teacher_rows_matched"].value == 2


def test_an_end_of_turn_that_was_told_is_laid_to_it(model, tmp_path):
    end = load_tokenizer(model).convert_tokens_to_ids("<|im_end|>")
    told = Word(-0.125, text="<|im_end|>", data=b"<|im_end|>")
    answers = [("a", "def add(", [*spelled(model, "def add(", by_text), Place(told, (told,))])]
    teacher, windows = recorded(tmp_path, model, answers, [conversation(QUESTION, "def add(", id="a")])
    assert said_of(teacher, windows)[-1][:2] == (end, {end: pytest.approx(-0.125)})


def test_an_answer_that_says_the_question_again_is_the_last_of_the_two(model, tmp_path):
    row = Row(id="a", messages=(Message("user", "def add("), Message("assistant", "def add(")))
    teacher, windows = recorded(tmp_path, model, [("a", "def add(", spelled(model, "def add(", by_text))], [row])
    *answer, _ = said_of(teacher, windows)
    assert all(words for _, words, _ in answer)


@pytest.mark.parametrize("loss_on", ["answers", "everything"])
@pytest.mark.parametrize("question", ["def add(", "say def add( again"])
def test_the_words_of_an_answer_that_was_replaced_are_not_laid_to_the_question(model, question, loss_on, tmp_path):
    row = Row(id="a", messages=(Message("user", question), Message("assistant", "something else")))
    answers = [("a", "def add(", spelled(model, "def add(", by_text))]
    with pytest.raises(UserError, match="0 of the 1 rows"):
        recorded(tmp_path, model, answers, [row], loss_on=loss_on)


@pytest.mark.parametrize("loss_on", ["answers", "everything"])
def test_an_answer_is_found_whatever_else_is_learned(model, loss_on, tmp_path):
    answers = [("a", "def add(", spelled(model, "def add(", by_text))]
    teacher, _ = recorded(tmp_path, model, answers, [conversation(QUESTION, "def add(", id="a")], loss_on=loss_on)
    assert teacher.num_found == 1


def test_an_answer_that_is_not_learned_is_not_found(model, tmp_path):
    messages = (Message("user", "x"), Message("assistant", "one"), Message("user", "def add("))
    rows = [Row(id="a", messages=messages)]
    with pytest.raises(UserError, match="0 of the 1 rows"):
        recorded(tmp_path, model, [("a", "def add(", spelled(model, "def add(", by_text))], rows)


def test_a_row_that_stands_twice_is_taught_twice(model, tmp_path):
    rows = [conversation(QUESTION, "def add(", id="a"), conversation(QUESTION, "for", id="b")]
    answers = [(row.id, row.messages[1].content, spelled(model, row.messages[1].content, by_text)) for row in rows]
    teacher, windows = recorded(tmp_path, model, answers, [*rows, rows[0], rows[0]])
    assert (teacher.num_rows, teacher.num_found) == (4, 4)
    end = load_tokenizer(model).convert_tokens_to_ids("<|im_end|>")
    assert all(words for label, words, _ in said_of(teacher, windows) if label != end)


def test_an_answer_like_a_piece_of_a_special_token_is_found_before_it(model, tmp_path):
    teacher, windows = recorded(
        tmp_path, model, [("a", "im", spelled(model, "im", by_text))], [conversation(QUESTION, "im", id="a")]
    )
    *answer, end = said_of(teacher, windows)
    assert answer
    assert all(words for _, words, _ in answer)
    assert end[1] == {}


def test_white_space_that_the_template_takes_off_does_not_shift_the_words(tmp_path):
    model = pretrained(tmp_path / "model", "llama3")
    text = "\n  def add(left)\n"
    teacher, windows = recorded(
        tmp_path,
        model,
        [("a", text, spelled(model, text, by_text))],
        [conversation(QUESTION, text, id="a")],
        matched=0.5,
    )
    told = [words for _, words, _ in said_of(teacher, windows) if words]
    assert len(told) >= 3
    assert all(label in words for label, words, _ in said_of(teacher, windows) if words)


def test_rows_without_their_answer_are_counted_and_too_many_are_refused(model, tmp_path):
    rows = [conversation(QUESTION, text, id=id) for id, text in (("a", "def add("), ("b", "other words"), ("c", "for"))]
    answers = [("a", "def add(", spelled(model, "def add(", by_text)), ("b", "for", spelled(model, "for", by_text))]
    with pytest.raises(UserError, match="1 of the 3 rows"):
        recorded(tmp_path / "one", model, answers, rows)
    teacher, _ = recorded(tmp_path / "two", model, answers, rows, matched=0.3)
    assert (teacher.num_rows, teacher.num_found) == (3, 1)


def test_answers_cut_into_other_tokens_are_refused(model, tmp_path):
    row = conversation(QUESTION, ANSWER * 8, id="a")
    letters = [Place(Word(-0.5, text=letter), (Word(-0.5, text=letter),)) for letter in ANSWER * 8]
    with pytest.raises(UserError, match="does not cut texts into the student's tokens"):
        recorded(tmp_path, model, [("a", ANSWER * 8, letters)], [row], length=250)


def test_answers_without_likeliest_words_are_refused(model, tmp_path):
    places = [Place(place.word, ()) for place in spelled(model, "def add(", by_text)]
    with pytest.raises(UserError, match="names no likeliest words"):
        recorded(tmp_path, model, [("a", "def add(", places)], [conversation(QUESTION, "def add(", id="a")])


def test_of_text_that_the_student_wrote_nothing_was_recorded(model, tmp_path):
    teacher, windows = recorded(
        tmp_path, model, [("a", "def", spelled(model, "def", by_text))], [conversation(QUESTION, "def", id="a")]
    )
    batch = TokenBatch.of(windows.batch([0]), device=CPU)
    own = TokenBatch(batch.ids_BT, batch.weights_BT, batch.documents_BT)
    with pytest.raises(UserError, match="what the student writes"):
        teacher.read(own, own.supervised())


@pytest.mark.parametrize("family", ["own", *FAMILIES])
def test_what_a_model_told_with_its_answer_is_laid_to_the_answer_in_its_template(family, tmp_path, model):
    folder = model if family == "own" else pretrained(tmp_path / "model", family)
    telling, text = Telling(folder), "def add(left, right):\n    return left + right"
    tokenizer = telling.tokenizer
    asked = [Message("user", QUESTION)]
    prompt = encode_prompt(asked, tokenizer, dialect=dialect_of(tokenizer))
    answer = tokenizer(text, add_special_tokens=False)["input_ids"]
    told = []
    for number, id in enumerate(answer):
        log_V = telling.log_TV([*prompt, *answer[:number]])[-1]
        top = log_V.topk(4)
        words = [Word(log, likely) for log, likely in zip(top.values.tolist(), top.indices.tolist(), strict=True)]
        told.append(Place(Word(log_V[id].item(), id), tuple(words)))
    teacher, windows = recorded(
        tmp_path, folder, [("a", text, told)], [conversation(QUESTION, text, id="a")], length=128
    )
    laid = [(label, words) for label, words, _ in said_of(teacher, windows) if words]
    assert [label for label, _ in laid] == answer
    for (_, words), place in zip(laid, told, strict=True):
        assert words == pytest.approx({word.id: word.logprob for word in place.top}, abs=1e-6)
