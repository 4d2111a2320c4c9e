"""Near-duplicates: ours by both methods beside rensa and datasketch on real rows, and a large job through `curate`.

    python bench/dedup.py --peers ~/dedup-peers/bin/python      # all rows of --data
    python bench/dedup.py --job                                 # 674,728 made rows, Parquet to Parquet

`bench/peers/README.md` says how to make the peers' environment. Real rows: word 3-grams, Jaccard 0.8, 128
permutations, 16 bands of 8; each contender in a process of its own, turn by turn, texts in memory; megabytes (10^6) of
text per second of processor time, all threads. A row is rightly removed if the exact join removes it (of similar rows
the first stays). The job: `planted.py` says what it is made of; what counts is what was planted at 0.8 or above, and
whether every removal's witness is as similar as said, counted by plain sets.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from real_texts import data_folder, real_pairs
from tables import options, show

HERE = Path(__file__).parent
EXACT, MINHASH = "demiurgic, exact", "demiurgic, minhash"
METHODS = {EXACT: "exact", MINHASH: "minhash"}
PEERS = {"rensa": "rensa", "datasketch": "datasketch"}
THRESHOLD = 0.8
JOB_ROWS, JOB_BYTES, JOB_PLANTED = 674_728, 3_400, 0.09
NUM_CHECKED = 300


def main() -> int:
    parser = options("Near-duplicates, beside rensa and datasketch.")
    parser.add_argument("--data", type=Path, help="a folder of public data; DEMIURGIC_DATA, or ../shared/data")
    parser.add_argument("--peers", type=Path, default=os.environ.get("DEMIURGIC_DEDUP_PEERS"), help="their interpreter")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--job", action="store_true", help="the large job in place of the real rows")
    parser.add_argument("--rows", type=int, default=JOB_ROWS, help="of the job")
    parser.add_argument("--folder", type=Path, help="where the job is kept, and found again")
    parser.add_argument("--memory-gb", type=float, default=2.0)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # this package's process: method, file of texts
    parser.add_argument("--curate", nargs=3, help=argparse.SUPPRESS)  # and that of the job: method, job, out
    arguments = parser.parse_args()
    if arguments.one:
        print(ours(*arguments.one, threads=arguments.threads))
    elif arguments.curate:
        curate_job(*arguments.curate, memory_gb=arguments.memory_gb)
    elif arguments.job:
        with _kept(arguments.folder) as folder:
            rows, facts = the_job(folder, arguments)
        show("The job, Parquet to Parquet", rows, as_json=arguments.json, **facts)
    else:
        texts = [pair.text for pair in real_pairs(data_folder(arguments.data))]
        rows = real_rows(texts, arguments)
        num_bytes = sum(len(text.encode()) for text in texts)
        show("Near-duplicates among real rows", rows, as_json=arguments.json, rows_in=len(texts), bytes_in=num_bytes)
    return 0


def real_rows(texts: Sequence[str], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per contender: medians over the rounds."""
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(texts), encoding="utf-8")
        for _ in range(arguments.rounds):
            for name, command in _commands(file, arguments).items():
                found.setdefault(name, []).append(one_process(command))
    return compared(found, num_bytes=sum(len(text.encode()) for text in texts))


def _commands(file: Path, arguments: argparse.Namespace) -> dict[str, list[str]]:
    own = [sys.executable, str(HERE / "dedup.py"), "--threads", str(arguments.threads), "--one"]
    commands = {name: [*own, method, str(file)] for name, method in METHODS.items()}
    if arguments.peers is not None:
        script = [str(arguments.peers), str(HERE / "peers" / "near_duplicates.py")]
        commands |= {name: [*script, peer, str(file)] for name, peer in PEERS.items()}
    return commands


