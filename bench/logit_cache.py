"""What a teacher's word costs on disk, to keep and to read; and, with --students, what students learn from each form.

    python bench/logit_cache.py
    python bench/logit_cache.py --students --store store-logit-cache --seeds 5

Sizes and speeds: a made-up model of 4,096 words, and made-up distributions over 128,256 words that are as sharp as
those of large models on text (2 nats, Zipf's law at each token). Every row that is read is checked, as in training.

Students: the demo's teacher after 300 steps, on a third of the rows that the demo's student sees (recipes/stdlib.yaml);
students of 120 short steps that differ in their teacher's form alone, scored on 100 held-out rows. Differences to the
live teacher are paired within a seed; their intervals are Student's t over the seeds. Five seeds take about 10 minutes
of processor time.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import demiurgic
from demiurgic.api import find_recipe
from demiurgic.run.yaml_lines import parse_yaml, read_yaml
from demiurgic.stats.intervals import mean
from seeds import ledger_of, metrics_of, row, walked
from tables import options, show

FORMS: dict[str, dict[str, Any]] = {
    "hidden fp32": {"use": "hidden", "dtype": "fp32"},
    "hidden bf16": {"use": "hidden"},
    "top_k 64": {"use": "top_k", "k": 64},
    "top_k 12": {"use": "top_k", "k": 12},
    "samples 50": {"use": "samples", "draws": 50},
}
WINDOWS, LENGTH, BATCH = 64, 256, 8
SHARP_WINDOWS = 4
SHARP_WORDS = 128_256
ZIPF = (1.15, 3.0)
"""Exponents of the made-up distributions, evenly spread over the tokens."""

DATA_AND_TEACHER = ("raw", "clean", "words", "rows", "few", "checks", "big", "teacher", "small")
"""The steps of the demo that the students share."""
STUDENTS = """
word_hidden:  {use: cache_logits, data: few, teacher: teacher, keep: {use: hidden}}
word_top_k:   {use: cache_logits, data: few, teacher: teacher, keep: {use: top_k, k: 12}}
word_samples: {use: cache_logits, data: few, teacher: teacher, keep: {use: samples, draws: 50}}
live:    {use: train, model: small, data: few, teacher: teacher, losses: [forward_kl], steps: 120, batch: 2,
          learning_rate: 2.0e-3, warmup_steps: 20}
hidden:  {like: live, teacher: word_hidden}
top_k:   {like: live, teacher: word_top_k}
samples: {like: live, teacher: word_samples}
control: {like: live, teacher: null, losses: [cross_entropy]}
score:   {use: evaluate, data: clean.held_out, cluster_by: module,
          models: {live: live, hidden: hidden, top_k: top_k, samples: samples, control: control},
          compare: [[hidden, live], [top_k, live], [samples, live], [control, live]],
          suites: [{use: bits_per_byte, max_rows: 100}, {use: calibration, max_rows: 100}]}
