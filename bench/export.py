"""What exporting costs and loses, type by type: seconds, bytes, bits per weight, and the distance to the source.

    python bench/export.py                                    a model of 100M random parameters
    python bench/export.py --store store --step student       a trained model of a store
    python bench/export.py --types f16,q8_0,q4_k_m --layers 4 --hidden 512
    python bench/export.py --types all                        every type, about three times as long

Beside llama.cpp's own quantizer where there is one: `llama-quantize` on the PATH, or the package llama_cpp.
"""

import ctypes
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demiurgic.core.artifacts import Model
from demiurgic.core.optional import installed
from demiurgic.models.gguf.limits import limit_of
from demiurgic.models.gguf.types import FILE_TYPES
from demiurgic.models.gguf.verify import verify
from demiurgic.models.gguf.write import write_gguf
from demiurgic.run.engine import usable_cores
from demiurgic.run.store import Store
from tables import options, show

Quantizer = Callable[[Path, Path, str], None]
"""Makes the second file from the first, an f32 GGUF, in a type."""


TYPES = ("f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")
"""The best of each size; the rest are their neighbours, and those that take half a minute to choose their values."""


def main() -> int:
    parser = options("Exports of one model: seconds, bytes and distance to the source, per type.")
    parser.add_argument("--store", help="take a trained model from this store")
    parser.add_argument("--step", default="student", help="the step that made it")
    parser.add_argument("--types", default=",".join(TYPES), help="names with commas between, or all")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--vocab", type=int, default=16_384)
    arguments = parser.parse_args()
    types = list(FILE_TYPES) if arguments.types == "all" else arguments.types.split(",")
    peers = quantizers()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if arguments.store:
            source = Model.open(Store(Path(arguments.store)).named(arguments.step)).path
        else:
            source = random_model(folder, layers=arguments.layers, hidden=arguments.hidden, vocab=arguments.vocab)
        plain = write_gguf(source, folder / "plain.gguf", type="f32", name="bench", workers=arguments.threads).file
        rows = [row(type, source, plain, folder, threads=arguments.threads, peers=peers) for type in types]
        title = (
            f"Exports of {source.name}, {weights_bytes(source) / 1e6:,.0f} MB of weights, {arguments.threads} threads"
        )
    show(
        title,
        rows,
        as_json=arguments.json,
        peers=", ".join(peers) or "none: neither llama-quantize on the PATH nor the package llama_cpp is here",
    )
    return 0


def row(
    type: str, source: Path, plain: Path, folder: Path, *, threads: int, peers: dict[str, Quantizer]
) -> dict[str, Any]:
    started = time.perf_counter()
    written = write_gguf(source, folder / f"{type}.gguf", type=type, name="bench", workers=threads)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    found = verify(written.file, source, threads=threads, scratch=folder)
    found_row = {
        "type": type,
        "seconds": seconds,
        "MB/s": weights_bytes(source) / 1e6 / seconds,
        "MB": written.num_bytes / 1e6,
        "bits/weight": written.bits_per_weight,
        "KL": f"{found.divergence.mean_kl:.1e}",
        "top-1 %": 100 * found.divergence.top1,
        "verify seconds": time.perf_counter() - started,
        "within limit": "yes" if not found.misses(limit_of(type)) else "no",
    }
    for name, quantize in peers.items():
        found_row |= beside(name, quantize, written.file, plain, type)
    written.file.unlink()
    return found_row


def beside(name: str, quantize: Quantizer, ours: Path, plain: Path, type: str) -> dict[str, Any]:
    """A peer's seconds from an f32 GGUF, and whether all tensors have the same bytes as ours."""
    import gguf

    theirs = ours.with_name("theirs.gguf")
    started = time.perf_counter()
    quantize(plain, theirs, type)
    seconds = time.perf_counter() - started
    pairs = zip(gguf.GGUFReader(ours).tensors, gguf.GGUFReader(theirs).tensors, strict=True)
    same = all(our.name == their.name and our.data.tobytes() == their.data.tobytes() for our, their in pairs)
    theirs.unlink()
    return {f"{name} seconds": seconds, f"{name} bytes": "the same" if same else "others"}


def quantizers() -> dict[str, Quantizer]:
    found: dict[str, Quantizer] = {}
    if shutil.which("llama-quantize"):
        found["llama-quantize"] = by_command
    if installed("llama_cpp"):
        found["llama_cpp"] = by_package
    return found


def by_command(plain: Path, out: Path, type: str) -> None:
    subprocess.run(["llama-quantize", str(plain), str(out), type.upper()], check=True, capture_output=True)


def by_package(plain: Path, out: Path, type: str) -> None:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[type].number
    if llama_cpp.llama_model_quantize(str(plain).encode(), str(out).encode(), ctypes.byref(params)):
        sys.exit(f"llama_cpp does not quantize to {type}")


def random_model(folder: Path, *, layers: int, hidden: int, vocab: int) -> Path:
    """A LLaMA with random weights and a small tokenizer; most ids have no token."""
    from demiurgic.create.bpe import save_tokenizer, train_bpe
    from demiurgic.dialects import DIALECTS
    from demiurgic.models.build import build_model
    from demiurgic.models.load import save_model
    from demiurgic.models.probes import TEXTS
    from demiurgic.models.shape import Shape
    from demiurgic.models.tokenizer import load_tokenizer

    dialect = DIALECTS["chatml"]
    save_tokenizer(train_bpe(TEXTS, size=320, special_tokens=dialect.special_tokens), folder / "words", dialect=dialect)
    shape = Shape(
        description="for a benchmark",
        hidden=hidden,
        layers=layers,
        heads=hidden // 64,
        kv_heads=max(1, hidden // 256),
        head_dim=64,
        intermediate=3 * hidden,
        vocab=vocab,
        context=512,
        tied=False,
    )
    model = build_model(shape, load_tokenizer(folder / "words"), seed=0)
    model.resize_token_embeddings(vocab, mean_resizing=False)
    save_model(model, folder / "words", folder / "random")
    return folder / "random"


def weights_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


if __name__ == "__main__":
    sys.exit(main())
