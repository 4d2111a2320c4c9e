"""Choosing by MinHash: two readings, one for band keys, one for the documents that share a key with another.

M documents, known ones last; K permutations, B bands, U sets, D of one task.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.text.chosen import Chosen, Marks
from demiurgic.text.passes import Reader, Task
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

OnDocuments = Callable[[int], None]


@dataclass(frozen=True)
class Minhash:
    """Finds pairs that share a band of their MinHash signatures, and compares those exactly.

    `bands` must divide `permutations`. Of documents that share one band no more than `leaders` that stay are compared
    with the next, so that a band that very many share costs no more than it must. Broder, On the resemblance and
    containment of documents, 1997; Leskovec et al., Mining of Massive Datasets, chapter 3.
    """

    permutations: int = 128
    bands: int = 16
    leaders: int = 16
    seed: int = 1


@dataclass(frozen=True)
class BandKeys:
    """`keys_BM[b, m]` is the hash of band b of document m, where `sizes_M` says that it has n-grams."""

    keys_BM: "np.ndarray[Any, np.dtype[np.uint64]]"
    sizes_M: "np.ndarray[Any, np.dtype[np.int32]]"
    """How many n-grams each document has, repeats and all."""
    shared_BM: "np.ndarray[Any, np.dtype[np.uint8]]"
    """Whether another document has the key too, once `match` has said so."""

    def of(self, documents_U: Any, *, workspace: Workspace) -> "Marks":
        """The keys that some documents share with others."""
        import numpy as np

        from demiurgic.text.kernels.minhash import shared_keys

        num = int(self.shared_BM.sum(axis=0, dtype=np.int64)[documents_U].sum())
        marks = Marks(workspace.array("shared-keys", num, np.uint64), np.zeros(len(documents_U) + 1, np.int64))
        shared_keys(self.keys_BM, self.shared_BM, documents_U, marks.starts_U1, marks.marks_M)
        return marks


def band_keys(
    reader: Reader, method: Minhash, *, wanted_M: Any, workspace: Workspace, on_documents: OnDocuments | None = None
) -> BandKeys:
    """The band keys of the wanted documents; signatures are not kept."""
    import numpy as np

    from demiurgic.text.kernels.minhash import sign

    made = np.random.default_rng(method.seed)
    times_K = np.ones(-(-method.permutations // 64) * 64, np.uint32)
    times_K[: method.permutations] = made.integers(0, 2**31, method.permutations, dtype=np.uint32) * 2 + 1
    num = reader.num_documents + reader.num_known
    keys = BandKeys(
        workspace.array("band-keys", (method.bands, num), np.uint64),
        workspace.array("sizes", num, np.int32),
        workspace.array("shared", (method.bands, num), np.uint8),
    )

    def work(task: Task) -> None:
        sign(*(task.hashes_S, task.starts_D1, task.first, method.permutations, times_K, keys.keys_BM, keys.sizes_M))

    reader.read(work, wanted_N=wanted_M, on_documents=on_documents)
    return keys


def match(keys: BandKeys, *, workspace: Workspace, threads: int) -> Any:
    """Fill `shared_BM`; which documents share any key."""
    import numpy as np

    from demiurgic.text.kernels.minhash import mark_shared

    num = len(keys.sizes_M)
    tables = [
        (
            workspace.array("times-seen", 1 << (4 * num).bit_length(), np.uint8),
            workspace.array("first-seen", 1 << (2 * num).bit_length(), np.int32),
        )
        for _ in range(threads)
    ]
    free = list(tables)

    def work(band: int) -> None:
        table = free.pop()
        mark_shared(keys.keys_BM[band], keys.sizes_M, *table, keys.shared_BM[band])
        free.append(table)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(len(keys.keys_BM))))
    workspace.release(*(array for table in tables for array in table))
    return keys.shared_BM.any(axis=0)


def choose_sharing(
    reader: Reader, keys: BandKeys, *, shared_M: Any, workspace: Workspace, on_documents: OnDocuments | None = None
) -> Chosen:
    """All n-grams of the documents that share a band."""
    import numpy as np

    from demiurgic.text.kernels.select import select_all

    most_hashes = int(keys.sizes_M[shared_M].sum(dtype=np.int64))
    chosen = Chosen(len(shared_M), max(int(shared_M.sum()), 1), most_hashes=most_hashes, workspace=workspace)

    def work(task: Task) -> None:
        about_D4 = np.zeros((task.num_documents, 4), np.int64)
        set_hash_D2 = np.zeros((task.num_documents, 2), np.uint64)
        room = task.room
        select_all(task.hashes_S, task.starts_D1, room.spare_L, room.ends_L, room.more_L, about_D4, set_hash_D2)
        chosen.add(task, about_D4, set_hash_D2, room.more_L)

    reader.read(work, wanted_N=shared_M, on_documents=on_documents)
    return chosen
