"""GGUF files as people find them: cut short, without a template, of a kind that is not written here."""

import tempfile
from pathlib import Path

import pytest

from demiurgic.core.errors import UserError
from demiurgic.models.gguf.metadata import read_metadata
from demiurgic.providers.llama_cpp import LlamaCpp, _refuse_huge_cache
from demiurgic.providers.llama_server import LlamaServer
from local_models import Pair, tiny_pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return tiny_pair(tmp_path_factory.mktemp("pair"))


def rewritten(source: Path, out: Path, **changes: object) -> Path:
    """The same file with other metadata; None leaves a field out. `__` stands for the dot."""
    import gguf

    reader = gguf.GGUFReader(source)
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    writer = gguf.GGUFWriter(out, "llama")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or changes.get(name, ...) is None:
            continue
        kind = field.types[0]
        writer.add_key_value(
            name, changes.get(name, field.contents()), kind, field.types[1] if len(field.types) > 1 else None
        )
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def test_the_head_of_a_file_is_read_as_the_gguf_package_reads_it(pair: Pair):
    import gguf

    ours, theirs = read_metadata(pair.gguf), gguf.GGUFReader(pair.gguf)
    assert ours.fields == {
        name: field.contents() for name, field in theirs.fields.items() if not name.startswith("GGUF.")
    }
    assert ours.shapes == {tensor.name: tuple(map(int, tensor.shape)) for tensor in theirs.tensors}


@pytest.mark.parametrize("kept_bytes", [0, 3, 20, 1000, 5000])
def test_a_file_that_ends_within_its_head_is_refused(pair: Pair, tmp_path: Path, kept_bytes: int):
    (tmp_path / "cut.gguf").write_bytes(pair.gguf.read_bytes()[:kept_bytes])
    with pytest.raises(UserError, match=r"cut\.gguf is (damaged|no GGUF file)"):
        LlamaCpp(tmp_path / "cut.gguf", threads=1)


def test_a_file_that_ends_within_its_tensors_is_refused_and_leaves_nothing_behind(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cut.gguf").write_bytes(pair.gguf.read_bytes()[:-2000])
    with tempfile.TemporaryDirectory(prefix="sockets-") as temporary:
        monkeypatch.setattr("tempfile.tempdir", temporary)
        with pytest.raises(UserError, match="llama.cpp does not load"):
            LlamaCpp(tmp_path / "cut.gguf", threads=1)
        assert not list(Path(temporary).iterdir())


def test_a_file_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "page.gguf").write_text("<html>not found</html>")
    with pytest.raises(UserError, match="begins with b'<htm'"):
        LlamaCpp(tmp_path / "page.gguf", threads=1)


def test_a_file_without_a_chat_template_is_refused(pair: Pair, tmp_path: Path):
    file = rewritten(pair.gguf, tmp_path / "base.gguf", tokenizer__chat_template=None)
    with pytest.raises(UserError, match="has no chat template"):
        LlamaCpp(file, threads=1)


def test_a_tokenizer_of_another_kind_is_refused_by_name(pair: Pair, tmp_path: Path):
    file = rewritten(pair.gguf, tmp_path / "spm.gguf", tokenizer__ggml__model="llama")
    with pytest.raises(UserError, match='a tokenizer of the kind "llama"'):
        LlamaCpp(file, threads=1)


def test_a_cache_larger_than_memory_is_refused_before_it_is_taken(pair: Pair):
    with pytest.raises(UserError, match="needs .* for its key-value cache; there are"):
        _refuse_huge_cache(read_metadata(pair.gguf), 10**13)


def test_characters_of_several_bytes_come_whole(pair: Pair):
    text = "é漢字🙂 ok"
    server = LlamaServer(pair.gguf, threads=1, context_length=128, use_gpu=False)
    grammar = f'root ::= "{text}"'
    events = list(server.stream("/completion", {"prompt": [1], "n_predict": 60, "grammar": grammar, "temperature": 0}))
    server.close()
    assert [event["content"] for event in events if event["content"]][:4] == ["é", "漢", "字", "🙂"]
    assert "".join(event["content"] for event in events) == text


def test_the_socket_can_be_opened_by_its_owner_alone(pair: Pair):
    server = LlamaServer(pair.gguf, threads=1, context_length=64, use_gpu=False)
    folder = server._folder
    assert folder.stat().st_mode & 0o077 == 0
    server.close()
    assert not folder.exists()
