"""Measurements drawn from a known distribution, for the tests of intervals and comparisons."""

import numpy as np

from demiurgic.stats.bootstrap import Measured


def simulated_pair(
    *, seed: int, num_clusters: int = 30, first: float = 1.5, second: float = 1.4, spread: float = 0.3
) -> tuple[Measured, Measured]:
    """Bits and bytes of two models on the same items, in clusters of 1 to 9 items.

    Both share the hardness of their cluster (`spread`) and item; the true ratios are `first` and `second`.
    """
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 10, size=num_clusters)
    clusters = [f"cluster-{c}" for c, size in enumerate(sizes) for _ in range(size)]
    items = [f"item-{i}" for i in range(len(clusters))]
    hardness = np.repeat(random.normal(0, spread, size=num_clusters), sizes) + random.normal(0, 0.1, size=len(items))
    num_bytes = random.integers(50, 150, size=len(items)).astype(float)

    def measured(level: float) -> Measured:
        own = random.normal(0, 0.05, size=len(items))
        return Measured(items, clusters, list((level + hardness + own) * num_bytes), list(num_bytes))

    return measured(first), measured(second)
