"""How ids become text as they come, and where an answer is cut by stop texts."""

from hypothesis import given
from hypothesis import strategies as st

from demiurgic.models.tokenizer import load_tokenizer
from demiurgic.providers.stop_texts import StopTexts
from demiurgic.providers.transformers import _Words
from tiny_models import tiny_tokenizer


def test_a_character_of_several_tokens_comes_whole(tmp_path):
    tokenizer = load_tokenizer(tiny_tokenizer(tmp_path / "words"))
    text = "aé漢🙂b"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    words = _Words(tokenizer.decode)
    pieces = [words.feed(id) for id in ids]
    assert len(ids) > len(text)
    assert [piece for piece in pieces if piece] == list(text)
    assert words.flush() == ""


def test_bytes_that_never_became_a_character_are_no_text(tmp_path):
    tokenizer = load_tokenizer(tiny_tokenizer(tmp_path / "words"))
    ids = tokenizer("ok🙂", add_special_tokens=False)["input_ids"]
    words = _Words(tokenizer.decode)
    assert "".join(words.feed(id) for id in ids[:-1]) + words.flush() == "ok"


@given(
    pieces=st.lists(st.text(alphabet="ab<", max_size=4), max_size=12),
    stop=st.lists(st.text(alphabet="ab<", min_size=1, max_size=4), max_size=3),
)
def test_a_stream_is_cut_where_its_whole_text_would_be(pieces: list[str], stop: list[str]):
    stops = StopTexts(stop)
    shown = ""
    for piece in pieces:
        shown += stops.feed(piece)
        if stops.met:
            break
    shown += stops.flush()
    whole = "".join(pieces)
    if stops.met:
        # Later pieces cannot bring an earlier end: cut as soon as one was whole.
        assert any(whole.startswith(shown + text) for text in stop)
    else:
        assert shown == whole
    assert not any(text in shown for text in stop)
