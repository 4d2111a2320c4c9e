"""How long a person waits before anything happens: --help, list, and a run in which everything is reused.

python bench/startup.py --store store       (a store in which `demiurgic run` has finished)
"""

import json
import subprocess
import sys
import time

from tables import options, show, spread

LIMITS = {"--help": 0.3, "run, all reused": 2.0}
COMMANDS = {
    "--help": ["--help"],
    "list": ["list"],
    "plan": ["plan", "stdlib"],
    "run, all reused": ["run", "stdlib", "--json"],
}


def main() -> int:
    parser = options("Start-up times of whole commands, in seconds.")
    parser.add_argument("--store", default="store")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    rows = []
    for name, command in COMMANDS.items():
        needs_store = command[0] in ("plan", "run")
        whole = [sys.executable, "-m", "demiurgic", *command, *(["--store", arguments.store] if needs_store else [])]
        if command[0] == "run":
            refuse_unfinished(arguments.store)
        times = [seconds(whole) for _ in range(arguments.repeats)]
        limit = LIMITS.get(name)
        rows.append(
            {
                "command": name,
                **spread(times),
                "limit": limit or "-",
                "within": limit is None or spread(times)["median"] < limit,
            }
        )
    show(f"Start-up, {arguments.repeats} runs each (seconds)", rows, as_json=arguments.json)
    return 0 if all(row["within"] for row in rows) else 1


def refuse_unfinished(store: str) -> None:
    plan = subprocess.run(
        [sys.executable, "-m", "demiurgic", "plan", "stdlib", "--store", store, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    waiting = [step["step"] for step in json.loads(plan.stdout)["steps"] if step["action"] != "reuse"]
    if waiting:
        sys.exit(f"{store} lacks {', '.join(waiting)}. Run it first: demiurgic run --store {store}")


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