"""
"""12 words: as many as 50 draws leave of each token on large models (arXiv 2503.16870)."""
SHORTER = {"few": {"share": 0.01}, "teacher": {"steps": 300, "evaluate_every": 150}}
"""How well the teacher teaches is not asked here, but what of its word arrives."""
PER_SEED = ("small", "word_samples", "live", "score")
"""The others are like the live one; words are drawn anew for each seed."""


def main() -> int:
    parser = options("Bytes, speed and worth of a teacher's word on disk.")
    parser.add_argument("--students", action="store_true", help="train students from each form (long)")
    parser.add_argument("--store", default="store-logit-cache")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="STEP.FIELD=VALUE")
    arguments = parser.parse_args()
    return students(arguments) if arguments.students else sizes(arguments)


def sizes(arguments: argparse.Namespace) -> int:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        made_up = MadeUp.model(Path(folder))
        rows += [measured(name, keep, made_up, Path(folder)) for name, keep in FORMS.items()]
        sharp = MadeUp.sharp(Path(folder))
        words = [(name, keep) for name, keep in FORMS.items() if keep["use"] != "hidden"]
        rows += [measured(name, keep, sharp, Path(folder)) for name, keep in words]
    show("A teacher's word on disk", rows, as_json=arguments.json)
    return 0


@dataclass(frozen=True)
class MadeUp:
    """A teacher, and windows of random tokens for it."""

    name: str
    teacher: Any
    windows: Any

    @classmethod
    def model(cls, folder: Path) -> "MadeUp":
        """Two blocks with random weights: hidden states of 256, 4,096 words."""
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        from demiurgic.train.signals.live import LiveTeacher

        shape = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = LlamaConfig(vocab_size=4096, num_key_value_heads=2, initializer_range=0.15, **shape)
        torch.manual_seed(1)
        teacher = LiveTeacher(LlamaForCausalLM(config), bf16=False)
        return cls("model, 4,096 words", teacher, random_windows(folder / "small", WINDOWS, vocab_size=4096))

    @classmethod
    def sharp(cls, folder: Path) -> "MadeUp":
        windows = random_windows(folder / "large", SHARP_WINDOWS, vocab_size=SHARP_WORDS)
        return cls(f"Zipf, {SHARP_WORDS:,} words", SharpTeacher(SHARP_WORDS), windows)


class SharpTeacher:
    """Says Zipf's law of each token, flat of the first of a batch and sharp of the last."""

    signal = "live"
    hidden_width = None

    def __init__(self, vocab_size: int) -> None:
        import torch

        self.log_rank_V = torch.arange(1, vocab_size + 1).log()

    def read(self, batch: Any, tokens: Any) -> "SharpTeacher":
        self.num_tokens = len(tokens.labels_N)
        return self

    def chunk(self, tokens: slice, workspace: Any) -> Any:
        import torch

        from demiurgic.train.chunk import Prediction

        exponents_N = torch.linspace(*ZIPF, self.num_tokens)[tokens]
        return Prediction(torch.mul(-exponents_N[:, None], self.log_rank_V, out=workspace.lend()), workspace)


def random_windows(folder: Path, num_windows: int, *, vocab_size: int) -> Any:
    import numpy as np

    from demiurgic.models.tokenizer import Encoded
    from demiurgic.models.windows import Windows, pack, write_windows

    dice = np.random.default_rng(1)
    rows = [Encoded(dice.integers(0, vocab_size, LENGTH).tolist(), [1.0] * LENGTH) for _ in range(num_windows)]
    ids = [str(number) for number in range(num_windows)]
    facts = {"vocab_size": vocab_size, "tokenizer_digest": "", "dialect": "texts"}
    write_windows(folder, pack(rows, length=LENGTH), row_ids=ids, **facts)
    return Windows.open(folder)


