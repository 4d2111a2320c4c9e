"""How many tokens are worked on at once."""

import pytest

from demiurgic.train.chunk import tokens_per_chunk


@pytest.mark.parametrize(
    ("vocab_size", "num_tokens", "wanted"),
    [
        (32_768, 512, 128),  # 16 MB are 128 tokens, an eighth of these are fewer
        (32_768, 2_048, 256),
        (32_768, 4_096, 512),
        (32_768, 100_000, 512),  # 64 MB
        (16_384, 512, 256),
        (131_072, 512, 128),  # 16 MB are 32 tokens, and 128 are the fewest
        (131_072, 100_000, 128),  # 64 MB are no more
        (262_144, 100_000, 128),
    ],
)
def test_a_chunk_is_an_eighth_of_the_tokens_between_16_and_64_mb_or_128_tokens(
    vocab_size: int, num_tokens: int, wanted: int
):
    assert tokens_per_chunk(vocab_size, num_tokens=num_tokens) == wanted
