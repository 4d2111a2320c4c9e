"""Checksums of a window's text, and of what is stored for it.

The second is taken over the first, so that rows never count for another text than the one they were made for.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from demiurgic.models.windows import Windows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHECKSUM_BYTES = 16
"""128 bits: what disks and people do by accident is found; nobody is kept from forging."""


def text_checksum(windows: Windows, window: int) -> bytes:
    """Of the ids, weights and documents of a window, as they lie in the tokens folder."""
    found = hashlib.blake2b(digest_size=CHECKSUM_BYTES)
    for array_NT in (windows.ids_NT, windows.weights_NT, windows.documents_NT):
        found.update(_bytes(array_NT[window]))
    return found.digest()


def rows_checksum(text: bytes, arrays: "Iterable[NDArray[np.generic]]") -> bytes:
    """Of the rows stored for a window with that checksum of its text, array by array."""
    found = hashlib.blake2b(text, digest_size=CHECKSUM_BYTES)
    for array in arrays:
        found.update(_bytes(array))
    return found.digest()


def _bytes(array: "NDArray[np.generic]") -> memoryview:
    import numpy as np

    return np.ascontiguousarray(array).data.cast("B") if array.size else memoryview(b"")