def one_process(command: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compared(found: Mapping[str, Sequence[Mapping[str, Any]]], *, num_bytes: int) -> list[dict[str, Any]]:
    right = set(found[EXACT][0]["removed"])
    speed = {name: num_bytes / 1e6 / median([run["cpu_seconds"] for run in runs]) for name, runs in found.items()}
    rows = []
    for name, runs in found.items():
        removed = set(runs[0]["removed"])
        rows.append(
            {
                "contender": name,
                "MB/cpu-s": speed[name],
                "minhash ÷ theirs": speed[MINHASH] / speed[name],
                "removed": len(removed),
                "recall": len(removed & right) / max(len(right), 1),
                "precision": len(removed & right) / max(len(removed), 1),
                "seconds": median([run["seconds"] for run in runs]),
                "peak MB": median([run["peak_bytes"] for run in runs]) / 1e6,
            }
        )
    return rows


class Listed:
    """Texts in memory, as documents."""

    def __init__(self, texts: Sequence[str]) -> None:
        import pyarrow as pa

        self.num_documents = len(texts)
        self._array = pa.array(texts, pa.large_string())

    def batches(self) -> Iterator[Any]:
        yield self._array


def ours(method: str, file: str, *, threads: int) -> str:
    """One line of JSON. What is compiled or read from the cache of compiled code is not counted."""
    import numpy as np

    texts = json.loads(Path(file).read_text(encoding="utf-8"))
    find(Listed(texts[:300] * 2), method, threads=threads)
    documents = Listed(texts)
    start, cpu = time.perf_counter(), time.process_time()
    found = find(documents, method, threads=threads)
    result = {
        "removed": np.flatnonzero(found.witness_N >= 0).tolist(),
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    return json.dumps(result)


def find(documents: Any, method: str, *, threads: int) -> Any:
    from demiurgic.text.near_duplicates import Exact, Minhash, Workspace, near_duplicates

    how = Exact() if method == "exact" else Minhash()
    with tempfile.TemporaryDirectory() as folder, Workspace(Path(folder), 1 << 31) as workspace:
        return near_duplicates(documents, threshold=THRESHOLD, method=how, workspace=workspace, threads=threads)


def the_job(folder: Path, arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A row per method, and what the job is."""
    job = made_job(folder, arguments)
    rows = []
    for name, method in METHODS.items():
        with tempfile.TemporaryDirectory(dir=folder) as out:
            command = [
                sys.executable,
                str(HERE / "dedup.py"),
                "--memory-gb",
                str(arguments.memory_gb),
                "--curate",
                method,
            ]
            took = watched([*command, str(folder / "job"), f"{out}/made"])
            rows.append({"method": name, **took, **judged(Path(out) / "made", job, folder / "job")})
    return rows, {"rows_in": job.num_rows, "bytes_a_row": job.num_bytes / job.num_rows}


def made_job(folder: Path, arguments: argparse.Namespace) -> Any:
    """Written where there is none yet; what was planted stands beside it."""
    import numpy as np

    from made_up import finished
    from planted import Job, write_job

    truth = folder / "job" / "planted.npz"
    if not truth.is_file():
        texts = [pair.text for pair in real_pairs(data_folder(arguments.data))]
        rows = folder / "job" / "rows"
        job = write_job(rows, texts, num_rows=arguments.rows, mean_bytes=JOB_BYTES, share_planted=JOB_PLANTED)
        finished(rows, kind="dataset")
        np.savez(truth, of_row=job.of_row, jaccard=job.jaccard, num_bytes=job.num_bytes)
    kept = np.load(truth)
    return Job(len(kept["of_row"]), int(kept["num_bytes"]), kept["of_row"], kept["jaccard"])


def curate_job(method: str, job: str, out: str, *, memory_gb: float) -> None:
    import demiurgic

    values = {
        "data": str(Path(job) / "rows"), "filters": [], "split": {"held_out": 0.0}, "memory_gb": memory_gb,
        "deduplicate": {"exact": False, "near": {"method": method, "threshold": THRESHOLD}},
    }  # fmt: skip
    demiurgic.run_stage("curate", values, Path(out), seed=1)


def watched(command: Sequence[str]) -> dict[str, float]:
    """Wall and processor seconds of a process and its children, and the most memory they held at once."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    most, over = [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, most, over))
    watcher.start()
    _, said = process.communicate()
    seconds = time.perf_counter() - start
    over.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu, "peak MB": most[0] / 1e6}


def _watch(pid: int, most: list[int], over: threading.Event) -> None:
    while not over.wait(0.2):
        most[0] = max(most[0], sum(map(_held_bytes, [pid, *_descendants(pid)])))


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [*children, *(deeper for child in children for deeper in _descendants(child))]


def _held_bytes(pid: int) -> int:
    """What it holds for itself alone, pages of files not counted: what it shares is counted once, in its share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def judged(made: Path, job: Any, folder: Path) -> dict[str, Any]:
    """Recall on what was planted, and whether removals are as similar to their witness as they say."""
    import numpy as np
    from pyarrow import parquet

    dropped = parquet.read_table(made / "dropped", columns=["id", "meta"])
    number_of = {name: _number(name) for name in dropped["id"].to_pylist()}
    gone = np.zeros(job.num_rows, np.bool_)
    gone[list(number_of.values())] = True
    later, _ = job.similar(THRESHOLD)
    said = [json.loads(meta)["dropped"] for meta in dropped["meta"].to_pylist()]
    pairs = [
        (number, _number(each["witness"]), each["similarity"])
        for number, each in zip(number_of.values(), said, strict=True)
    ]
    chosen = np.random.default_rng(0).permutation(len(pairs))[:NUM_CHECKED]
    return {
        "removed": int(gone.sum()),
        "recall, planted": float(gone[later].mean()),
        "precision": _share_right(folder / "rows", [pairs[place] for place in chosen]),
        "checked": len(chosen),
        "all witnesses stay": not any(gone[witness] for _, witness, _ in pairs),
    }


def _number(name: str) -> int:
    return int(name.removeprefix("job-"))


def _share_right(rows: Path, pairs: Sequence[tuple[int, int, float]]) -> float:
    """Of removals those whose similarity to the witness is at least the threshold and what was said, by plain sets."""
    import numpy as np
    from pyarrow import parquet

    from planted import ROWS_PER_SHARD

    sys.path.append(str(HERE / "peers"))
    from near_duplicates import ngrams

    numbers = np.unique([number for pair in pairs for number in pair[:2]])
    grams: dict[int, set[str]] = {}
    for shard in np.unique(numbers // ROWS_PER_SHARD):
        wanted = numbers[numbers // ROWS_PER_SHARD == shard]
        table = parquet.read_table(rows / f"rows-{shard:05d}.parquet", columns=["messages"])
        for number, messages in zip(wanted, table["messages"].take(wanted % ROWS_PER_SHARD).to_pylist(), strict=True):
            grams[int(number)] = set(ngrams("\n".join(message["content"] for message in messages)))
    right = 0
    for number, witness, said in pairs:
        one, other = grams[number], grams[witness]
        true = len(one & other) / len(one | other)
        right += true >= THRESHOLD and abs(true - said) < 1e-3
    return right / len(pairs)


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


if __name__ == "__main__":
    sys.exit(main())
