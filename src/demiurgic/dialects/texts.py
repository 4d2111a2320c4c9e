"""The dialect of a tokenizer without a chat template, such as a base model's: it writes plain texts alone."""

from collections.abc import Sequence
from typing import final

from demiurgic.core.records import Message
from demiurgic.dialects.base import Dialect, LossOn, Span, UnwritableError
from demiurgic.dialects.templated import SpecialTokens


@final
class Texts(Dialect):
    """No conversation, for there is no form to write one in."""

    template = ""

    def __init__(self, special: SpecialTokens) -> None:
        self.name = f"texts:{special.digest(template='')}"
        self.special_tokens = special.tokens
        self.begin_of_text = special.begin_of_text
        self.end_of_text = self.end_of_turn = special.end_of_text

    def render_messages(
        self, messages: Sequence[Message], *, has_tools: bool, generation_prompt: bool, loss_on: LossOn
    ) -> list[Span]:
        raise UnwritableError("a conversation, and the tokenizer has no chat template")
