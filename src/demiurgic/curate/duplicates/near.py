"""Near-duplicates among the rows that still stay, by one key: one pass. Knows nothing of other keys or of rounds.

A rows, known by their places; K rows of earlier curations follow them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.console import Console
from demiurgic.curate.duplicates.config import Key, Near
from demiurgic.curate.duplicates.fingerprints import shingling_of
from demiurgic.curate.duplicates.standing import Reason, Standing
from demiurgic.curate.duplicates.survey import KeyTexts
from demiurgic.text.bands import Minhash
from demiurgic.text.known import Known
from demiurgic.text.near_duplicates import Exact, Found, Method, near_duplicates
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    Places = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Pass:
    """What one pass compared, and what it found."""

    key: Key
    order: "Places"
    """The places of the rows that took part, best first."""
    found: Found


def method_of(near: Near, *, num_rows: int) -> Method:
    if near.is_exact(num_rows):
        return Exact()
    return Minhash(permutations=near.permutations, bands=near.bands, leaders=near.leaders, seed=near.hash_seed)


@dataclass(frozen=True)
class Passes:
    """What every pass needs."""

    near: Near
    texts: dict[Key, KeyTexts]
    known: Mapping[Key, Known]
    workspace: Workspace
    threads: int
    console: Console

    def run(
        self, key: Key, standing: Standing, *, order: "Places", judged_A: "np.ndarray[Any, np.dtype[np.bool_]]"
    ) -> Pass:
        """Drop, of the rows in `order` that stay, those that resemble a better one; only rows of `judged_A` may go."""
        import numpy as np

        order = order[standing.stays_A[order]]
        with self.console.progress(f"near-duplicates by {key}", total=100) as bar:
            found = near_duplicates(
                self.texts[key],
                shingling=shingling_of(self.near),
                threshold=self.near.threshold,
                method=method_of(self.near, num_rows=len(order)),
                order_N=order,
                known=self.known.get(key),
                workspace=self.workspace,
                threads=self.threads,
                on_progress=_shown(bar),
            )
        gone = np.flatnonzero((found.witness_N >= 0) & judged_A)
        standing.drop(
            gone,
            witnesses=found.witness_N[gone],
            reason=Reason.NEAR,
            known=Reason.KNOWN_NEAR,
            similarity=found.similarity_N[gone],
            key=self.near.key.index(key),
        )
        return Pass(key, order, found)


def _shown(bar: Any) -> Callable[[str, int, int], None]:
    """Shows each phase as its own walk from 0 to 100."""
    done = 0.0

    def on_progress(phase: str, num_read: int, num_documents: int) -> None:
        nonlocal done
        now = 100 * num_read / max(num_documents, 1)
        bar.show(phase)
        bar.advance(now - done)
        done = now

    return on_progress
