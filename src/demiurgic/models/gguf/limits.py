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

Models trained on few tokens per parameter keep these. A model that legitimately loses more has its own limit stated in
the recipe (`max_kl`).
"""

PUBLISHED: Mapping[str, float] = {
    "q8_0": 1.36e-3,
    "q6_k": 5.45e-3,
    "q5_k_m": 1.08e-2,
    "q4_k_m": 3.13e-2,
    "q4_0": 7.19e-2,
}
"""What Llama-3-8B loses on wikitext by llama.cpp's own tools (its tools/perplexity/README.md, without an importance
matrix; 5.5e-4 of it is the rounding of their logits to 16 bits): more than the limits above."""

EXACT = ("f32", "f16", ADAPTER)
MIN_TOP1 = 0.999
"""In f32 and f16 the likeliest token is the source's own at so many positions."""
TIE_NATS = 0.02
"""Two tokens so close in the source are a tie. A KL of 1e-5 moves a log-probability by about sqrt(2e-5) = 0.0045 nats,
so rounding alone may swap them; an injected fault swaps tokens that are further apart."""
MAX_SHARE_OF_EFFECT = 0.01
"""An adapter's file may miss that share of what the adapter does, so that the fault of a weak one is seen, too."""

MAX_RUNNING_KL = 1e-3
"""From a source that has the file's own weights, where those are quantized: llama.cpp then rounds activations to 8
bits. That costs most of what q8_0 costs (9e-5 of 1.1e-4, measured on random weights of 0.04), and q8_0 costs an 8B
model about 8e-4 (1.36e-3, less 5.5e-4 of rounded logits). No loss of weights enters here, so `max_kl` has no say in it.
A limit of 3e-3 would let a wrong rope base at q4_k_m come within a factor of 2 of it."""
MAX_FAR_KL = 1e-4
"""As above in f32 and f16, where the first half of a text stands far away: fp32 knows an angle at 100,000 positions to
about 0.01. Measured on an f32 file with weights of 0.04: 3e-10 at 10,000 positions, 1e-7 at 130,000. Rope factors that
are missing, or a wrong factor of YaRN, are 1e-3 to 2e-2 away."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a file must reach. `exact`: the likeliest tokens and greedy continuations must be the source's own."""

    max_kl: float
    max_running_kl: float
    max_far_kl: float
    exact: bool
    max_token_mismatches: int = 0
    """Texts that may have other token ids."""


def limit_of(type: str, *, max_kl: float | None = None, max_token_mismatches: int = 0) -> Limit:
    """The limit of a file type. `max_kl` replaces the table's: what weights may lose, and nothing else."""
    running = LIMITS[type] if type in (*EXACT, "bf16") else MAX_RUNNING_KL
    return Limit(
        LIMITS[type] if max_kl is None else max_kl,
        running,
        max(running, MAX_FAR_KL),
        exact=type in EXACT,
        max_token_mismatches=max_token_mismatches,
    )
