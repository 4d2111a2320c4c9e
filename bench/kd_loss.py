"""What a distillation loss costs from hidden states to all gradients: seconds, memory, and on CUDA its error.

    python bench/kd_loss.py
    python bench/kd_loss.py --device cuda --loss jsd

Hidden states of student and teacher go in; gradients of the student's hidden states and of its head come out. Beside
it the same in plain PyTorch: logits of all tokens, log-softmax, autograd. On CUDA, at the shapes that Liger publishes,
Liger's own losses too where it is installed (`--loss jsd` alone: it is what both have).

Seconds are medians over turns in one process, in changing order; those of the processor tell more where other programs
run. Memory is the peak beyond what goes in and comes out:
on a CPU the high-water mark of a fresh process, on CUDA the allocator's.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from demiurgic.models.head import OutputHead
from demiurgic.models.layers import FINAL
from demiurgic.train.chunk import Workspace
from demiurgic.train.components import components_of
from demiurgic.train.head import Head
from demiurgic.train.head_loss import head_losses
from demiurgic.train.losses import LOSSES
from demiurgic.train.signals.states import StateTokens
from demiurgic.train.walk import Supervised
from tables import options, show

OURS, PLAIN = "demiurgic", "plain PyTorch"
CHUNKED, FUSED = "Liger chunked JSD", "Liger fused JSD"
CPU_SHAPES = ((512, 32_000, 1_024), (512, 32_000, 4_096), (512, 128_000, 1_024), (512, 128_000, 4_096))
"""Hidden width, vocabulary, tokens."""
CUDA_SHAPES = tuple((4_096, 128_256, tokens) for tokens in (1_024, 2_048, 4_096, 8_192))


def main() -> int:
    parser = options(__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--loss", default="forward_kl", choices=sorted(PLAIN_LOSSES))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--shapes", nargs="+", help="HIDDENxVOCABULARYxTOKENS", type=shape_of)
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # one contender's peak, in this process
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    shapes = arguments.shapes or (CUDA_SHAPES if device.type == "cuda" else CPU_SHAPES)
    if arguments.peak:
        print(json.dumps(peak_bytes(inputs_of(shapes[0], device), arguments.peak, arguments.loss)))
        return 0
    rows = [row for shape in shapes for row in compared(shape, device, arguments.loss, turns=arguments.turns)]
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    show(
        f"{arguments.loss}, forward and backward, medians of {arguments.turns} turns; {where}",
        rows,
        as_json=arguments.json,
    )
    return 0


def shape_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("x"))


@dataclass(frozen=True)
class Inputs:
    """N tokens of both models, with their heads."""

    hidden_ND: Tensor
    weight_VD: Tensor
    teacher_ND: Tensor
    teacher_VD: Tensor
    labels_N: Tensor

    @property
    def gradient_bytes(self) -> int:
        return self.hidden_ND.nbytes + self.weight_VD.nbytes


def inputs_of(shape: tuple[int, ...], device: torch.device) -> Inputs:
    """Logits have a standard deviation of about 2."""
    width, vocab_size, num_tokens = shape
    torch.manual_seed(1)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    made = [
        torch.randn(rows, width, device=device).mul_(scale).to(dtype)
        for _ in range(2)
        for rows, scale in ((num_tokens, 1.0), (vocab_size, 2 / width**0.5))
    ]
    labels_N = torch.randint(0, vocab_size, (num_tokens,), device=device)
    return Inputs(made[0].requires_grad_(), made[1].requires_grad_(), made[2], made[3], labels_N)


def ours(inputs: Inputs, loss: str) -> Callable[[], Tensor]:
    bf16, workspace = inputs.hidden_ND.dtype == torch.bfloat16, Workspace()
    weights_N = torch.full_like(inputs.labels_N, 1 / len(inputs.labels_N), dtype=torch.float32)
    teacher = StateTokens({FINAL: inputs.teacher_ND}, Head(OutputHead(inputs.teacher_VD), bf16=bf16))
    tokens, chosen = Supervised(inputs.labels_N, weights_N, teacher), components_of([LOSSES.choose(loss)])

    def total() -> Tensor:
        head = OutputHead(inputs.weight_VD)
        return head_losses(inputs.hidden_ND, head, tokens, components=chosen, workspace=workspace, bf16=bf16).total

    return total


def plain_jsd(log_s: Tensor, log_p: Tensor) -> Tensor:
    log_m = (0.5 * (log_s.exp() + log_p.exp())).log()
    return 0.5 * sum(kl_div(log_m, log_one, reduction="batchmean", log_target=True) for log_one in (log_s, log_p))


PLAIN_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "forward_kl": partial(kl_div, reduction="batchmean", log_target=True),
    "reverse_kl": lambda log_s, log_p: kl_div(log_p, log_s, reduction="batchmean", log_target=True),
    "jsd": plain_jsd,
}


def plain(inputs: Inputs, loss: str, *, dtype: torch.dtype | None = None) -> Callable[[], Tensor]:
    """Logits in the inputs' own numbers, then the loss in `dtype` (fp32): what is most often written."""

    def total() -> Tensor:
        log_s = (inputs.hidden_ND @ inputs.weight_VD.T).to(dtype or torch.float32).log_softmax(-1)
        with torch.no_grad():
            log_p = (inputs.teacher_ND @ inputs.teacher_VD.T).to(dtype or torch.float32).log_softmax(-1)
        return PLAIN_LOSSES[loss](log_s, log_p)

    return total


