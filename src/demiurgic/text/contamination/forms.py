"""Which field of an evaluation set's records is the question: a table of the forms that are known, and no guess beyond.

Knows no files. The fields are those of the sets as their authors or the Hugging Face Hub give them out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from demiurgic.core.errors import UserError
from demiurgic.text.contamination.item import Item

Record: TypeAlias = Mapping[str, Any]
NAMES = ("task_id", "id", "ID", "question_id")
"""Fields that name a record; where there is none it is its position."""


@dataclass(frozen=True)
class Form:
    """`fields` tell a form from others; `question` are joined, `choices` are fields with answers to choose from."""

    of: str
    fields: frozenset[str]
    question: tuple[str, ...]
    choices: tuple[str, ...] = ()
    given: Callable[[Record], str] | None = None
    """Makes the question, where joining fields does not."""


def _prompt(record: Record) -> str:
    """All that is said before the last answer; what a text says, where it is one."""
    messages = record["messages"]
    if messages and messages[-1].get("role") == "assistant":
        messages = messages[:-1]
    return "\n".join(message.get("content") or "" for message in messages if message.get("role") != "system")


def _form(of: str, fields: str, question: str, choices: str = "") -> Form:
    return Form(of, frozenset(fields.split()), tuple(question.split()), tuple(choices.split()))


FORMS = (
    Form("conversations", frozenset({"messages"}), ("messages",), given=_prompt),
    _form("HumanEval", "task_id prompt entry_point", "prompt"),
    _form("MBPP", "text code test_list", "text"),
    _form("MBPP, sanitized", "prompt code test_list", "prompt"),
    _form("SVAMP", "Body sQuestion", "Body sQuestion"),
    _form("SVAMP, on the hub", "Body Question", "Body Question"),
    _form("AddSub, MultiArith, SingleEq", "sQuestion", "sQuestion"),
    _form("MAWPS", "original_text", "original_text"),
    _form("MMLU, as a table", "question A B C D", "question", "A B C D"),
    _form("MMLU, ARC", "question choices", "question", "choices"),
    _form("OpenBookQA", "question_stem choices", "question_stem", "choices"),
    _form("CommonsenseQA, AQuA", "question options", "question", "options"),
    _form("BoolQ, DROP", "question passage", "question", "passage"),
    _form("SQuAD", "question context", "question", "context"),
    _form("Social IQa", "context question answerA answerB answerC", "context question", "answerA answerB answerC"),
    _form("PIQA", "goal sol1 sol2", "goal", "sol1 sol2"),
    _form("HellaSwag", "ctx endings", "ctx", "endings"),
    _form("WinoGrande", "sentence option1 option2", "sentence", "option1 option2"),
    _form("MATH", "problem solution", "problem"),
    _form("instructions", "instruction input", "instruction input"),
    _form("instructions", "instruction", "instruction"),
    _form("BIG-Bench Hard", "input target", "input"),
    _form("GSM8K, and others with a question", "question", "question"),
    _form("a table of questions", "Question", "Question"),
    _form("problems", "problem", "problem"),
)
"""The first that fits counts: a form with more fields stands before one with fewer."""


def form_of(record: Record, *, where: str, field: str | None = None) -> Form:
    """The form that a record has; `field` names the question where a person knows.

    Raises UserError for a record of no known form, or without that field.
    """
    if field is not None:
        if field not in record:
            raise UserError(f'{where} has no field "{field}"; it has {", ".join(map(str, record))}. Mend `field`.')
        return Form("as told", frozenset({field}), (field,))
    for form in FORMS:
        if form.fields <= record.keys():
            return form
    raise UserError(
        f"{where} is of no known form: its fields are {', '.join(map(str, record)) or 'none'}, and none is surely "
        "the question. Name the one that is with `field`. (A table without a header line has its first question in "
        "place of the names: give it one.)"
    )


def item_of(record: Record, form: Form, *, benchmark: str, position: int, where: str) -> Item:
    """The question of a record; raises UserError where it has none."""
    lacking = [name for name in form.fields if record.get(name) is None]
    if lacking:
        raise UserError(f"{where} lacks {', '.join(sorted(lacking))}, which the first record has. Mend the file.")
    question = form.given(record) if form.given else "\n".join(_texts(record, form.question, where))
    name = next((str(record[key]) for key in NAMES if record.get(key) not in (None, "")), str(position))
    return Item(benchmark, name, question, "\n".join(_texts(record, form.choices, where)))


def _texts(record: Record, names: tuple[str, ...], where: str) -> list[str]:
    return [text for name in names for text in _said(record.get(name), name, where) if text]


def _said(value: Any, name: str, where: str) -> list[str]:
    """A text, a list of texts, or what the hub makes of choices: texts beside their labels."""
    match value:
        case str():
            return [value]
        case None:
            return []
        case int() | float():
            return [str(value)]
        case {"text": texts}:
            return _said(texts, name, where)
        case list() | tuple():
            return [text for each in value for text in _said(each, name, where)]
    raise UserError(f'{where}: "{name}" is {type(value).__name__}; wanted a text. Name the question with `field`.')
