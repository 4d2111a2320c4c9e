import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from toys import walk
for outcome in walk(Path(sys.argv[1])):
    print(outcome.step, outcome.key)
"""


def test_keys_are_the_same_in_every_process_and_with_every_hash_seed(tmp_path: Path):
    seen = set()
    for seed in ("0", "123"):
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-c", PROGRAM, str(folder), str(Path(__file__).parents[1])]
        done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout)
    assert len(seen) == 1
    assert len(seen.pop().splitlines()) == 4
