"""Chat formats: how a conversation becomes text, the same for training and for serving.

DIALECTS["chatml"].render(row)                                  # what training sees
DIALECTS["chatml"].render(messages, generation_prompt=True)     # what the model is asked to go on from

`DIALECTS` are ours, by name; a foreign tokenizer brings its own (`models.tokenizer.dialect_of`).
"""

from collections.abc import Mapping

from demiurgic.dialects.base import Dialect, LossOn, Span
from demiurgic.dialects.chatml import CHATML
from demiurgic.dialects.templated import Templated
from demiurgic.dialects.texts import Texts

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (CHATML,)}

__all__ = ["DIALECTS", "Dialect", "LossOn", "Span", "Templated", "Texts"]
