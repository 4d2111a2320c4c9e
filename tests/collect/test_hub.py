"""Downloads from a hub on the loopback: whole, resumed, refused, and pinned to what the hub lists."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demiurgic.collect.hub import Repository, download, keep_only, list_files, require_commit
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from loopback_hub import COMMIT, Hub, loopback_hub

WEIGHTS = bytes(range(256)) * 4000


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "run.py").write_text("print('never')")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with loopback_hub(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def bring(folder: Path, *, name: str = "tiny/model", revision: str = COMMIT) -> None:
    repository = Repository.named(name)
    files = list_files(repository, revision=revision)
    wanted = [file for name, file in files.items() if not name.endswith(".py")]
    download(repository, wanted, revision=revision, folder=folder, console=Console(quiet=True))


def test_the_selected_files_of_a_commit_come_in_whole(hub: Hub, tmp_path: Path):
    bring(tmp_path / "got")
    keep_only(tmp_path / "got", ["config.json", "model.safetensors"])
    assert sorted(path.name for path in (tmp_path / "got").iterdir()) == ["config.json", "model.safetensors"]
    assert (tmp_path / "got" / "model.safetensors").read_bytes() == WEIGHTS


def test_a_cut_connection_goes_on_where_it_broke_off(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Where it broke off counts in the library's chunks, of 10 MB.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16)
    hub.cut_after["model.safetensors"] = 300_000
    bring(tmp_path / "got")
    assert (tmp_path / "got" / "model.safetensors").read_bytes() == WEIGHTS
    first, second = hub.asked_for("model.safetensors")
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 300_000


def test_what_an_earlier_run_brought_in_whole_is_not_asked_for_again(hub: Hub, tmp_path: Path):
    bring(tmp_path / "got")
    (tmp_path / "got" / "config.json").unlink()
    bring(tmp_path / "got")
    assert len(hub.asked_for("model.safetensors")) == 1
    assert len(hub.asked_for("config.json")) == 2


def test_a_file_that_is_not_what_the_hub_lists_is_refused_and_deleted(hub: Hub, tmp_path: Path):
    hub.replaced["model.safetensors"] = WEIGHTS[::-1]
    with pytest.raises(UserError, match="is not what the hub lists"):
        bring(tmp_path / "got")
    assert not (tmp_path / "got" / "model.safetensors").exists()


def test_a_damaged_small_file_is_refused(hub: Hub, tmp_path: Path):
    bring(tmp_path / "got")
    (tmp_path / "got" / "config.json").write_text('{"model_type": "other"}')
    with pytest.raises(UserError, match=r"config.json is not what the hub lists"):
        bring(tmp_path / "got")
    bring(tmp_path / "got")
    assert (tmp_path / "got" / "config.json").read_text() == '{"model_type": "llama"}'


def test_a_gated_repository_says_where_to_accept_its_terms(hub: Hub, tmp_path: Path):
    hub.gated = True
    with pytest.raises(UserError, match=r"tiny/model is gated. Accept its terms at http.*/tiny/model .* HF_TOKEN"):
        bring(tmp_path / "got")


def test_a_missing_or_private_repository_is_said_to_be(hub: Hub, tmp_path: Path):
    with pytest.raises(UserError, match="no repository tiny/other, or it is private"):
        bring(tmp_path / "got", name="tiny/other")


def test_a_commit_that_does_not_exist_is_refused(hub: Hub, tmp_path: Path):
    with pytest.raises(UserError, match="tiny/model has no revision ffff"):
        bring(tmp_path / "got", revision="f" * 40)


def test_a_branch_is_refused_with_the_commit_it_is_now(hub: Hub):
    repository = Repository.named("tiny/model")
    for revision in (None, "main", COMMIT[:12]):
        with pytest.raises(UserError, match=f"revision: {COMMIT}$|no revision {COMMIT[:12]}"):
            require_commit(repository, revision)
    assert require_commit(repository, COMMIT) == COMMIT


def test_a_hub_that_does_not_answer_is_no_ones_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"The hub at http://127.0.0.1:9 does not answer"):
        bring(tmp_path / "got")


def test_a_full_disk_is_seen_before_anything_is_downloaded(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"1.0 MB are to be downloaded .* has 1.0 kB free"):
        bring(tmp_path / "got")
    assert not hub.asked_for("model.safetensors")


def test_the_token_goes_to_the_hub_alone(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with loopback_hub(hub.folder) as files:
        hub.files_host = files.url
        bring(tmp_path / "got")
    assert {token for _, _, _, token in hub.asked} == {"Bearer hf_secret"}
    assert files.asked_for("model.safetensors")
    assert {token for _, _, _, token in files.asked} == {None}


def test_a_password_in_the_address_of_the_hub_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://ada:sec@secret@127.0.0.1:9/mirror/")
    repository = Repository.named("tiny/model")
    assert repository.page == "http://127.0.0.1:9/mirror/tiny/model"
    with pytest.raises(UserError, match=r"The hub at http://127.0.0.1:9/mirror does not answer") as refused:
        bring(tmp_path / "got")
    assert "secret" not in str(refused.value)


def test_only_what_is_named_is_kept_in_a_folder(tmp_path: Path):
    (tmp_path / "kept.json").write_text("{}")
    (tmp_path / "stray.json").write_text("{}")
    (tmp_path / ".cache" / "huggingface").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path.parent)
    keep_only(tmp_path, ["kept.json"])
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert tmp_path.parent.is_dir()


@pytest.mark.parametrize(
    "name", ["model", "a/b/c", "https://huggingface.co/a/b", "a/../b", "a/model.git", "a/b--c", "a/-x", "a/modèle"]
)
def test_what_is_no_name_of_a_repository_is_refused(name: str):
    with pytest.raises(UserError, match="wanted owner/name"):
        Repository.named(name)
