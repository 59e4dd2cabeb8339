from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ends

from harness.records.durable import FolderLock, Locked, move, remove_temporaries, write_bytes, write_json


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "record", b"first")
    write_bytes(tmp_path / "record", b"second")
    assert (tmp_path / "record").read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [tmp_path / "record"]


def test_what_json_cannot_hold_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, {"loss": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text()) == {"loss": 1}
    assert list(tmp_path.iterdir()) == [path]


# 1,000 bytes are a small disk, and the limit is as real as a full one.
SMALL_DISK = """
import resource, sys
from pathlib import Path
from harness.records.durable import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path(sys.argv[1]), b"x" * 2000)
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"first")
    finished = subprocess.run([sys.executable, "-c", SMALL_DISK, str(path)], capture_output=True, text=True)
    assert finished.stdout == "File too large\n"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """While another process writes as fast as it can."""
    path = tmp_path / "record.json"
    code = """
import itertools, sys
from pathlib import Path
from harness.records.durable import write_json
for number in itertools.count():
    write_json(Path(sys.argv[1]), {"losses": [number] * 20_000})
"""
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as writer:
        assert ends(path.exists)
        read = [set(json.loads(path.read_bytes())["losses"]) for _ in range(100)]
        writer.kill()
    assert all(len(numbers) == 1 for numbers in read)
    assert len({number for numbers in read for number in numbers}) > 1


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    names = [f".record.json.{gone.pid}.tmp", f".record.json.{os.getpid()}.tmp", ".mine.tmp", "record.json"]
    for name in names:
        (tmp_path / name).touch()
    remove_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


def test_a_file_is_moved_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    (tmp_path / "a.log").write_text("said")
    move(tmp_path / "a.log", tmp_path / "attempts" / "a.1.log")
    assert (tmp_path / "attempts" / "a.1.log").read_text() == "said"
    assert not (tmp_path / "a.log").exists()


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(Locked, match=f"process {os.getpid()}"):
        FolderLock(tmp_path)
    lock.close()
    FolderLock(tmp_path).close()


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from harness.records.durable import FolderLock\n"
    code += "lock = FolderLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Locked, match=f"process {holder.pid}"):
            FolderLock(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    FolderLock(tmp_path).close()


def test_a_list_of_numbers_is_one_line_and_texts_stay(tmp_path: Path) -> None:
    content = {"losses": [0.5, 1, True, None], "none": [], "rows": [[1, 2], [3]], "texts": ["[\n 1\n ]", "[ 2 ]"]}
    write_json(tmp_path / "a.json", content)
    written = (tmp_path / "a.json").read_text()
    assert json.loads(written) == content
    assert ' "losses": [0.5, 1, true, null],\n' in written
    assert "  [1, 2],\n" in written
