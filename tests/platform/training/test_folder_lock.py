"""One writer of a trial's folder at a time: the dead make way at once, the living are waited for."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from paraformer_platform.errors import StorageError, TrainingError
from paraformer_platform.training.folder_lock import only_writer

HOLD = """
import sys, time
from pathlib import Path
from paraformer_platform.training.folder_lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder `trial`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLD, str(tmp_path / "trial")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline().strip() == "held"
    yield process
    process.kill()
    process.wait()


def enter(folder: Path, patience: float) -> None:
    with only_writer(folder, patience):
        pass


def test_a_living_writer_is_waited_for_and_then_named(holder, tmp_path):
    with pytest.raises(TrainingError, match=rf"is being written to by process {holder.pid} on .*end it"):
        enter(tmp_path / "trial", patience=0.2)


def test_a_killed_writer_makes_way_at_once(holder, tmp_path):
    holder.kill()
    holder.wait()
    enter(tmp_path / "trial", patience=0.0)


def test_a_writer_that_ends_meanwhile_makes_way(holder, tmp_path):
    stopper = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {holder.pid}"])
    enter(tmp_path / "trial", patience=30.0)
    stopper.wait()


def test_a_paused_writer_keeps_the_folder(holder, tmp_path):
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(TrainingError, match="is being written to"):
        enter(tmp_path / "trial", patience=0.2)


def test_a_forked_child_does_not_keep_the_folder_of_its_dead_parent(tmp_path):
    script = HOLD.replace("time.sleep(600)", "import os; os.fork() or time.sleep(600); os._exit(0)")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "trial")]
    parent = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    parent.wait()
    try:
        enter(tmp_path / "trial", patience=0.0)
    finally:
        os.killpg(parent.pid, signal.SIGKILL)


def test_what_a_killed_writer_left_half_written_is_cleared(tmp_path):
    left = tmp_path / "checkpoints" / f".last.pt.{platform.node()}.{2**22 + 1}.partial"
    left.parent.mkdir()
    left.write_text("half")
    enter(tmp_path, patience=0.0)
    assert not left.exists()


def test_read_only_storage_is_named(make_disk):
    disk = make_disk("64k")
    disk.make_read_only()
    with pytest.raises(StorageError, match="the storage is read-only"):
        enter(disk.folder / "trial", patience=0.0)
