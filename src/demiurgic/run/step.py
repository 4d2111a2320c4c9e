"""One step: its key, and the making of it. What the runner and a single `demiurgic do` share."""

import contextlib
import errno
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Artifact, Manifest, stamp_part
from demiurgic.core.console import now
from demiurgic.core.errors import UserError
from demiurgic.core.hashing import KEY_LENGTH, digest_of
from demiurgic.core.metric import JSON
from demiurgic.core.optional import require, version_of
from demiurgic.run.context import Context, journal_beside
from demiurgic.run.engine import usable_cores
from demiurgic.run.launch import remove_leftovers, run_launched
from demiurgic.run.ledger import LEDGER, Ledger
from demiurgic.run.lineage import lineage_of, refuse_revoked, revoked_keys
from demiurgic.run.stage import Reference, Stage, StageConfig, choices, keyed, references, written
from demiurgic.run.store import PARTIAL, finish
from demiurgic.version import __version__


def inputs_of(config: StageConfig) -> dict[str, Artifact]:
    """The artifacts a resolved config reads, by the field that names them."""
    found = dict(references(config))
    waiting = [str(value) for value in found.values() if isinstance(value, Reference)]
    if waiting:
        raise AssertionError(f"unresolved references: {waiting}")
    return found


def step_key(stage: Stage[Any], config: StageConfig, *, seed: int | None, base: Path) -> str:
    """The content address of a step: 16 hex digits over everything that can change its result.

    Stage name and version, the config with defaults filled in, the versions and fingerprints of the plug-ins it uses,
    the digests of the parts it reads, and the seed where the stage declares that it uses one. Not the step's name, the
    library versions or the device: those go to the ledger.
    """
    fingerprints: list[JSON] = [
        [choice.registry.plural, choice.name, choice.entry.fingerprint(base, **dict(choice.options))]
        for choice in choices(config)
        if choice.entry.fingerprint is not None
    ]
    content: dict[str, JSON] = {
        "stage": stage.name,
        "version": stage.version,
        "config": keyed(config, lambda artifact: {"artifact": artifact.kind, "digest": artifact.digest}),
        "seed": seed if stage.draws(config) else None,
        "fingerprints": fingerprints,
    }
    facts = config.key_facts(base)
    if facts:
        content["facts"] = facts
    return digest_of(content)[:KEY_LENGTH]


def make_step(
    stage: Stage[Any],
    config: StageConfig,
    *,
    name: str,
    key: str,
    seed: int,
    partial: Path,
    final: Path,
    context: Context,
) -> Manifest:
    """Run a stage into `partial`, then rename it to `final`.

    Raises UserError for damaged inputs, missing packages and a full disk. When it raises, `partial` holds what a
    resumable stage needs to go on.
    """
    inputs = inputs_of(config)
    for artifact in inputs.values():
        artifact.verify()
    if final.exists():
        raise UserError(
            f"{final} exists and is no finished step: its manifest is gone. Delete the folder and run again."
        )
    require(*stage.packages(config))
    used_seed = seed if stage.draws(config) else None
    resumed = stage.resumable and partial.exists()
    if partial.exists() and not stage.resumable:
        shutil.rmtree(partial)
    with full_disk_is_a_users_matter(final.parent):
        partial.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        memory = PeakMemory()
        within = context.for_step(seed=used_seed)
        launched: dict[str, JSON] = {}
        if stage.launches and context.launcher.kind == "accelerate":
            done = run_launched(stage, config, partial, within)
            summary, peak_bytes = done.summary, done.peak_memory_bytes
            shared = context.launcher
            launched = {"processes": shared.processes, "strategy": shared.strategy, "device": done.device}
        else:
            remove_leftovers(partial)  # of several processes whose parent was killed
            summary = stage.run(config, partial, within)
            peak_bytes = memory.peak_bytes()
        parts = {part: stamp_part(partial / part, kind=kind.kind) for part, kind in stage.parts(config).items()}
        missing = [part for part in parts if not (partial / part).is_dir()]
        if missing:
            raise AssertionError(f"stage {stage.name} promised the parts {missing} and did not write them")
        manifest = Manifest(
            step=name,
            stage=stage.name,
            version=stage.version,
            key=key,
            config=written(config, lambda a: {"artifact": a.kind, "key": a.manifest.key, "part": a.name}),
            seed=used_seed,
            inputs={
                field: {"step": a.manifest.step, "key": a.manifest.key, "part": a.name, "digest": a.digest}
                for field, a in inputs.items()
            },
            parts=parts,
            summary=summary,
            lineage=lineage_of(inputs.values()),
            took={
                "seconds": round(time.perf_counter() - started, 3),
                "peak_memory_bytes": peak_bytes,
                "resumed": resumed,
                **circumstances(stage.packages(config)),
                **launched,
            },
            made=now(),
        )
        finish(partial, final, manifest)
    # As every later run will find it: a key that reads a summary must not see 400 now and 400.0 then.
    return Manifest.read(final)