def measured(name: str, keep: dict[str, Any], made_up: MadeUp, folder: Path) -> dict[str, Any]:
    """One form: capture, then two readings of all windows in batches, of which the second counts."""
    import torch
    from pydantic import TypeAdapter

    from demiurgic.core.seeds import Seeds
    from demiurgic.models.head import output_head
    from demiurgic.train.batch import TokenBatch
    from demiurgic.train.cache.capture import Capture
    from demiurgic.train.cache.facts import CacheFacts
    from demiurgic.train.cache.hidden_rows import write_head
    from demiurgic.train.cache.keep import Keep, KeepHidden
    from demiurgic.train.cache.reader import Cache
    from demiurgic.train.cache.writer import CacheWriter
    from demiurgic.train.signals.cached import cached_signal

    windows, device = made_up.windows, torch.device("cpu")
    kept = TypeAdapter(Keep).validate_python(keep)
    head = output_head(made_up.teacher.model) if isinstance(kept, KeepHidden) else None
    facts = CacheFacts(
        keep=kept,
        num_windows=len(windows),
        num_tokens=windows.counts.supervised,
        vocab_size=windows.vocab_size,
        tokens_digest="",
        teacher={"name": made_up.name},
        precision="fp32",
        width=made_up.teacher.hidden_width if head is not None else None,
        rule=head.rule if head is not None else None,
    )
    part = folder / f"{made_up.name} {name}"
    capture = Capture(made_up.teacher, windows, kept, batch=BATCH, device=device, precision="fp32", seeds=Seeds(1))
    with CacheWriter(part, facts.arrays, commit_path=folder / f"{part.name}.json") as writer:
        if head is not None:
            write_head(part, head, vocab_size=windows.vocab_size)
        capture.run(writer, after_batch=lambda: None)
        writer.finish(facts)
        seconds = writer.counts["seconds"]
    signal = cached_signal(Cache.open(part), windows, device=device, bf16=False)
    batches = [
        windows.batch(list(range(start, min(start + BATCH, len(windows))))) for start in range(0, len(windows), BATCH)
    ]
    for _ in range(2):
        started = time.perf_counter()
        for batch in batches:
            there = TokenBatch.of(batch, device=device)
            signal.read(there, there.supervised())
        read_seconds = time.perf_counter() - started
    num_tokens = windows.counts.supervised
    num_bytes = sum(path.stat().st_size for path in part.glob("*.bin"))
    return {
        "teacher": made_up.name,
        "kept": name,
        "bytes/token": num_bytes / num_tokens,
        "words/token": words_of(part, kept, num_tokens),
        "entropy": mean_entropy(part, kept),
        "capture tokens/s": round(num_tokens / seconds),
        "read tokens/s": round(num_tokens / read_seconds),
    }


def words_of(part: Path, keep: Any, num_tokens: int) -> Any:
    if keep.use == "samples":
        import numpy as np

        return float(np.fromfile(part / "distinct.bin", np.uint8).sum() / num_tokens)
    return keep.k if keep.use == "top_k" else "-"


def mean_entropy(part: Path, keep: Any) -> Any:
    if keep.use != "samples":
        return "-"
    import numpy as np

    return float(np.fromfile(part / "entropy.bin", "<f4").mean())


def students(arguments: argparse.Namespace) -> int:
    path = write_experiment(Path(f"{arguments.store}.yaml"), list(range(1, arguments.seeds + 1)))
    outcomes = walked(demiurgic.load_recipe(path, overrides=arguments.set), arguments.store)
    scores, caches = metrics_of(outcomes, "score["), metrics_of(outcomes, "word_")
    show(
        f"Students of one teacher in several forms, over {len(scores)} seeds: mean and 95 % interval (Student's t)",
        list(outcome_rows(list(scores.values()))),
        as_json=arguments.json,
        ledger=ledger_of(scores, recipe="logit_cache", store=arguments.store),
        bytes_per_token=", ".join(f"{step} {metrics['bytes_per_token'].value:.1f}" for step, metrics in caches.items()),
    )
    return 0


def outcome_rows(scores: list[Any]) -> Iterable[dict[str, object]]:
    for metric in ("bits_per_byte", "ece"):
        names = {name.rpartition(".")[0] for metrics in scores for name in metrics if name.endswith(f".{metric}")}
        for name in sorted(names):
            yield row(metric, name, mean([metrics[f"{name}.{metric}"].value for metrics in scores]))


def write_experiment(path: Path, seeds: list[int]) -> Path:
    """Write a recipe: the demo's data and teacher, its word in three forms, and a student of each for each seed."""
    demo = read_yaml(find_recipe("stdlib")).value
    steps = {name: demo["steps"][name] for name in DATA_AND_TEACHER} | parse_yaml(STUDENTS).value
    for name, values in SHORTER.items():
        steps[name] |= values
    for name in PER_SEED:
        steps[name]["for_each"] = {"seed": seeds}
    recipe = {"name": "logit_cache", "seed": demo["seed"], "steps": steps}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recipe, indent=1), encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
