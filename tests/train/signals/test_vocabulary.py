"""Words of services as the student's ids: by bytes, by text, by name; a word that is not sure is none."""

import pytest

from demiurgic.models.tokenizer import load_tokenizer
from demiurgic.providers.scores import Place, Word
from demiurgic.train.signals.vocabulary import Vocabulary, holds_text, spelling_of
from pretrained import FAMILIES, pretrained, write_tokenizer
from tiny_models import tiny_tokenizer

TEXTS = ["def add(left):\n    return é – 日😀", "\t\tx = 'naïve'  # 1234", " the", "\n\n"]


@pytest.fixture(scope="module", params=["own", *FAMILIES])
def tokenizer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "words"
    if request.param == "own":
        tiny_tokenizer(folder)
    else:
        write_tokenizer(folder, request.param)
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return Vocabulary.of(tokenizer, size=len(tokenizer))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    tokenizer = load_tokenizer(tiny_tokenizer(tmp_path_factory.mktemp("own") / "words"))
    return tokenizer, Vocabulary.of(tokenizer, size=len(tokenizer))


def word(text=None, *, id=None, data=None):
    return Word(-1.0, id, text, data)


def test_every_token_is_known_by_its_bytes(tokenizer, vocabulary):
    for id in range(len(tokenizer)):
        assert vocabulary.id_of(word(data=vocabulary.words[id]), spelling="plain") == id


def test_the_bytes_of_the_tokens_of_a_text_are_the_text(tokenizer, vocabulary):
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert b"".join(vocabulary.words[id] for id in ids).decode() == text


def test_every_whole_token_is_known_by_the_text_it_is_decoded_to_and_by_its_name_in_the_vocabulary(
    tokenizer, vocabulary
):
    for id in range(len(tokenizer)):
        text = tokenizer.decode([id], clean_up_tokenization_spaces=False)
        found = vocabulary.id_of(word(text), spelling="plain")
        assert found == (None if "\ufffd" in text else id)
        assert vocabulary.id_of(word(tokenizer.convert_ids_to_tokens(id)), spelling="alphabet") == id


def test_special_tokens_are_known_by_name(own):
    tokenizer, vocabulary = own
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    for spelling in ("plain", "alphabet"):
        assert vocabulary.id_of(word("<|im_end|>"), spelling=spelling) == end
    assert vocabulary.id_of(word("<|im_end|>", data=b"<|im_end|>"), spelling="plain") == end


def test_half_a_character_is_known_by_its_bytes_and_not_by_the_sign_for_what_is_lost(own):
    _, vocabulary = own
    half = next(id for id, data in enumerate(vocabulary.words) if data == b"\xf0")
    assert vocabulary.id_of(word("\\xf0", data=b"\xf0"), spelling="plain") == half
    assert vocabulary.id_of(word("bytes:\\xf0"), spelling="plain") == half
    assert vocabulary.id_of(word("\ufffd", data=b"\xf0"), spelling="plain") == half
    assert vocabulary.id_of(word("\ufffd"), spelling="plain") is None
    assert vocabulary.id_of(word("\ufffd", data="\ufffd".encode()), spelling="plain") is None


def test_an_id_is_taken_unless_its_text_is_another(own):
    tokenizer, vocabulary = own
    (id,) = tokenizer(" return", add_special_tokens=False)["input_ids"][-1:]
    text = tokenizer.decode([id])
    assert vocabulary.id_of(word(id=id), spelling="plain") == id
    assert vocabulary.id_of(word(text, id=id), spelling="plain") == id
    assert vocabulary.id_of(word(text.strip(), id=id), spelling="plain") == id  # decoders may clean up spaces
    assert vocabulary.id_of(word("other", id=id), spelling="plain") is None
    assert vocabulary.id_of(word(id=id, data=b"other"), spelling="plain") is None


def test_an_id_without_a_text_is_neither_the_same_nor_another_token(own):
    tokenizer, vocabulary = own
    (id,) = tokenizer(" return", add_special_tokens=False)["input_ids"][-1:]
    text = tokenizer.decode([id])
    assert vocabulary.verdict(word(id=id)) == vocabulary.verdict(word("", id=id)) == "unknown"
    assert vocabulary.verdict(word("\ufffd", id=id)) == "unknown"
    assert vocabulary.verdict(word(text, id=id)) == vocabulary.verdict(word(id=id, data=text.encode())) == "same"
    assert vocabulary.verdict(word("other", id=id)) == "other"
    assert vocabulary.verdict(word(text, id=len(tokenizer))) == "other"


def test_text_is_told_from_special_tokens_and_white_space(own):
    tokenizer, vocabulary = own
    end = vocabulary.unit(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    assert not holds_text(end + b" \n" + end + "\u3000".encode())
    assert holds_text(end + b"x")
    assert holds_text(b"\xf0" + end)


def test_an_id_of_the_models_padding_is_no_token(own):
    tokenizer, vocabulary = own
    assert vocabulary.id_of(word(id=len(tokenizer)), spelling="plain") is None
    assert vocabulary.id_of(word(id=-1), spelling="plain") is None


def test_a_word_of_another_vocabulary_is_none(own):
    _, vocabulary = own
    assert vocabulary.id_of(word("entirely"), spelling="plain") is None
    assert vocabulary.id_of(word(""), spelling="plain") is None
    assert vocabulary.id_of(word(), spelling="plain") is None


def test_two_tokens_of_the_same_bytes_are_both_unsure():
    vocabulary = Vocabulary([b"a", b"b", b"a", None], special=[], size=4)
    assert vocabulary.id_of(word("a"), spelling="plain") is None
    assert vocabulary.id_of(word("b"), spelling="plain") == 1
    assert vocabulary.id_of(word(id=3), spelling="plain") is None


def test_a_special_token_is_no_piece_of_text_that_looks_like_it(own):
    tokenizer, vocabulary = own
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert vocabulary.unit(end) != b"<|im_end|>"
    assert vocabulary.unit_of(word("<|im_end|>"), spelling="plain") == vocabulary.unit(end)
    assert vocabulary.unit_of(word("entirely"), spelling="plain") == b"entirely"
    assert vocabulary.unit_of(word("\ufffd"), spelling="plain") is None


def test_how_a_service_spells_is_seen_from_all_its_words():
    def places(*texts):
        return [Place(word(text), ()) for text in texts]

    assert spelling_of(places("def", "Ġadd")) == "alphabet"
    assert spelling_of(places("def", " add", "Ġ")) == "plain"
    assert spelling_of(places("def", "(")) == "plain"
    assert spelling_of([Place(word(id=3), ())]) == "plain"


def test_a_family_of_the_hub_is_read_whole(tmp_path):
    folder = pretrained(tmp_path / "model", "llama3")
    tokenizer = load_tokenizer(folder)
    assert None not in Vocabulary.of(tokenizer, size=len(tokenizer)).words
