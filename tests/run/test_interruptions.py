"""What a kill, a full disk or Ctrl-C leaves behind: everything finished, nothing half, and work that goes on."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demiurgic.run.status import store_status
from demiurgic.run.store import Store
from toys import statuses, walk

TESTS = Path(__file__).parents[1]
TEXT = """\
steps:
  some: {use: numbers, count: 1000}
  slow: {use: count, to: 30, seconds: 0.01}
  mixed: {use: shuffle, data: some}
"""
RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from toys import walk
print("started", flush=True)
walk(Path(sys.argv[1]), sys.argv[3])
"""


def start(folder: Path, text: str = TEXT, **more) -> subprocess.Popen:
    command = [sys.executable, "-c", RUN, str(folder), str(TESTS), text]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def test_kill_at_any_moment_loses_no_finished_step(tmp_path):
    dice = random.Random(5)
    for _ in range(6):
        process = start(tmp_path)
        assert process.stdout.readline() == "started\n"
        time.sleep(dice.uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert store_status(Store(tmp_path / "store"), verify=True).problems == []
    outcomes = walk(tmp_path, TEXT)
    assert set(statuses(outcomes).values()) <= {"made", "reused"}
    # Every number was counted once, however often the counting was killed; a kill between the line and the state
    # repeats at most that one line.
    counted = [int(line) for line in (outcomes[1].folder / "log.txt").read_text().split()]
    assert sorted(set(counted)) == list(range(1, 31))
    assert len(counted) <= 30 + 6


def test_a_killed_step_goes_on_where_it_was(tmp_path):
    text = "steps:\n  slow: {use: count, to: 10, seconds: 0.05}\n"
    process = start(tmp_path, text)
    state = next(_wait_for(lambda: list((tmp_path / "store").glob("slow-*.partial/state.txt"))))
    _ = next(_wait_for(lambda: int(state[0].read_text() or 0) >= 3))
    process.kill()
    process.communicate()
    outcome = walk(tmp_path, text)[0]
    assert outcome.manifest.summary.metrics["counted_now"].value <= 7


def test_a_step_that_cannot_resume_starts_from_nothing(tmp_path):
    walk(tmp_path, TEXT)
    folder = Store(tmp_path / "store").named("some")
    partial = folder.with_name(folder.name + ".partial")
    folder.rename(partial)
    (partial / "rows" / "rows-00009.parquet").write_bytes(b"left over")
    made = walk(tmp_path, TEXT)[0]
    assert [path.name for path in (made.folder / "rows").iterdir()] == ["rows-00000.parquet"]


def test_ctrl_c_is_written_down_and_nothing_is_lost(tmp_path):
    process = start(tmp_path)
    _ = next(_wait_for(lambda: list((tmp_path / "store").glob("slow-*.partial/state.txt"))))
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert [line["event"] for line in Store(tmp_path / "store").ledger.lines()][-1] == "interrupted"
    assert set(statuses(walk(tmp_path, TEXT)).values()) == {"made", "reused"}


def _full(bytes_left: int):
    def limit() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, bytes_left))

    return limit


def test_a_file_that_finds_no_room_stops_with_one_paragraph(tmp_path):
    process = start(tmp_path, TEXT.replace("count: 1000", "count: 200000"), preexec_fn=_full(100_000))
    _, error = process.communicate()
    assert "UserError: The disk that holds" in error
    assert "Free some space" in error
    assert set(statuses(walk(tmp_path, TEXT)).values()) == {"made"}


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small disk needs root on Linux")
def test_a_full_disk_keeps_what_was_made_and_the_next_run_goes_on(tmp_path):
    disk = tmp_path / "store"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this container may not mount a tmpfs")
    try:
        text = TEXT + "  large: {use: numbers, count: 300000, start: 1000000}\n"
        process = start(tmp_path, text)
        _, error = process.communicate()
        assert "UserError: The disk that holds" in error, error
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        assert statuses(walk(tmp_path, text)) == {
            "some": "reused",
            "slow": "reused",
            "mixed": "reused",
            "large": "made",
        }
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _wait_for(look, *, seconds: float = 20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            yield found
            return
        time.sleep(0.01)
    raise AssertionError("waited in vain")
