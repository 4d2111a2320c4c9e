"""How many threads llama.cpp is worth, where a person has not said. Knows a file's size and nothing else of it."""

from pathlib import Path

SMALL_BYTES = 50_000_000
"""llama.cpp's threads wait for each other, spinning, after every matrix product. For a file of 8.5 MB a second thread
makes a token 25 % faster on two quiet cores (0.29 for 0.38 ms), and over ten times slower where other work runs beside
it (16 ms for 1.0)."""


def threads_for(file: Path, *, cores: int) -> int:
    """All cores, or one for a small file."""
    return cores if file.stat().st_size >= SMALL_BYTES else 1
