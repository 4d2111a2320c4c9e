"""The n-grams of documents kept earlier, so that later ones can be compared with them without their texts.

Knows nothing of rows: whoever keeps one keeps beside it which document is which. K documents, H n-grams in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.text.ngrams import Shingling

if TYPE_CHECKING:
    import numpy as np

HASHES, OFFSETS = "hashes.npy", "offsets.npy"


@dataclass(frozen=True)
class Known:
    """The n-grams of document k, each once and rising, are `hashes_H[offsets_K1[k]:offsets_K1[k + 1]]`.

    Common n-grams are among them: which are common is settled anew by each run. `shingling` says how they were made.
    """

    shingling: Shingling
    hashes_H: "np.ndarray[Any, np.dtype[np.uint64]]"
    offsets_K1: "np.ndarray[Any, np.dtype[np.int64]]"

    def __len__(self) -> int:
        return len(self.offsets_K1) - 1

    def write(self, folder: Path) -> None:
        """Write the two arrays into `folder`, which must exist; the shingling is the caller's to keep."""
        import numpy as np

        np.save(folder / HASHES, self.hashes_H)
        np.save(folder / OFFSETS, self.offsets_K1)

    @classmethod
    def read(cls, folder: Path, *, shingling: Shingling) -> "Known":
        """What `write` wrote; the hashes are paged in as they are used."""
        import numpy as np

        return cls(shingling, np.load(folder / HASHES, mmap_mode="r"), np.load(folder / OFFSETS))

    @classmethod
    def joined(cls, parts: Sequence["Known"]) -> "Known":
        """All documents of the parts (at least one), in order; their shinglings must be equal."""
        import numpy as np

        ends = np.cumsum([0, *(part.offsets_K1[-1] for part in parts)])
        offsets = [part.offsets_K1[:-1] + end for part, end in zip(parts, ends, strict=False)]
        return cls(
            parts[0].shingling,
            np.concatenate([part.hashes_H for part in parts]),
            np.concatenate([*offsets, ends[-1:]]).astype(np.int64),
        )
