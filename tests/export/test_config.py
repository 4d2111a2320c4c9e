from pathlib import Path
from typing import Any

import pytest

from demiurgic.core.artifacts import Adapter, Dataset, Model
from demiurgic.core.errors import RecipeError
from demiurgic.core.metric import Summary
from demiurgic.export.export import STAGE, ExportConfig
from demiurgic.run.recipe import load_recipe
from demiurgic.run.stage import Stage, StageConfig


def _makes(name: str, kind: Any) -> Stage[StageConfig]:
    return Stage(name, StageConfig, lambda *_: Summary(), makes={name: kind})


STAGES = {
    stage.name: stage for stage in (_makes("rows", Dataset), _makes("big", Model), _makes("lora", Adapter), STAGE)
}


def read(tmp_path: Path, export: str) -> ExportConfig:
    path = tmp_path / "recipe.yaml"
    steps = "steps:\n  clean: {use: rows}\n  student: {use: big}\n  helper: {use: lora}\n"
    path.write_text(f"{steps}  file: {{use: export, {export}}}\n")
    config = load_recipe(path, STAGES).steps["file"].config
    assert isinstance(config, ExportConfig)
    return config


def test_a_model_is_exported_alone_and_an_adapter_with_its_base(tmp_path: Path):
    assert str(read(tmp_path, "model: student, type: q4_k_m").model) == "student.big"
    adapter = read(tmp_path, "model: helper, base: student, type: f16")
    assert (str(adapter.model), str(adapter.base)) == ("helper.lora", "student.big")


@pytest.mark.parametrize(
    ("export", "says"),
    [
        (
            "model: clean, type: f16",
            "file.model: wants a model or adapter; clean is a dataset. Steps above .*: student",
        ),
        ("model: studnt, type: f16", 'file.model: .*"studnt".* Did you mean "student"'),
        ("model: 7, type: f16", "file.model: wants a model or adapter, found 7"),
        ("model: helper, type: f16", "set base to that model"),
        ("model: student, base: student, type: f16", "leave base out"),
        ("model: helper, base: student, type: q8_0", "set type to f32 or f16"),
        ("model: student, type: q4km", 'There is no GGUF type "q4km".*Did you mean "q4_k_m"'),
        ("model: student", "file.type: is missing"),
        ("model: student, type: f16, format: onnx", "file.format: .*gguf"),
        ("model: student, type: f16, name: a/b", 'file.name: .*"a/b" is no plain name'),
        ("model: student, type: f16, name: my-phi-3", "file.name: .*contains phi-3"),
        ("model: student, type: f16, max_kl: 0", "file.max_kl: .*greater than 0"),
        ("model: student, type: f16, data: student", "file.data: wants a tokens"),
    ],
)
def test_a_mistake_is_named_when_the_recipe_is_read(export: str, says: str, tmp_path: Path):
    with pytest.raises(RecipeError, match=says) as raised:
        read(tmp_path, export)
    assert "recipe.yaml:5" in str(raised.value)
