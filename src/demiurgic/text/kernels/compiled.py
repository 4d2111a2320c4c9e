"""How every loop here is compiled. Without the interpreter lock, so that threads share the cores."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile at the first call, and keep the machine code on disk for the next process.

    The cache lies beside the file, or in the user's cache folder where that cannot be written (NUMBA_CACHE_DIR names
    another). Division and indexing follow C: no check for zero, none for bounds.
    """
    made: Function = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    return made


def inlined(function: Function) -> Function:
    """The same, for a small function that its callers take in whole."""
    made: Function = numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")(function)
    return made
