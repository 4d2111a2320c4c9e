from pathlib import Path

from demiurgic.models.gguf.threads import SMALL_BYTES, threads_for


def test_a_small_file_is_run_by_one_thread_and_a_large_one_by_all(tmp_path: Path):
    small, large = tmp_path / "small.gguf", tmp_path / "large.gguf"
    small.write_bytes(b"GGUF")
    with large.open("wb") as file:
        file.truncate(SMALL_BYTES)
    assert (threads_for(small, cores=8), threads_for(large, cores=8)) == (1, 8)
