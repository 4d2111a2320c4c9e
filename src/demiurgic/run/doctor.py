"""Whether this machine can do the work: Python, packages, memory, disk, accelerator, and the state of a store."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from demiurgic.core.console import size
from demiurgic.core.errors import UserError
from demiurgic.core.optional import EXTRA_OF, installed, version_of
from demiurgic.run.engine import usable_cores
from demiurgic.run.step import device_name
from demiurgic.run.store import Store

ENOUGH_DISK_BYTES = 5_000_000_000
"""The demo's store needs well under 1 GB; below this a real model's checkpoints will not fit."""
ENOUGH_MEMORY_BYTES = 6_000_000_000
"""What the demo promises to stay under."""


@dataclass(frozen=True)
class Check:
    """One thing looked at. `poor` works with limits, `bad` stops something; `mend` is the next step to take."""

    name: str
    state: Literal["good", "poor", "bad"]
    found: str
    mend: str = ""


def examine(store: Store) -> list[Check]:
    """Look at everything; imports torch when it is installed."""
    return [_python(), *_packages(), _accelerator(), _memory(), _disk(store), _store(store)]


def _python() -> Check:
    return Check("python", "good", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages() -> Iterator[Check]:
    for package, extra in EXTRA_OF.items():
        if installed(package):
            yield Check(package, "good", version_of(package) or "of no package that is known")
        else:
            yield Check(package, "bad", "not installed", f'pip install "demiurgic[{extra}]"')


def _accelerator() -> Check:
    if not installed("torch"):
        return Check("device", "poor", device_name(), "install torch to see an accelerator")
    import torch

    found = f"{device_name()}, torch with {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return Check("device", "good", f"{found}, {size(free)} of {size(total)} free")
    return Check("device", "good", f"{found}, no GPU: the recipe stdlib is made for this; larger ones want a GPU")


def _memory() -> Check:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = f"{size(total)} in this machine, {usable_cores()} cores to use"
    if total < ENOUGH_MEMORY_BYTES:
        return Check("memory", "poor", found, f"the demo may need up to {size(ENOUGH_MEMORY_BYTES)}")
    return Check("memory", "good", found)


def _disk(store: Store) -> Check:
    existing = next(path for path in (store.path.absolute(), *store.path.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < ENOUGH_DISK_BYTES:
        return Check(
            "disk", "poor", f"{size(free)} free where the store is", "free some space, or use --store elsewhere"
        )
    return Check("disk", "good", f"{size(free)} free where the store is")


def _store(store: Store) -> Check:
    if not store.path.exists():
        return Check("store", "good", f"{store.path} does not exist yet; the first run makes it")
    try:
        with store.locked():
            pass
    except UserError as error:
        return Check("store", "poor", str(error))
    except PermissionError:
        return Check("store", "bad", f"{store.path} cannot be written", "give another store with --store")
    torn = store.ledger.num_torn()
    found = f"{len(store.artifacts())} finished steps, {len(store.partials())} interrupted"
    if torn:
        return Check(
            "store", "poor", f"{found}, {torn} unreadable ledger lines", "a crash cut them off; nothing was lost"
        )
    return Check("store", "good", found)
