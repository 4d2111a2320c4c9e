"""Chat templates of other people, taken apart into spans. The tokenizers are tiny, the templates as on the hub."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row, ToolCall
from demiurgic.models.tokenizer import dialect_of, encode_prompt, encode_row, encode_rows, load_tokenizer, stop_ids
from pretrained import FAMILIES, TEMPLATES, Family, write_tokenizer
from tiny_models import conversation

QUESTIONS = ("What is 1 + 1?", "And twice that?", "Thanks")
ANSWERS = ("It is 2.", "    return 4\n", "你好 🙂 é")
TWO_TURNS = (
    Message("user", "1 + 1?"),
    Message("assistant", "2", weight=0.5),
    Message("user", "twice?"),
    Message("assistant", "4"),
)
BLANKS = st.text(alphabet=" \t", max_size=3)
WORDS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co")), max_size=20)
CONTENTS = st.builds(lambda before, words, after: before + words + after, BLANKS, WORDS, BLANKS)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("tokenizers")
    for family in FAMILIES:
        write_tokenizer(folder / family, family)
    return {family: load_tokenizer(folder / family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def tokenizer(request: pytest.FixtureRequest, tokenizers):
    return tokenizers[request.param]


def with_template(folder: Path, template: str, family: Family = "qwen2"):
    write_tokenizer(folder, family)
    (folder / "chat_template.jinja").write_text(template)
    return load_tokenizer(folder)


def turns(contents) -> list[Message]:
    return [Message("assistant" if n % 2 else "user", content) for n, content in enumerate(contents)]


def by_template(tokenizer, messages, *, tokenize: bool = False, asking: bool = False):
    plain = [{"role": message.role, "content": message.content} for message in messages]
    return tokenizer.apply_chat_template(
        plain, tokenize=tokenize, add_generation_prompt=asking, **({"return_dict": False} if tokenize else {})
    )


def learned(spans) -> list[tuple[str, float]]:
    return [(span.text, span.weight) for span in spans if span.weight]


@pytest.mark.parametrize("num_turns", [1, 2, 3])
@pytest.mark.parametrize("blanks", [("", ""), ("  ", " \t"), ("", "\n\n")], ids=["plain", "blanks", "newlines after"])
def test_the_ids_of_the_spans_are_those_of_the_template(tokenizer, num_turns: int, blanks: tuple[str, str]):
    pairs = zip(QUESTIONS[:num_turns], ANSWERS[:num_turns], strict=True)
    messages = turns(f"{blanks[0]}{text}{blanks[1]}" for pair in pairs for text in pair)
    row = Row("row", tuple(messages))
    encoded = encode_row(row, tokenizer, dialect=dialect_of(tokenizer))
    assert encoded.ids == by_template(tokenizer, messages, tokenize=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_question_that_begins_with_newlines_is_tokenized_as_in_the_whole(tmp_path: Path, family: Family):
    write_tokenizer(tmp_path, family, size=420)
    tokenizer = load_tokenizer(tmp_path)
    assert "ĊĊ" in tokenizer.get_vocab()
    messages = turns(["\n\nimport", "os", "\n \n", "   path\n\n"])
    encoded = encode_row(Row("row", tuple(messages)), tokenizer, dialect=dialect_of(tokenizer))
    assert encoded.ids == by_template(tokenizer, messages, tokenize=True)


def test_an_answer_that_begins_with_newlines_keeps_the_tokens_it_is_asked_with(tmp_path: Path):
    write_tokenizer(tmp_path, "qwen2", size=420)
    tokenizer = load_tokenizer(tmp_path)
    dialect = dialect_of(tokenizer)
    prompt = encode_prompt([Message("user", "Hi")], tokenizer, dialect=dialect)
    row = Row("row", tuple(turns(["Hi", "\nHello"])))
    assert encode_row(row, tokenizer, dialect=dialect).ids[: len(prompt)] == prompt
    assert by_template(tokenizer, row.messages, tokenize=True)[: len(prompt)] != prompt


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=60, derandomize=True)
@given(contents=st.lists(CONTENTS, min_size=2, max_size=6).filter(lambda found: len(found) % 2 == 0))
def test_the_spans_joined_are_what_the_template_writes(tokenizers, family: Family, contents: list[str]):
    messages = turns(contents)
    spans = dialect_of(tokenizers[family]).render(messages)
    assert "".join(span.text for span in spans) == by_template(tokenizers[family], messages)


def test_the_prompt_is_the_template_up_to_the_answer(tokenizer):
    dialect = dialect_of(tokenizer)
    asked = TWO_TURNS[:3]
    assert encode_prompt(asked, tokenizer, dialect=dialect) == by_template(tokenizer, asked, tokenize=True, asking=True)


def test_training_sees_the_ids_that_the_model_is_asked_with(tokenizer):
    dialect = dialect_of(tokenizer)
    encoded = encode_row(conversation("write add", "return left"), tokenizer, dialect=dialect)
    prompt = encode_prompt([Message("user", "write add")], tokenizer, dialect=dialect)
    assert encoded.ids[: len(prompt)] == prompt
    assert not any(encoded.weights[: len(prompt)])
    assert all(
        encoded.weights[len(prompt) : encoded.ids.index(stop_ids(tokenizer, dialect=dialect)[0], len(prompt)) + 1]
    )


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("llama3", [("2", 0.5), ("<|eot_id|>", 0.5), ("4", 1.0), ("<|eot_id|>", 1.0)]),
        ("qwen2", [("2", 0.5), ("<|im_end|>", 0.5), ("4", 1.0), ("<|im_end|>", 1.0)]),
        ("mistral", [("2", 0.5), ("</s>", 0.5), ("4", 1.0), ("</s>", 1.0)]),
        # An empty think block stands between the generation prompt and the last answer: the model has to write it.
        (
            "qwen3",
            [("2", 0.5), ("<|im_end|>", 0.5), ("<think>\n\n</think>\n\n", 1.0), ("4", 1.0), ("<|im_end|>", 1.0)],
        ),
    ],
)
def test_the_model_learns_all_that_it_must_write_itself(tokenizers, family: Family, expected):
    assert learned(dialect_of(tokenizers[family]).render(TWO_TURNS)) == expected


def test_everything_can_be_learned_except_what_weighs_nothing(tokenizer):
    row = Row("row", (Message("user", "hello?"), Message("assistant", "wrong", weight=0.0)))
    spans = dialect_of(tokenizer).render(row, loss_on="everything")
    assert "hello?" in "".join(span.text for span in spans if span.weight == 1.0)
    assert "wrong" in [span.text for span in spans if span.weight == 0.0]


@pytest.mark.parametrize(
    ("family", "stops"),
    [
        ("llama3", ("<|eot_id|>",)),
        ("qwen2", ("<|im_end|>",)),
        ("qwen3", ("<|im_end|>",)),
        ("mistral", ("</s>",)),
    ],
)
def test_an_answer_ends_at_the_end_of_turn_or_of_text(tokenizers, family: Family, stops: tuple[str, ...]):
    assert dialect_of(tokenizers[family]).stop_tokens == stops


@pytest.mark.parametrize(
    ("family", "begin", "end"),
    [
        ("llama3", "<|begin_of_text|>", "<|eot_id|>"),
        ("qwen2", "", "<|im_end|>"),
        ("qwen3", "", "<|im_end|>"),
        ("mistral", "<s>", "</s>"),
    ],
)
def test_a_text_begins_as_the_tokenizer_begins_it_and_ends(tokenizers, family: Family, begin: str, end: str):
    tokenizer = tokenizers[family]
    encoded = encode_row(Row("row", text="once upon"), tokenizer, dialect=dialect_of(tokenizer))
    assert tokenizer.decode(encoded.ids) == f"{begin}once upon{end}"
    assert encoded.ids[:-1] == tokenizer("once upon")["input_ids"]


def test_a_special_token_in_someones_text_is_plain_characters(tokenizer):
    dialect = dialect_of(tokenizer)
    encoded = encode_row(conversation(f"say {dialect.end_of_turn} now", "no"), tokenizer, dialect=dialect)
    plain = encode_row(conversation("say it now", "no"), tokenizer, dialect=dialect)
    stop = stop_ids(tokenizer, dialect=dialect)[0]
    assert encoded.ids.count(stop) == plain.ids.count(stop)
    assert f"say {dialect.end_of_turn} now" in tokenizer.decode(encoded.ids)


def test_rows_encode_the_same_alone_and_together(tokenizer):
    dialect = dialect_of(tokenizer)
    rows = [conversation("a", "b"), Row("2", text="import os\n"), Row("3", TWO_TURNS), conversation("", "\t\n")]
    assert encode_rows(rows, tokenizer, dialect=dialect) == [encode_row(r, tokenizer, dialect=dialect) for r in rows]


SYSTEM, ASK, SAY = Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello")


@pytest.mark.parametrize(
    ("family", "messages", "lacking"),
    [
        ("mistral", (SYSTEM, ASK, SAY), "a message of the system that the template drops"),
        ("mistral", (SYSTEM, ASK, SAY, ASK), "messages that the template moves"),
        (
            "mistral",
            (ASK, ASK, SAY),
            "what the template refuses: roles must alternate user/assistant/user/assistant/...",
        ),
        (
            "qwen3",
            (ASK, Message("assistant", "<think>Hm</think>Hi")),
            "a message of the assistant that the template rewrites",
        ),
        ("llama3", (ASK, Message("assistant", "", (ToolCall("1", "add", "{}"),))), "a tool call"),
        ("qwen3", (ASK, Message("assistant", "Hi", reasoning="Be polite.")), "reasoning"),
    ],
)
def test_what_the_template_would_change_is_refused_with_a_reason(tokenizers, family: Family, messages, lacking: str):
    dialect = dialect_of(tokenizers[family])
    row = Row("row", messages)
    assert dialect.cannot_write(row) == lacking
    with pytest.raises(UserError, match="cannot write row row: it holds"):
        dialect.render(row)


def test_equal_tokenizers_have_equal_dialects(tokenizers, tmp_path: Path):
    write_tokenizer(tmp_path / "again", "llama3")
    names = {family: dialect_of(tokenizers[family]).name for family in FAMILIES}
    assert dialect_of(load_tokenizer(tmp_path / "again")).name == names["llama3"]
    assert len(set(names.values())) == len(FAMILIES)
    assert all(len(name) == len("template:") + 12 for name in names.values())


def test_another_template_is_another_dialect(tokenizers, tmp_path: Path):
    other = with_template(tmp_path, TEMPLATES["qwen2"].replace("You are a helpful assistant.", "You are Ada."))
    assert dialect_of(other).name != dialect_of(tokenizers["qwen2"]).name


def test_a_template_that_strips_only_one_role_is_met(tmp_path: Path):
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content | trim if m.role == 'user' else"
        " m.content) + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    dialect = dialect_of(with_template(tmp_path, template))
    spans = dialect.render([Message("user", " hi "), Message("assistant", " hello ")])
    assert [span.text for span in spans if not span.control] == ["user\nhi", " hello "]


def test_a_history_without_its_thoughts_can_be_read_and_not_learned(tmp_path: Path):
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}"
    )
    dialect = dialect_of(with_template(tmp_path, template))
    assert dialect.cannot_write(Row("row", TWO_TURNS)) == "an answer that does not begin as asked for"
    asked = "".join(span.text for span in dialect.render(TWO_TURNS[:3], generation_prompt=True))
    assert asked.endswith(
        "<|im_start|>assistant\n2<|im_end|><|im_start|>user\ntwice?<|im_end|><|im_start|>assistant\n<think>"
    )


def test_an_answer_that_ends_in_no_special_token_is_refused(tmp_path: Path):
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    with pytest.raises(UserError, match="an answer that ends in no special token"):
        dialect_of(with_template(tmp_path, template))


@pytest.mark.parametrize(
    ("dated", "written"),
    [
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        ('{% set date_string = strftime_now("%Y-%m-%d") %}{{ date_string }}', "2024-07-26"),
        ("{% if strftime_now is defined %}{{ strftime_now('%B %d, %Y') }}{% else %}?{% endif %}", "July 26, 2024"),
    ],
)
def test_a_template_that_asks_for_today_is_told_always_the_same_day(tmp_path: Path, dated: str, written: str):
    rendered = dialect_of(with_template(tmp_path, dated + TEMPLATES["qwen2"])).render([ASK])
    assert "".join(span.text for span in rendered).startswith(f"{written}<|im_start|>")


def test_a_template_that_computes_how_it_asks_for_today_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="fixed date"):
        dialect_of(with_template(tmp_path, "{% set f = '%d' %}{{ strftime_now(f) }}" + TEMPLATES["qwen2"]))


@pytest.mark.parametrize(
    ("mistake", "reason"),
    [
        ("message.content + 1", "TypeError"),
        ("message.content | int / 0", "ZeroDivisionError"),
        ("'%d' | format(message.content)", "TypeError"),
        ("strftime_now.what(1)", "fixed date"),
    ],
)
def test_a_mistake_in_a_template_is_the_templates(tmp_path: Path, mistake: str, reason: str):
    template = "{% for message in messages %}{{ " + mistake + " }}<|im_end|>{% endfor %}"
    with pytest.raises(UserError, match=reason):
        dialect_of(with_template(tmp_path, template))


def test_a_mistake_that_one_message_brings_out_drops_that_row(tmp_path: Path):
    fails_on_odd = "{% for m in messages if m.content == 'odd' %}{{ m.content + 1 }}{% endfor %}"
    dialect = dialect_of(with_template(tmp_path, fails_on_odd + TEMPLATES["qwen2"]))
    assert dialect.cannot_write(Row("row", (Message("user", "hi"), Message("assistant", "hello")))) is None
    why = dialect.cannot_write(Row("row", (Message("user", "odd"), Message("assistant", "hello"))))
    assert why == 'what the template fails on (TypeError: can only concatenate str (not "int") to str)'


def test_a_template_that_takes_a_date_is_given_always_the_same(tmp_path: Path):
    dated = (
        "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
        "{{ 'Today is ' + date_string + '\n' }}" + TEMPLATES["qwen2"]
    )
    assert dialect_of(with_template(tmp_path, dated)).render([ASK])[0].text.startswith("Today is 26 Jul 2024\n")


def test_of_several_templates_the_default_counts(tokenizers, tmp_path: Path):
    write_tokenizer(tmp_path, "qwen2")
    (tmp_path / "chat_template.jinja").unlink()
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    named = [{"name": "tool_use", "template": "{{ tools }}"}, {"name": "default", "template": TEMPLATES["qwen2"]}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": named}))
    assert dialect_of(load_tokenizer(tmp_path)).name == dialect_of(tokenizers["qwen2"]).name


def test_special_tokens_may_be_written_as_objects(tokenizers, tmp_path: Path):
    write_tokenizer(tmp_path, "mistral")
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for name in ("bos_token", "eos_token"):
        config[name] = {"__type": "AddedToken", "content": config[name], "lstrip": False, "special": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert dialect_of(load_tokenizer(tmp_path)).name == dialect_of(tokenizers["mistral"]).name


def test_without_a_template_there_are_texts_and_no_conversations(tmp_path: Path):
    write_tokenizer(tmp_path, "llama3")
    (tmp_path / "chat_template.jinja").unlink()
    tokenizer = load_tokenizer(tmp_path)
    dialect = dialect_of(tokenizer)
    text = encode_row(Row("row", text="once"), tokenizer, dialect=dialect)
    assert tokenizer.decode(text.ids) == "<|begin_of_text|>once<|eot_id|>"
    assert dialect.cannot_write(conversation("Hi", "Hello")) == "a conversation, and the tokenizer has no chat template"
    with pytest.raises(UserError, match="has no chat template"):
        dialect.render(conversation("Hi", "Hello"))


@pytest.mark.parametrize(
    ("part", "value", "found"),
    [
        (
            "pre_tokenizer",
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
            "Metaspace",
        ),
        ("normalizer", {"type": "Prepend", "prepend": "▁"}, "its normalizer is Prepend"),
        (
            "pre_tokenizer",
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "space",
        ),
        ("pre_tokenizer", None, "does not write bytes"),
    ],
)
def test_a_tokenizer_whose_pieces_depend_on_their_place_is_refused(tmp_path: Path, part: str, value, found: str):
    write_tokenizer(tmp_path, "mistral")
    words = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**words, part: value}))
    with pytest.raises(UserError, match=f"not a byte-level BPE: .*{found}"):
        dialect_of(load_tokenizer(tmp_path))


def test_a_tokenizer_that_falls_back_to_bytes_is_refused(tmp_path: Path):
    write_tokenizer(tmp_path, "mistral")
    words = json.loads((tmp_path / "tokenizer.json").read_text())
    words["model"]["byte_fallback"] = True
    (tmp_path / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(UserError, match="falls back to bytes"):
        dialect_of(load_tokenizer(tmp_path))


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_those_of_the_ecosystems_own_loader(tokenizers, tmp_path: Path, family: Family):
    from transformers import AutoTokenizer

    write_tokenizer(tmp_path, family)
    classes = {"llama3": "PreTrainedTokenizerFast", "mistral": "LlamaTokenizerFast"}
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config["tokenizer_class"] = classes.get(family, "Qwen2Tokenizer")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    model_type = {"llama3": "llama"}.get(family, family)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    theirs = AutoTokenizer.from_pretrained(str(tmp_path))
    for text in ("", "hello world", "  def add(a, b):\n\n    return 123456 é 你好 🙂", "\n\n x<|im_end|>[INST]</s>"):
        assert load_tokenizer(tmp_path)(text)["input_ids"] == theirs(text)["input_ids"]
