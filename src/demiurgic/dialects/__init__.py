"""Chat formats: how a conversation becomes text, the same for training and for serving.

DIALECTS["chatml"].render(row)                                  # what training sees
DIALECTS["chatml"].render(messages, generation_prompt=True)     # what the model is asked to go on from
"""

from collections.abc import Mapping

from demiurgic.dialects.base import Dialect, LossOn, Span
from demiurgic.dialects.chatml import CHATML

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (CHATML,)}

__all__ = ["DIALECTS", "Dialect", "LossOn", "Span"]
