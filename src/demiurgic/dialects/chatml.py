"""ChatML, the format of the Qwen family: `<|im_start|>role`, a newline, the content, `<|im_end|>`, a newline."""

from collections.abc import Sequence
from typing import final

from demiurgic.core.records import Message
from demiurgic.dialects.base import Dialect, LossOn, Span, refuse_tools_and_reasoning, weight_of

# One line, no branches but the generation prompt: the logic that the template would repeat stands in the class below.
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@final
class ChatML(Dialect):
    """Conversations without tools or reasoning, no default system message."""

    name = "chatml"
    special_tokens = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    end_of_text = "<|endoftext|>"
    end_of_turn = "<|im_end|>"
    template = TEMPLATE

    def render_messages(
        self, messages: Sequence[Message], *, has_tools: bool, generation_prompt: bool, loss_on: LossOn
    ) -> list[Span]:
        refuse_tools_and_reasoning(messages, has_tools=has_tools)
        around = 1.0 if loss_on == "everything" else 0.0
        spans: list[Span] = []
        for message in messages:
            weight = weight_of(message, loss_on=loss_on)
            spans += [
                Span(f"<|im_start|>{message.role}\n", around, control=True),
                Span(message.content, weight),
                Span("<|im_end|>", weight, control=True),
                Span("\n", around, control=True),
            ]
        if generation_prompt:
            spans.append(Span("<|im_start|>assistant\n", 0.0, control=True))
        return spans


CHATML = ChatML()
