"""Words drawn from the teacher (RS-KD, arXiv 2503.16870) as rows of a cache.

Shapes: N tokens, V vocabulary, R draws, K distinct words, W words of all tokens.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from demiurgic.core.seeds import Seeds
from demiurgic.train.cache.keep import KeepSamples
from demiurgic.train.cache.layout import WORDS, Rows, WordBits
from demiurgic.train.cache.top_k_rows import from_three_bytes, three_bytes
from demiurgic.train.signals import Draws, Samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def uniforms(seeds: Seeds, *, window: int, length: int, draws: int, temperature: float) -> "NDArray[np.float64]":
    """Numbers in [0, 1) for every position of a window [length, draws]: of nothing but seed, window and temperature."""
    import numpy as np

    key = np.array([seeds.number(f"draws/{temperature!r}"), window], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).random((length, draws))


def draw(log_NV: "Tensor", uniforms_NR: "Tensor") -> "Tensor":
    """Ids [N,R] drawn from log-probabilities, by the inverse of their cumulative sum.

    In fp64: fp32 sums of a large vocabulary have no room left for its rare words.
    """
    import torch

    sums_NV = log_NV.double().exp_().cumsum(dim=-1)
    total_N1 = sums_NV[:, -1:]
    below_total_N1 = torch.nextafter(total_N1, torch.zeros_like(total_N1))
    return torch.searchsorted(sums_NV, torch.minimum(uniforms_NR * total_N1, below_total_N1), right=True)


def sample_rows(drawn: "Sequence[Tensor]", entropies: "Sequence[Tensor]", *, bits: WordBits) -> Rows:
    """Rows out of ids [N,R] and entropies [N], one of each for every temperature."""
    import numpy as np

    counted = [_counted(ids_NR.cpu().numpy(), bits) for ids_NR in drawn]
    distinct_NT = np.stack([distinct_N for distinct_N, _ in counted], axis=1)
    # words lie token by token, and within a token temperature by temperature
    place_W = np.concatenate(
        [
            np.repeat(np.arange(len(distinct_N)) * len(counted) + t, distinct_N)
            for t, (distinct_N, _) in enumerate(counted)
        ]
    )
    words_W = np.concatenate([words_W for _, words_W in counted])[np.argsort(place_W, kind="stable")]
    entropy_NT = np.stack([entropy_N.float().cpu().numpy() for entropy_N in entropies], axis=1)
    return {"distinct": distinct_NT, "entropy": entropy_NT, WORDS: _packed(words_W, bits)}


def samples_of(rows: Sequence[Rows], keep: KeepSamples, *, vocab_size: int) -> Samples:
    """The words of several windows, end to end, on the CPU."""
    import numpy as np
    import torch

    bits = WordBits.of(vocab_size=vocab_size, draws=keep.draws)
    distinct_NT = np.concatenate([found["distinct"] for found in rows]).astype(np.int64)
    entropy_NT = torch.from_numpy(np.concatenate([found["entropy"] for found in rows]))
    words_W = from_three_bytes(np.concatenate([found[WORDS] for found in rows]))
    ids_W, counts_W = words_W >> bits.count_bits, (words_W & ((1 << bits.count_bits) - 1)) + 1

    width = int(distinct_NT.max(initial=1))
    filled = np.arange(width) < distinct_NT[..., None]
    ids_NTK, shares_NTK = np.zeros(filled.shape, np.int64), np.zeros(filled.shape, np.float32)
    ids_NTK[filled] = ids_W
    shares_NTK[filled] = counts_W / keep.draws
    return Samples(
        {
            T: Draws(
                torch.from_numpy(np.ascontiguousarray(ids_NTK[:, place])),
                torch.from_numpy(np.ascontiguousarray(shares_NTK[:, place])),
                entropy_NT[:, place].contiguous(),
            )
            for place, T in enumerate(keep.temperatures)
        }
    )


def _counted(ids_NR: "NDArray[np.int64]", bits: WordBits) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """How many distinct words [N] each row has, and those words [W], each packed with its count."""
    import numpy as np

    sorted_NR = np.sort(ids_NR, axis=1)
    new_NR = np.ones(sorted_NR.shape, bool)
    new_NR[:, 1:] = sorted_NR[:, 1:] != sorted_NR[:, :-1]
    starts_W = np.flatnonzero(new_NR)
    counts_W = np.diff(np.append(starts_W, sorted_NR.size))
    return new_NR.sum(axis=1), (sorted_NR.ravel()[starts_W] << bits.count_bits) | (counts_W - 1)


def _packed(words_W: "NDArray[np.int64]", bits: WordBits) -> "NDArray[np.uint8]":
    import numpy as np

    if bits.num_bytes == 3:
        return three_bytes(words_W)
    return words_W.astype("<u4")[:, None].view(np.uint8)
