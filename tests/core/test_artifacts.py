import os
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from demiurgic.core.artifacts import Adapter, Dataset, Either, Manifest, Model, Scores, damage
from demiurgic.core.errors import UserError
from demiurgic.run.step import run_stage
from toys import STAGES


@pytest.fixture
def step(tmp_path: Path) -> Path:
    return run_stage(STAGES["numbers"], {"count": 3}, tmp_path / "numbers")


def test_a_dataset_gives_its_rows_back(step: Path):
    data = Dataset.open(step)
    assert [row.text for row in data.rows()] == ["0", "1", "2"]
    assert data.num_rows == 3
    assert Dataset.open(step / "rows").digest == data.digest


def test_a_wrong_kind_is_refused(step: Path):
    with pytest.raises(UserError, match=r"holds rows \(dataset\); wanted one scores"):
        Scores.open(step)


class Reading(BaseModel):
    data: Either[Dataset | Scores]
    model: Either[Model | Adapter] | None = None


def test_a_folder_is_read_as_either_of_two_kinds(step: Path):
    assert Reading(data=step).data == Dataset.open(step)
    assert Reading(data=step / "rows").data == Dataset.open(step)
    with pytest.raises(ValidationError, match=r"holds rows \(dataset\); wanted one model or adapter"):
        Reading(data=step, model=step)
    with pytest.raises(ValidationError, match=r"rows is a dataset; wanted a model or adapter"):
        Reading(data=step, model=step / "rows")


def test_a_folder_without_manifest_is_not_an_artifact(tmp_path: Path):
    with pytest.raises(UserError, match=r"is not an artifact: it has no manifest.json"):
        Dataset.open(tmp_path)


def test_a_flipped_byte_is_found(step: Path):
    shard = step / "rows" / "rows-00000.parquet"
    stat = shard.stat()
    content = bytearray(shard.read_bytes())
    content[10] ^= 1
    shard.write_bytes(content)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    part = Manifest.read(step).parts["rows"]
    assert damage(step / "rows", part) is None  # size and time alone cannot see it
    assert "does not have the content" in (damage(step / "rows", part, full=True) or "")
    with pytest.raises(UserError, match="corrupted: delete"):
        Dataset.open(step)


def test_a_copied_store_with_new_times_is_whole(step: Path):
    shard = step / "rows" / "rows-00000.parquet"
    os.utime(shard, (1, 1))
    assert damage(step / "rows", Manifest.read(step).parts["rows"]) is None


def test_a_truncated_or_missing_file_is_found(step: Path):
    shard = step / "rows" / "rows-00000.parquet"
    part = Manifest.read(step).parts["rows"]
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "bytes where" in (damage(step / "rows", part) or "")
    shard.unlink()
    assert "is missing" in (damage(step / "rows", part) or "")


@pytest.mark.parametrize("text", ["", "{", '{"parts": 3}', "[]"])
def test_a_damaged_manifest_is_a_users_error(step: Path, text: str):
    (step / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="is damaged"):
        Manifest.read(step)


def test_a_manifest_survives_writing_and_reading(step: Path):
    manifest = Manifest.read(step)
    manifest.write(step)
    assert Manifest.read(step) == manifest
