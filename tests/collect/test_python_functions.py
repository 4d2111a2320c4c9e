"""Every definition of a source with its exact text."""

import textwrap

import pytest

from demiurgic.collect.python_functions import Definition, definitions


def source(text: str) -> str:
    return textwrap.dedent(text).strip("\n") + "\n"


def only(text: str) -> Definition:
    (definition,) = definitions(source(text))
    return definition


MODULE = source('''
    import os

    class Loop:
        """Runs things."""

        @property
        def running(self):
            """Whether it runs."""
            # Set by run().

            return self._running

        async def run(self):
            def done(task):
                self._running = False
            return done

    if os.name == "nt":
        def wait(): pass
''')


def test_functions_methods_and_classes_are_found_in_order_with_qualified_names_and_lines():
    found = [(definition.name, definition.line) for definition in definitions(MODULE)]
    assert found == [("Loop", 3), ("Loop.running", 7), ("Loop.run", 13), ("Loop.run.<locals>.done", 14), ("wait", 19)]


def test_a_method_loses_its_own_indentation_and_keeps_its_decorators():
    running = list(definitions(MODULE))[1]
    assert running.source == source('''
        @property
        def running(self):
            """Whether it runs."""
            # Set by run().

            return self._running
    ''').rstrip("\n")


def test_the_body_begins_with_the_comment_after_the_docstring():
    running = list(definitions(MODULE))[1]
    assert running.lines[running.body] == "    # Set by run()."


def test_blank_lines_after_the_docstring_are_not_part_of_the_body():
    loop = next(definitions(MODULE))
    assert loop.lines[loop.body] == "    @property"


def test_a_definition_without_docstring_has_a_body_and_no_explanation():
    definition = only("""
        def f(
            x,
        ):
            return x
    """)
    assert (definition.docstring, definition.body, definition.explanation) == (None, 3, "")


def test_a_docstring_of_several_lines_is_explained_without_its_indentation():
    definition = only('''
        def f():
            """One.

            Two.
                Three.
            """  # said
            return 1
    ''')
    assert (definition.docstring, definition.explanation) == ((1, 6), "One.\n\nTwo.\n    Three.")


@pytest.mark.parametrize(
    "text",
    [
        "def f(): return 1",
        'def f(): "One."',
        'def f():\n    "One."',
        'def f():\n    "One."; return 1',
        'def f(): "One."; return 1',
    ],
)
def test_code_that_does_not_begin_a_line_of_its_own_is_no_body(text):
    assert only(text).body is None


def test_text_in_a_string_may_stand_further_left_than_the_function():
    definition = list(
        definitions(
            source('''
        class A:
            def f(self):
                return """
        left
        """
    ''')
        )
    )[1]
    assert definition.source == 'def f(self):\n    return """\nleft\n"""'


def test_a_form_feed_ends_no_line():
    assert [d.source for d in definitions("\x0c\ndef f():\n    '\x0c'\n    return 1\n")] == [
        "def f():\n    '\x0c'\n    return 1"
    ]


def test_a_docstring_that_no_file_could_hold_explains_nothing():
    assert only('def f():\n    "\\ud800"\n    return 1').explanation == ""


def test_a_thousand_branches_deep_is_not_too_deep():
    chain = (
        "if x == 0:\n    pass\n"
        + "".join(f"elif x == {n}:\n    pass\n" for n in range(900))
        + "else:\n    def f(): pass\n"
    )
    assert [definition.name for definition in definitions(chain)] == ["f"]


def test_what_is_not_python_is_a_syntax_error():
    with pytest.raises(SyntaxError):
        list(definitions("def f(:"))
