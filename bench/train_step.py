"""A whole distillation step, this package and TRL side by side: tokens per second, and memory above the loaded models.

    python bench/train_step.py --peers ~/peers/bin/python

`bench/peers/README.md` says how to make that environment; without it only this package is measured. Student and
teacher are LLaMA-like with random weights, the loss is the forward KL over every token of the same windows, the
optimizer AdamW, all in fp32 on the CPU. Each contender runs in a process of its own, turn by turn, `--rounds` times;
seconds are medians over all steps but each process's first, from the end of one step to the end of the next. `CPU
s/step` is the work of all threads, which other programs on the machine disturb less. TRL's own settings are kept but
for bf16 and gradient checkpointing, which are off, and its sampling, which is left out. `models, MB` is the process
with both models loaded. A contender whose first loss is another stops the bench.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from demiurgic.core.console import Console, Progress
from made_up import WINDOWS, made_up_model, made_up_tokens
from tables import options, show

HERE = Path(__file__).parent
OURS, GKD, STABLE = "demiurgic", "TRL GKDTrainer, lmbda=0", "TRL DistillationTrainer"
PEERS = {GKD: "gkd", STABLE: "stable"}
TARGETS = {GKD: (1.3, 0.7), STABLE: (1.1, 1.0)}
"""At least so many times a peer's tokens per second, at most so many times its memory."""
STUDENT = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 4, "num_attention_heads": 8}
TEACHER = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 6, "num_attention_heads": 12}
LEARNING_RATE = 1e-4
SAME_LOSS = 1e-3
"""How far a contender's first loss may lie from ours, as a share of it: the step is the same, the rounding is not."""


def main() -> int:
    parser = options("A whole distillation step, beside TRL's.")
    parser.add_argument("--peers", type=Path, default=os.environ.get("DEMIURGIC_PEERS"), help="their interpreter")
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[32_000, 152_000])
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4, help="per process; the first is not counted")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)  # this package's process, on a folder made before
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(ours(arguments.one, steps=arguments.steps, batch=arguments.batch))
        return 0
    rows = []
    for vocabulary in arguments.vocabularies:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), vocabulary=vocabulary, length=arguments.length, batch=arguments.batch)
            found = taking_turns(Path(folder), arguments)
        rows += compared(found, vocabulary=vocabulary, tokens=arguments.batch * arguments.length)
    settings = {name: getattr(arguments, name) for name in ("length", "batch", "steps", "rounds", "threads")}
    show("Distillation steps: medians", rows, as_json=arguments.json, settings=settings)
    return 0


def make(
    folder: Path,
    *,
    vocabulary: int,
    length: int,
    batch: int,
    student: Mapping[str, int] = STUDENT,
    teacher: Mapping[str, int] = TEACHER,
) -> None:
    """Student, teacher and as many windows as a step has, so that every step of every contender trains on the same."""
    made_up_model(folder / "student", vocabulary=vocabulary, context=length, seed=1, **student)
    made_up_model(folder / "teacher", vocabulary=vocabulary, context=length, seed=2, **teacher)
    made_up_tokens(folder / "rows" / WINDOWS, folder / "student", num_windows=batch, length=length, seed=3)
    (folder / "ids.npy").write_bytes((folder / "rows" / WINDOWS / "ids.npy").read_bytes())


def taking_turns(folder: Path, arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Every contender once, then every contender again: what else the machine does hits all of them alike."""
    common = ["--steps", str(arguments.steps)]
    own = [sys.executable, str(HERE / "train_step.py"), "--one", str(folder), "--batch", str(arguments.batch)]
    commands = {OURS: [*own, *common]}
    if arguments.peers is not None:
        script = [str(arguments.peers), str(HERE / "peers" / "trl_step.py")]
        rate = ["--learning-rate", str(LEARNING_RATE)]
        commands |= {name: [*script, key, str(folder), *common, *rate] for name, key in PEERS.items()}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            found[name].append(one_process(command, threads=arguments.threads))
        refuse_other_losses(found)
    return found


def one_process(command: Sequence[str], *, threads: int) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def refuse_other_losses(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Raises SystemExit unless every process began with the same loss: else contenders did not do the same work."""
    wanted = found[OURS][0]["losses"][0]
    for name, runs in found.items():
        for run in runs:
            if not abs(run["losses"][0] - wanted) <= SAME_LOSS * abs(wanted):
                raise SystemExit(
                    f"{name} begins with the loss {run['losses'][0]:.6g}, {OURS} with {wanted:.6g}: they do not "
                    "compute the same, and their times say nothing about one another."
                )


def compared(found: Mapping[str, Sequence[Mapping[str, Any]]], *, vocabulary: int, tokens: int) -> list[dict[str, Any]]:
    """A row per contender: its medians, and this package's share of a peer's."""
    speed = {name: tokens / median([s for run in runs for s in run["seconds"]]) for name, runs in found.items()}
    memory = {name: median([run["peak_bytes"] for run in runs]) / 1e6 for name, runs in found.items()}
    return [
        {
            "vocabulary": vocabulary,
            "contender": name,
            "tokens/s": speed[name],
            "CPU s/step": median([s for run in runs for s in run["cpu_seconds"]]),
            "models, MB": median([run["loaded_bytes"] for run in runs]) / 1e6,
            "memory above models, MB": memory[name],
            "tokens/s, ours ÷ theirs": speed[OURS] / speed[name],
            "memory, ours ÷ theirs": memory[OURS] / memory[name],
            "wanted": "-" if name == OURS else "≥ {} and ≤ {}".format(*TARGETS[name]),
            "loss, first step": runs[0]["losses"][0],
            "loss, last step": runs[0]["losses"][-1],
        }
        for name, runs in found.items()
    ]


def ours(folder: Path, *, steps: int, batch: int) -> str:
    """The stage `train` itself, as a recipe would run it; one line of JSON."""
    sys.path.append(str(HERE / "peers"))
    from clock import StepClock

    import demiurgic
    from demiurgic.run.context import Context

    clock = StepClock()
    values = {
        "model": folder / "student" / "model", "teacher": folder / "teacher" / "model",
        "data": folder / "rows" / WINDOWS, "losses": ["forward_kl"], "steps": steps, "batch": batch,
        "learning_rate": LEARNING_RATE, "schedule": "constant", "weight_decay": 0.0, "betas": [0.9, 0.95],
        "gradient_clip": 1.0, "precision": "fp32",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        context = Context(console=_Watched(clock), device="cpu")
        made = demiurgic.run_stage("train", values, Path(out) / "student", seed=1, context=context)
        lines = [json.loads(line) for line in (made / "log.jsonl").read_text().splitlines()]
    clock.losses = [line["total"] for line in lines if "total" in line]
    return clock.report()


class _Watched(Console):
    """A console whose training bar tells the clock of each step."""

    def __init__(self, clock: Any) -> None:
        super().__init__(quiet=True)
        self.clock = clock

    @contextmanager
    def progress(self, what: str, total: float | None = None, *, done: float = 0) -> Iterator[Progress]:
        self.clock.loaded()
        yield _Bar(self.clock)


class _Bar:
    def __init__(self, clock: Any) -> None:
        self.clock = clock

    def advance(self, amount: float = 1) -> None:
        self.clock.done(0.0)  # the losses are read from the log

    def show(self, text: str) -> None:
        pass


if __name__ == "__main__":
    sys.exit(main())