def liger_chunked(inputs: Inputs, loss: str) -> Callable[[], Tensor]:
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    module = LigerFusedLinearJSDLoss(weight_hard_loss=0.0, weight_soft_loss=1.0, beta=0.5)
    heads = (inputs.hidden_ND, inputs.weight_VD, inputs.teacher_ND, inputs.teacher_VD)
    return lambda: module(*heads, inputs.labels_N, None, None)


def liger_fused(inputs: Inputs, loss: str) -> Callable[[], Tensor]:
    from liger_kernel.transformers.fused_linear_jsd import LigerFusedLinearJSD

    module = LigerFusedLinearJSD(jsd_beta=0.5)
    heads = (inputs.hidden_ND, inputs.weight_VD, inputs.teacher_ND, inputs.teacher_VD)
    return lambda: module(*heads, None)


CONTENDERS: Mapping[str, Callable[[Inputs, str], Callable[[], Tensor]]] = {
    OURS: ours,
    PLAIN: plain,
    CHUNKED: liger_chunked,
    FUSED: liger_fused,
}


def contenders(device: torch.device, loss: str) -> list[str]:
    if device.type != "cuda" or loss != "jsd":
        return [OURS, PLAIN]
    try:
        import liger_kernel  # noqa: F401
    except ModuleNotFoundError:
        return [OURS, PLAIN]
    return list(CONTENDERS)


def differentiate(inputs: Inputs, total: Callable[[], Tensor]) -> None:
    inputs.hidden_ND.grad = inputs.weight_VD.grad = None
    total().backward()


class Timing(NamedTuple):
    """Of one forward and backward pass."""

    seconds: float
    processor_seconds: float


def timed(inputs: Inputs, step: Callable[[], Tensor]) -> Timing:
    _finish(inputs.hidden_ND.device)
    started, processor = time.perf_counter(), time.process_time()
    differentiate(inputs, step)
    _finish(inputs.hidden_ND.device)
    return Timing(time.perf_counter() - started, time.process_time() - processor)


def compared(shape: tuple[int, ...], device: torch.device, loss: str, *, turns: int) -> list[dict[str, Any]]:
    """A row for each contender."""
    names = contenders(device, loss)
    peaks = {name: _peak_in_a_process(shape, device, loss, name) for name in names}
    inputs = inputs_of(shape, device)
    steps = {name: CONTENDERS[name](inputs, loss) for name in names}
    found: dict[str, list[Timing]] = {name: [] for name in names}
    for turn in range(turns + 1):
        for name in names if turn % 2 else reversed(names):
            timing = timed(inputs, steps[name])
            if turn:  # the first one warms up
                found[name].append(timing)
    middle = {name: Timing(*map(median, zip(*timings, strict=True))) for name, timings in found.items()}
    errors = gradient_errors(shape, device, loss, names) if device.type == "cuda" else {}
    return [
        {
            "hidden": shape[0],
            "vocabulary": shape[1],
            "tokens": shape[2],
            "who": name,
            "ms": 1e3 * middle[name].seconds,
            "time ratio": middle[name].seconds / middle[PLAIN].seconds,
            "processor ratio": middle[name].processor_seconds / middle[PLAIN].processor_seconds,
            "MB beyond": peaks[name] / 1e6,
            "memory ratio": peaks[name] / peaks[PLAIN],
            **({"gradient error": f"{errors[name]:.1e}"} if errors else {}),
        }
        for name in names
    ]


def gradient_errors(shape: tuple[int, ...], device: torch.device, loss: str, names: list[str]) -> dict[str, float]:
    """Relative error of the hidden states' gradient against fp64, on 1,024 tokens."""
    inputs = inputs_of((*shape[:2], 1_024), device)
    exact = Inputs(
        *(getattr(inputs, name).detach().double() for name in Inputs.__annotations__ if name != "labels_N"),
        inputs.labels_N,
    )
    for tensor in (exact.hidden_ND, exact.weight_VD):
        tensor.requires_grad_()
    differentiate(exact, plain(exact, loss, dtype=torch.float64))
    wanted = exact.hidden_ND.grad
    assert wanted is not None
    found = {}
    for name in names:
        differentiate(inputs, CONTENDERS[name](inputs, loss))
        assert inputs.hidden_ND.grad is not None
        found[name] = float((inputs.hidden_ND.grad.double() - wanted).norm() / wanted.norm())
    return found


def peak_bytes(inputs: Inputs, name: str, loss: str) -> int:
    """The most memory beyond inputs and gradients while one contender works for the first time in this process."""
    step = CONTENDERS[name](inputs, loss)
    if inputs.hidden_ND.is_cuda:
        differentiate(inputs, step)
        inputs.hidden_ND.grad = inputs.weight_VD.grad = None
        step = CONTENDERS[name](inputs, loss)  # buffers that are kept from call to call count too
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        differentiate(inputs, step)
        return torch.cuda.max_memory_allocated() - before - inputs.gradient_bytes
    Path("/proc/self/clear_refs").write_text("5")  # the mark begins again at what is held now
    before = _status_bytes("VmHWM")
    differentiate(inputs, step)
    return _status_bytes("VmHWM") - before - inputs.gradient_bytes


def _peak_in_a_process(shape: tuple[int, ...], device: torch.device, loss: str, name: str) -> int:
    own = [sys.executable, __file__, "--device", device.type, "--loss", loss, "--peak", name]
    command = [*own, "--shapes", "x".join(map(str, shape))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(json.loads(done.stdout))


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    raise SystemExit(main())
