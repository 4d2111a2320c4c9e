"""The dialect of a foreign tokenizer: whatever its chat template writes, taken apart into spans.

Knows no template language: it is given a callable that renders messages. A conversation is rendered twice: once with a
mark in place of each content, which shows what the template writes between them, and once as it is. The spans joined
are what the template gives, or the conversation is refused.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from demiurgic.core.errors import UserError
from demiurgic.core.hashing import digest_of
from demiurgic.core.records import Message
from demiurgic.dialects.base import Dialect, LossOn, Span, UnwritableError, refuse_tools_and_reasoning, weight_of

Apply: TypeAlias = Callable[[Sequence[Mapping[str, str]], bool], str]
"""Renders messages (role, content), with the generation prompt or without. Raises UnwritableError where it refuses."""

MARK = "\ue000{}\ue001"
"""Stands for a content; its characters are of Unicode's private use area, which templates do not write."""
MARKS = re.compile(MARK.format(r"(\d+)"))


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The tokens of a vocabulary that are no text."""

    tokens: tuple[str, ...]
    """All of them, in the order of their ids."""
    begin_of_text: str | None
    """What the tokenizer puts before a text by itself, if anything."""
    end_of_text: str
    named: Mapping[str, str]
    """Those that a template may write by name (`bos_token`)."""

    def digest(self, *, template: str) -> str:
        """12 hex digits over a template and these tokens."""
        content = [template, self.tokens, self.begin_of_text, self.end_of_text, dict(self.named)]
        return digest_of(content)[:12]


@final
class Templated(Dialect):
    """Conversations without tools or reasoning, in the form of one chat template.

    The assistant's content, its end of turn, and what the template writes between the generation prompt and the content
    (Qwen3's empty think block) carry its weight: a model has to write all three itself.
    """

    def __init__(self, template: str, *, special: SpecialTokens, apply: Apply) -> None:
        """Raises UserError for a template that drops or moves turns, or whose answers end in no special token."""
        self.name = f"template:{special.digest(template=template)}"
        self.template = template
        self.special_tokens = special.tokens
        self.begin_of_text = special.begin_of_text
        self.end_of_text = special.end_of_text
        self._apply = apply
        # The longest first: one token may begin another.
        longest_first = sorted(special.tokens, key=len, reverse=True)
        self._special = re.compile("|".join(re.escape(token) for token in longest_first) or r"(?!)")
        try:
            self._generation_prompt = self._find_generation_prompt()
            self.end_of_turn = self._find_end_of_turn()
        except UnwritableError as lacking:
            raise UserError(
                f"The tokenizer's chat template cannot be trained on: of a question and its answer it makes {lacking}. "
                "Put a chat_template.jinja that writes the turns in order, each answer followed by a special token, "
                "into the folder it comes from, and fetch again."
            ) from None

    def render_messages(
        self, messages: Sequence[Message], *, has_tools: bool, generation_prompt: bool, loss_on: LossOn
    ) -> list[Span]:
        refuse_tools_and_reasoning(messages, has_tools=has_tools)
        if not messages:
            raise UnwritableError("no message")
        controls = self._controls([message.role for message in messages], generation_prompt=generation_prompt)
        written = self._apply([{"role": m.role, "content": m.content} for m in messages], generation_prompt)
        contents = _contents_as_written(written, controls, messages)
        spans = self._spans(messages, contents, controls, asking=generation_prompt, loss_on=loss_on)
        return [span for span in spans if span.text or not span.control]

    def _spans(
        self,
        messages: Sequence[Message],
        contents: Sequence[str],
        controls: Sequence[str],
        *,
        asking: bool,
        loss_on: LossOn,
    ) -> Iterator[Span]:
        around = 1.0 if loss_on == "everything" else 0.0
        before = controls[0]
        for message, content, after in zip(messages, contents, controls[1:], strict=True):
            weight = weight_of(message, loss_on=loss_on)
            if message.role != "assistant":
                yield from self._read(before, content, around=around, weight=weight)
                before = after
                continue
            cut = self._cut(before, after, strict=not asking)
            yield Span(cut.asked, around, control=True)
            yield Span(cut.begin, weight, control=True)
            yield Span(content, weight)
            yield Span(cut.end, weight, control=True)
            before = after[len(cut.end) :]
        yield Span(before, 0.0 if asking else around, control=True)

    def _controls(self, roles: Sequence[str], *, generation_prompt: bool) -> list[str]:
        """What the template writes before, between and after the contents of messages with these roles."""
        marked = [{"role": role, "content": MARK.format(position)} for position, role in enumerate(roles)]
        pieces = MARKS.split(self._apply(marked, generation_prompt))
        found = Counter(int(position) for position in pieces[1::2])
        for position, role in enumerate(roles):
            if found[position] != 1:
                does = "repeats" if found[position] else "drops"
                raise UnwritableError(f"a message of the {role} that the template {does}")
        if list(found) != list(range(len(roles))):
            raise UnwritableError("messages that the template moves")
        return pieces[0::2]

    def _read(self, before: str, content: str, *, around: float, weight: float) -> list[Span]:
        """What a model only reads: the template's words since the last special token are one span with the content.

        Between the two nothing is asked for, and the whole text's tokens may run across: a content that begins with a
        newline, after the template's own.
        """
        if around != weight:
            return [Span(before, around, control=True), Span(content, weight)]
        start = max((token.end() for token in self._special.finditer(before)), default=0)
        return [Span(before[:start], around, control=True), Span(before[start:] + content, weight)]

    def _cut(self, before: str, after: str, *, strict: bool) -> "_Cut":
        """The text before and after an answer's content, cut where the model begins to write and where it ends.

        Raises UnwritableError, if `strict`, where one is not to be found: such an answer can be read, not learned.
        """
        prompt = self._generation_prompt
        if prompt and prompt not in before and strict:
            raise UnwritableError("an answer that does not begin as asked for")
        start = before.rindex(prompt) + len(prompt) if prompt in before else len(before)
        token = self._special.search(after)
        if token is None and strict:
            raise UnwritableError("an answer that ends in no special token")
        return _Cut(before[:start], before[start:], after[: token.end()] if token else "")

    def _find_generation_prompt(self) -> str:
        question = [{"role": "user", "content": MARK.format(0)}]
        silent, asking = self._apply(question, False), self._apply(question, True)
        if not asking.startswith(silent):
            raise UnwritableError("other text when the answer is asked for")
        return asking[len(silent) :]

    def _find_end_of_turn(self) -> str:
        after = self._controls(["user", "assistant"], generation_prompt=False)[-1]
        token = self._special.search(after)
        if token is None:
            raise UnwritableError("an answer that ends in no special token")
        return token.group()


@dataclass(frozen=True, slots=True)
class _Cut:
    asked: str
    """Up to where the model is asked to go on."""
    begin: str
    """What the model writes before its content."""
    end: str
    """What the model writes after it."""


def _contents_as_written(written: str, controls: Sequence[str], messages: Sequence[Message]) -> list[str]:
    """Each content as it stands between the control texts: as it is, or without the blanks that the template strips.

    Raises UnwritableError when the template writes anything else.
    """
    contents: list[str] = []
    position = len(controls[0])
    if not written.startswith(controls[0]):
        raise UnwritableError("words that the template itself reacts to")
    for message, after in zip(messages, controls[1:], strict=True):
        for form in _forms(message.content):
            if written.startswith(form, position) and written.startswith(after, position + len(form)):
                contents.append(form)
                position += len(form) + len(after)
                break
        else:
            raise UnwritableError(f"a message of the {message.role} that the template rewrites")
    if position != len(written):
        raise UnwritableError("words that the template itself reacts to")
    return contents


def _forms(content: str) -> list[str]:
    """What templates make of a content: itself, or some of its blanks stripped."""
    stripped = (content.strip(), content.lstrip(), content.rstrip(), content.strip("\n"), content.lstrip("\n"))
    return list(dict.fromkeys((content, *stripped, content.rstrip("\n"))))
