"""How far a GGUF may be from its source before it is wrong: one table, and what a miss says."""

from collections.abc import Mapping
from dataclasses import dataclass

ADAPTER = "adapter"

LIMITS: Mapping[str, float] = {
    ADAPTER: 1e-5,
    "f32": 1e-5,
    "f16": 1e-5,
    "bf16": 1e-4,
    "q8_0": 1e-3,
    "q6_k": 2e-3,
    "q5_k_m": 5e-3,
    "q5_k_s": 6e-3,
    "q5_1": 8e-3,
    "q5_0": 1e-2,
    "q4_k_m": 2e-2,
    "q4_k_s": 3e-2,
    "iq4_nl": 3e-2,
    "iq4_xs": 3e-2,
    "q4_1": 4e-2,
    "q4_0": 5e-2,
    "q3_k_l": 6e-2,
    "q3_k_m": 8e-2,
    "q3_k_s": 0.2,
    "q2_k": 0.4,
}
"""The largest mean KL(source ‖ file), nats per token, by file type; of an adapter, with its base in f32.

Llama-3-8B on wikitext, by llama.cpp's own tools (its tools/perplexity/README.md, floored at 5.5e-4 by 16-bit logits):
q8_0 1.4e-3, q6_k 5.5e-3, q5_k_m 1.1e-2, q4_k_m 3.1e-2, q4_0 7.2e-2. Models trained on few tokens per parameter lose
less. A model that legitimately loses more has its own limit stated in the recipe (`max_kl`).
"""

EXACT = ("f32", "f16", ADAPTER)
MIN_TOP1 = 0.999
"""In f32 and f16 the likeliest token is the source's own at so many positions."""
TIE_NATS = 0.02
"""Two tokens so close in the source are a tie. A KL of 1e-5 moves a log-probability by about sqrt(2e-5) = 0.0045 nats,
so rounding alone may swap them; an injected fault swaps tokens that are further apart."""
MAX_SHARE_OF_EFFECT = 0.01
"""An adapter's file may miss that share of what the adapter does, so that the fault of a weak one is seen, too."""


MAX_RUNNING_KL = 1e-3
"""From a source that has the file's own weights: llama.cpp rounds activations to 8 bits for quantized weights, which
costs what q8_0 costs (9e-5 where q8_0 costs 1.1e-4, measured on random weights of 0.04)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a file must reach. `exact`: the likeliest tokens and greedy continuations must be the source's own."""

    type: str
    max_kl: float
    max_running_kl: float
    exact: bool
    max_token_mismatches: int = 0
    """Texts that may have other token ids."""


def limit_of(type: str, *, max_kl: float | None = None, max_token_mismatches: int = 0) -> Limit:
    """The limit of a file type; `max_kl` replaces the table's, and raises that of running in the same proportion."""
    usual = LIMITS[type]
    raised = max(1.0, max_kl / usual) if max_kl is not None else 1.0
    return Limit(
        type,
        usual if max_kl is None else max_kl,
        raised * min(usual, MAX_RUNNING_KL),
        exact=type in EXACT,
        max_token_mismatches=max_token_mismatches,
    )
