"""Questions about a function: what is asked, what is answered, and that the two make the whole."""

import textwrap

from demiurgic.collect.python_questions import PythonFile, ask
from demiurgic.collect.sources import BadRow
from demiurgic.core.records import Row
from demiurgic.verify.python_syntax import parses

CLAMP = '''\
def clamp(value, low, high):
    """Put a value between two bounds."""

    if value < low:
        return low
    return min(value, high)
'''


def asked(text: str, **options) -> list[Row]:
    rows = list(ask(PythonFile("tools/numbers.py", text, source="mine", license="MIT"), min_characters=1, **options))
    assert all(isinstance(row, Row) for row in rows)
    return rows


def one(text: str, kind: str) -> Row:
    (row,) = asked(text, kinds=[kind])
    return row


def test_write_asks_with_header_and_docstring_for_the_body():
    row = one(CLAMP, "write")
    assert row.messages[0].content == (
        "Write the body of this Python function:\n"
        'def clamp(value, low, high):\n    """Put a value between two bounds."""\n\n'
    )
    assert row.answer() == "    if value < low:\n        return low\n    return min(value, high)"


def test_complete_cuts_at_a_line_of_the_body_after_its_first():
    row = one(CLAMP, "complete")
    assert row.messages[0].content.startswith("Complete this Python function:\ndef clamp(value, low, high):\n")
    assert row.answer() in ("        return low\n    return min(value, high)", "    return min(value, high)")


def test_explain_asks_with_the_code_for_its_docstring():
    row = one(CLAMP, "explain")
    assert row.messages[0].content == (
        "Explain this Python function:\n"
        "def clamp(value, low, high):\n    if value < low:\n        return low\n    return min(value, high)"
    )
    assert row.answer() == "Put a value between two bounds."


def test_prefix_and_answer_are_the_whole_definition():
    for kind in ("write", "complete"):
        row = one(CLAMP, kind)
        assert row.facts["prefix"] + row.answer() + "\n" == CLAMP


def test_a_method_is_asked_about_as_if_it_stood_alone():
    row = asked("class A:\n    x = 1\n\n" + textwrap.indent(CLAMP, "    "), kinds=["write"])[0]
    assert row.facts["name"] == "A.clamp"
    assert parses(row.facts["prefix"] + row.answer())


def test_a_class_is_called_a_class():
    row = one('class A:\n    """One."""\n    x = 1\n', "write")
    assert row.messages[0].content.startswith("Write the body of this Python class:\n")


def test_a_row_says_where_it_is_from():
    row = one(CLAMP, "explain")
    assert (row.id, row.source, row.license, row.domain) == ("mine:tools/numbers.py:1:explain", "mine", "MIT", "code")
    assert row.facts == {
        "module": "tools.numbers",
        "file": "tools/numbers.py",
        "line": 1,
        "name": "clamp",
        "kind": "explain",
    }


def test_the_file_init_is_its_package():
    assert PythonFile("json/__init__.py", "", source="", license="").module == "json"


def test_without_a_docstring_only_completing_is_asked():
    assert [row.facts["kind"] for row in asked("def f():\n    return 1\n")] == ["complete"]


def test_without_code_nothing_is_asked():
    assert asked('def f():\n    """One."""\n') == []


def test_copies_of_a_function_are_cut_alike():
    here, there = asked(CLAMP + "\n\n" + CLAMP, kinds=["complete"])
    assert here.content_hash == there.content_hash


def test_definitions_out_of_bounds_are_not_asked_about():
    assert asked(CLAMP, max_characters=len(CLAMP) - 2) == []
    assert len(asked(CLAMP, max_characters=len(CLAMP) - 1)) == 3


def test_a_file_that_is_not_python_is_one_bad_row_with_its_line():
    file = PythonFile("old.py", "x = 1\nprint 'hi'\n", source="mine", license="MIT")
    (bad,) = ask(file)
    assert isinstance(bad, BadRow)
    assert (bad.file, bad.position, bad.raw) == ("old.py", 2, "print 'hi'")
    assert bad.reason.startswith("not Python: Missing parentheses")
