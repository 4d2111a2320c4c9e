"""Whether an answer answers its question, as far as words and form can tell: the form asked for, the matter taken up.

Looks at one question and one answer. Knows no rows and no truth: a wrong answer in the right words passes.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

EMPTY, ECHO, FORM, MATTER = (
    "empty answer",
    "answer repeats the question",
    "form not as asked",
    "takes up no word asked about",
)
SHORT_ANSWER_WORDS = 12
"""Answers up to this may well share no word with the question: a name, a number, a choice."""
FEWEST_CONTENT_WORDS = 3
"""A question with fewer may well be answered without them: "Give three tips for staying healthy."."""
STEM = 5
"""Letters by which words are compared, so that `planets` is found in `planetary`."""
WORD = re.compile(r"[^\W_]+")
INSTRUCTION_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        """
        about above according after also answer answers appropriate article asked based because been before
        being below best between both briefly can change choose classify come complete compose consider
        construct convert correct could create define describe design determine develop discuss does each edit
        essay evaluate example examples explain find following format from generate give given have here
        identify input instruction into just least like list make mention more most must name need note only
        other output over paragraph phrase please produce propose provide question read rearrange reason
        rephrase replace respond response rewrite same select sentence sentences short should some story such
        suggest summarize task tell text than that their them then there these they thing things think this
        three through translate type use used using very want well were what when where whether which while will
        with word words would write your
        """,
    )
)
"""Words of four letters and more that say what to do, or nothing, rather than what about."""
SPELLED = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
LIST_LINE = re.compile(r"^\s*(?:[-*•‣–]|\(?\d{1,3}[.):]|[a-zA-Z][.)])\s+\S", re.MULTILINE)
INLINE_ITEM = re.compile(r"(?:^|\s)\(?\d{1,2}[.)]\s*\S")
TABLE_LINE = re.compile(r"^\s*\|?[^|\n]+\|[^|\n]+", re.MULTILINE)
FENCE = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)
CODE_SIGN = re.compile(
    r"(?m)^\s*(?:def |class |import |from \w+ import|return\b|#include|public |for ?\(|while ?\(|SELECT |<\w+)"
    r"|[;{}]\s*$|^#!|\w\(.*\)|[=<>$]"
)


@dataclass(frozen=True, slots=True)
class Alignment:
    """What was found of one answer. `overlap` is the share of the question's content words that the answer takes up,
    None where the question has none; `form` is what form was asked for, empty for none.
    """

    problems: tuple[str, ...]
    overlap: float | None
    form: str


def align(question: str, answer: str) -> Alignment:
    """Compare an answer with the question it was given to."""
    asked, answered = _words(question), _words(answer)
    form = form_asked(question)
    overlap = _overlap(asked, answered)
    if not answered and not answer.strip():
        return Alignment((EMPTY,), overlap, form)
    problems = []
    if asked and asked == answered:
        problems.append(ECHO)
    if form and not FORMS[form][1](question, answer):
        problems.append(f"{FORM}: {form}")
    content = _content(asked)
    if overlap == 0 and len(content) >= FEWEST_CONTENT_WORDS and len(answered) > SHORT_ANSWER_WORDS and not form:
        problems.append(MATTER)
    return Alignment(tuple(problems), overlap, form)


def form_asked(question: str) -> str:
    """The form that a question asks its answer to have, the first of `FORMS` whose words it holds; empty for none."""
    return next((name for name, (asks, _) in FORMS.items() if asks.search(question)), "")


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _content(asked: list[str]) -> set[str]:
    """The stems of what the question is about."""
    return {word[:STEM] for word in asked if len(word) >= 4 and word not in INSTRUCTION_WORDS and not word.isdigit()}


def _overlap(asked: list[str], answered: list[str]) -> float | None:
    content = _content(asked)
    if not content:
        return None
    there = {word[:STEM] for word in answered}
    return len(content & there) / len(content)


def _is_json(question: str, answer: str) -> bool:
    del question
    return any(_parses(text) for text in (answer, *FENCE.findall(answer), _outermost(answer)))


def _outermost(text: str) -> str:
    starts = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    return text[min(starts) : max(text.rfind("}"), text.rfind("]")) + 1] if starts else ""


def _parses(text: str) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict | list)


def _is_list(question: str, answer: str) -> bool:
    """As many lines, numbers or items between commas as were asked for; two where no number was named."""
    joined = answer.count(",") + len(re.findall(r"\b(?:and|or)\b", answer)) + 1
    lines = sum(1 for line in answer.splitlines() if line.strip())
    found = max(len(LIST_LINE.findall(answer)), len(INLINE_ITEM.findall(answer)), lines, joined)
    return found >= (_number(question) or 2)


def _number(question: str) -> int:
    found = LISTED.search(question)
    said = (found.group("number") or "").lower() if found else ""
    return SPELLED.get(said, int(said) if said.isdigit() else 0)


def _is_table(question: str, answer: str) -> bool:
    del question
    return len(TABLE_LINE.findall(answer)) >= 2 or answer.count("\t") >= 2 or "<table" in answer.lower()


def _is_code(question: str, answer: str) -> bool:
    del question
    return bool(FENCE.search(answer) or CODE_SIGN.search(answer))


def _is_one_word(question: str, answer: str) -> bool:
    del question
    return len(_words(answer)) <= 2


def _is_one_sentence(question: str, answer: str) -> bool:
    del question
    return len(re.findall(r"[.!?。！？](?=\s|$)", answer.strip())) <= 1


LISTED = re.compile(
    r"(?im)(?:^|[.!?:] +)(?:please )?(?:list|give|name|suggest|provide|write down|generate|come up with)"
    r"\s+(?:me\s+|at least\s+)?"
    r"(?P<number>\d{1,2}|two|three|four|five|six|seven|eight|nine|ten)\b"
    r"|\b(?:bullet(?:ed)?[ -]?(?:points?|list)|numbered list)\b"
)
FORMS: dict[str, tuple[re.Pattern[str], Callable[[str, str], bool]]] = {
    "code": (
        re.compile(
            r"(?i)\b(?:write|create|implement|code|generate) (?:me )?(?:a |an |some )?(?:[\w+#.-]+ ){0,3}"
            r"(?:function|program|code|class|query)\b|\b(?:python|bash|shell|javascript|ruby|php|sql) script\b"
        ),
        _is_code,
    ),
    "JSON": (
        re.compile(
            r"(?im)\b(?:as|in|into) (?:an? )?(?:valid )?json(?: (?:format|form|object|array))?\s*(?:[.,:;!?]|$)"
        ),
        _is_json,
    ),
    "table": (
        re.compile(r"(?i)\b(?:as a (?:markdown )?table|in tab(?:le|ular) (?:form|format)|markdown table)\b"),
        _is_table,
    ),
    "one word": (re.compile(r"(?i)\b(?:in|with|using) (?:one|a single) word\b"), _is_one_word),
    "one sentence": (re.compile(r"(?i)\b(?:in|with|using) (?:one|a single|1) sentence\b(?! each)"), _is_one_sentence),
    "list": (LISTED, _is_list),
}
"""Form -> the words that ask for it, and whether an answer has it. English alone: others ask for nothing here."""
