"""One small store and one small GGUF file for all tests of the chat."""

from pathlib import Path

import pytest

from pretrained import pretrained
from tiny_store import tiny_store


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a student that a teacher taught on the standard library's code."""
    return tiny_store(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file from elsewhere, with room for an answer that goes on for a long while."""
    from demiurgic.models.gguf.write import write_gguf

    folder = tmp_path_factory.mktemp("gguf")
    source = pretrained(folder / "source", std=0.03, max_position_embeddings=32768)  # small weights: it rambles
    write_gguf(source, folder / "small.gguf", type="f32", name="small")
    return folder / "small.gguf"
