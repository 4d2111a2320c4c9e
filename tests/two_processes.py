"""A function of a test module, run by two processes that know of one another (gloo, on loopback)."""

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent

WORKER = """
import os, pickle, sys
from importlib import import_module
from pathlib import Path
sys.path[:0] = {paths!r}
function = getattr(import_module({module!r}), {name!r})
result = function(*pickle.loads({arguments!r}))
import torch.distributed as dist
assert dist.get_world_size() == 2
Path({out!r}, str(dist.get_rank())).write_bytes(pickle.dumps(result))
dist.barrier()
dist.destroy_process_group()
# gloo's threads now and then end a process that is at its end with "terminate called without an active exception".
os._exit(0)
"""


def on_two_processes(function: Callable[..., Any], *arguments: Any, out: Path) -> list[Any]:
    """What the function returns in each process; it must set up the processes' group. `out` is an empty folder."""
    paths = [str(TESTS), str(Path(sys.modules[function.__module__].__file__ or "").parent)]
    script = WORKER.format(
        paths=paths,
        module=function.__module__.rpartition(".")[2],
        name=function.__name__,
        arguments=pickle.dumps(arguments),
        out=str(out),
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"} for rank in range(2)]
    children = [
        subprocess.Popen([sys.executable, "-c", script], env={**os.environ, **shared, **rank}) for rank in ranks
    ]
    try:
        assert [child.wait(timeout=120) for child in children] == [0, 0]
    finally:
        for child in children:
            child.kill()
    return [pickle.loads((out / str(rank)).read_bytes()) for rank in range(2)]