def run_stage(
    stage: Stage[Any], values: Mapping[str, Any], out: Path, *, seed: int = 0, context: Context | None = None
) -> Path:
    """Run one stage without a recipe or a store; references are folders. Returns `out`, the finished step's folder.

    Raises UserError when `out` exists already, and pydantic's ValidationError for values that do not fit.
    """
    context = context or Context()
    context = replace(context, journal=context.journal or journal_beside(out))
    config = stage.config.model_validate(dict(values))
    if out.exists():
        raise UserError(f"{out} exists already. Give another folder, or delete it first.")
    for artifact in inputs_of(config).values():
        refuse_revoked(artifact.manifest, revoked_keys(Ledger(artifact.evidence.parent / LEDGER)))
    key = step_key(stage, config, seed=seed, base=context.base)
    partial = out.with_name(f"{out.name}-{key}{PARTIAL}")
    make_step(stage, config, name=out.name, key=key, seed=seed, partial=partial, final=out, context=context)
    return out


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_WORDS = ("No space left", "File too large", "Disk quota exceeded")


@contextmanager
def full_disk_is_a_users_matter(folder: Path) -> Iterator[None]:
    """Turn "no space left", in whatever exception a library wraps it, into a UserError. Everything else passes."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if not is_full_disk(error, folder):
            raise
        raise UserError(
            f"The disk that holds {folder} is full ({error}). Everything finished so far is kept. Free some space "
            "(`demiurgic gc` lists what this store can spare), then run the same command again."
        ) from error


def is_full_disk(error: BaseException, folder: Path) -> bool:
    """Whether an exception, or one it came from, says that the disk is full; libraries wrap it in their own types."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno in FULL:
            return True
        if any(words in str(link) for words in FULL_WORDS):
            return True
        link = link.__cause__ or link.__context__
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    # torch.save says only "failed writing file": look at the disk itself.
    return isinstance(error, RuntimeError) and "writing" in str(error) and shutil.disk_usage(existing).free < 1 << 20


class PeakMemory:
    """Peak resident memory of this process from now on, in bytes; worker processes are not counted.

    On Linux the kernel's high-water mark is reset at the start. Where it cannot be, the peak is the whole process's.
    """

    def __init__(self) -> None:
        self._linux = sys.platform == "linux"
        if self._linux:
            with contextlib.suppress(OSError):  # some containers forbid the reset
                Path("/proc/self/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        status = Path("/proc/self/status").read_text().splitlines() if self._linux else []
        marks = [int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")]
        if marks:
            return marks[0]
        import resource

        kilobytes = sys.platform != "darwin"  # where macOS counts bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if kilobytes else 1)


def circumstances(packages: Sequence[str]) -> dict[str, JSON]:
    """What may explain a difference between two machines: versions, device, code. For the ledger, never the key."""
    versions: dict[str, JSON] = {"python": platform.python_version(), "demiurgic": __version__}
    for package in packages:
        versions[package] = version_of(package)
    return {"code": code_revision(), "versions": versions, "device": device_name()}


def code_revision() -> str | None:
    """The git commit this package runs from (with `+` when files differ from it), or None outside its own checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    describe = [*git, "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        # An installed package may lie inside somebody else's repository: ask whether this file is git's.
        own = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, timeout=10)
        done = subprocess.run(describe, capture_output=True, text=True, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.strip() or None) if own.returncode == 0 else None


def device_name() -> str:
    """The processor and its usable cores, and the GPU when torch is in use and sees one."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    device = f"{name}, {usable_cores()} cores"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        device += f", {torch.cuda.get_device_name()}"
    return device
