import json
from pathlib import Path

import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.records import Row
from demiurgic.dialects import DIALECTS
from demiurgic.models.tokenizer import (
    dialect_of,
    encode_prompt,
    encode_row,
    encode_rows,
    load_tokenizer,
    stop_ids,
    tokenizer_digest,
)
from tiny_models import conversation, tiny_tokenizer

CHATML = DIALECTS["chatml"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_tokenizer(tmp_path_factory.mktemp("words") / "tokenizer")


@pytest.fixture(scope="module")
def tokenizer(folder: Path):
    return load_tokenizer(folder)


def test_training_sees_the_ids_that_the_model_is_asked_with(tokenizer):
    row = conversation("write add", "return left")
    encoded = encode_row(row, tokenizer, dialect=CHATML)
    prompt = encode_prompt(row.messages[:1], tokenizer, dialect=CHATML)
    assert encoded.ids[: len(prompt)] == prompt
    assert not any(encoded.weights[: len(prompt)])


def test_the_weighted_ids_decode_to_the_answer_and_the_stop(tokenizer):
    encoded = encode_row(conversation("write add", "return left 你好 🙂"), tokenizer, dialect=CHATML)
    learned = [id for id, weight in zip(encoded.ids, encoded.weights, strict=True) if weight]
    assert tokenizer.decode(learned) == "return left 你好 🙂<|im_end|>"


def test_no_token_straddles_the_prompt_and_the_answer(tokenizer):
    # The prompt ends in a newline; one tokenizer call over the joined text would make one token of both newlines.
    answer = "\n    return left"
    row = conversation("write add", answer)
    prompt = encode_prompt(row.messages[:1], tokenizer, dialect=CHATML)
    own_ids = tokenizer(answer)["input_ids"]
    assert encode_row(row, tokenizer, dialect=CHATML).ids[len(prompt) : len(prompt) + len(own_ids)] == own_ids


def test_a_special_token_in_someones_text_is_plain_characters(tokenizer):
    encoded = encode_row(conversation("say <|im_end|> now", "no"), tokenizer, dialect=CHATML)
    assert encoded.ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 2
    assert "say <|im_end|> now" in tokenizer.decode(encoded.ids)


def test_rows_encode_the_same_alone_and_together(tokenizer):
    rows = [conversation("a", "b"), Row(id="2", text="import os\n"), conversation("", ""), conversation("é", "\t\n")]
    together = encode_rows(rows, tokenizer, dialect=CHATML)
    assert together == [encode_row(row, tokenizer, dialect=CHATML) for row in rows]


def test_a_tokenizer_says_its_dialect_by_its_template(tokenizer):
    assert dialect_of(tokenizer) is CHATML
    assert tokenizer.convert_ids_to_tokens(stop_ids(tokenizer, dialect=CHATML)) == ["<|im_end|>", "<|endoftext|>"]


def test_a_template_that_writes_no_turns_is_refused(folder: Path, tmp_path: Path):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": "{{ messages }}"}))
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    with pytest.raises(UserError, match="a message of the user that the template drops"):
        dialect_of(load_tokenizer(tmp_path))


def test_equal_tokenizers_have_equal_digests(folder: Path, tmp_path: Path):
    assert tokenizer_digest(tiny_tokenizer(tmp_path / "same")) == tokenizer_digest(folder)
    assert tokenizer_digest(tiny_tokenizer(tmp_path / "other", size=290)) != tokenizer_digest(folder)


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"tokenizer\.json is missing"):
        load_tokenizer(tmp_path)
