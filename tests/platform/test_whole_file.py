"""Files that are whole or not there, whatever the disk does and whoever is killed."""

import os
import platform
import subprocess
import sys

import pytest

from paraformer_platform.errors import StorageError
from paraformer_platform.whole_file import append_line, remove_leftovers, whole_file, write_whole

NO_PROCESS = 2**22 + 1  # above Linux's highest process number


def test_a_file_is_written_and_nothing_else(tmp_path):
    write_whole(tmp_path / "new" / "file", "ä\n")
    assert (tmp_path / "new" / "file").read_bytes() == b"\xc3\xa4\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_an_error_while_writing_leaves_the_old_file_alone(tmp_path):
    write_whole(tmp_path / "file", "old")

    def fail():
        with whole_file(tmp_path / "file") as file:
            file.write(b"half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}


def test_a_full_disk_is_named_and_leaves_the_old_file_alone(make_disk):
    disk = make_disk("256k")
    write_whole(disk.folder / "file", "old")
    with pytest.raises(StorageError, match=r"file cannot be written: the disk is full; free some space"):
        write_whole(disk.folder / "file", "x" * 10**6)
    assert {path.name: path.read_text() for path in disk.folder.iterdir()} == {"file": "old"}


def test_a_line_that_the_disk_does_not_take_whole_is_taken_back(make_disk):
    disk = make_disk("256k")
    append_line(disk.folder / "lines", "first")
    disk.fill(but=8192)
    with pytest.raises(StorageError, match="the disk is full"):
        append_line(disk.folder / "lines", "x" * 100_000)
    append_line(disk.folder / "lines", "second")
    assert (disk.folder / "lines").read_text() == "first\nsecond\n"


def test_a_read_only_disk_is_named(make_disk):
    disk = make_disk("256k")
    append_line(disk.folder / "lines", "first")
    disk.make_read_only()
    for write in (append_line, write_whole):
        with pytest.raises(StorageError, match="the storage is read-only; make it writable"):
            write(disk.folder / "lines", "second")
    assert (disk.folder / "lines").read_text() == "first\n"


def test_a_limit_on_the_size_of_files_is_named(tmp_path):
    script = (
        "import resource, signal, sys; from pathlib import Path;"
        "from paraformer_platform.whole_file import append_line;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "append_line(Path(sys.argv[1]), 'first'); append_line(Path(sys.argv[1]), 'x' * 2000)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(tmp_path / "lines")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "StorageError" in done.stderr
    assert (tmp_path / "lines").read_text() == "first\n"


def test_only_what_dead_processes_of_this_host_left_is_removed(tmp_path):
    here = platform.node()
    names = {
        f".last.pt.{here}.{NO_PROCESS}.partial": False,
        f".last.pt.{here}.{os.getpid()}.partial": True,
        f".last.pt.another-host.{NO_PROCESS}.partial": True,
        "last.pt": True,
    }
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("")
    remove_leftovers(tmp_path)
    assert {name: (folder / name).exists() for name in names} == names


def test_a_killed_writer_leaves_the_old_file_and_what_the_next_one_removes(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from paraformer_platform.whole_file import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)"
    )
    write_whole(tmp_path / "file", "old")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(tmp_path / "file")]
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    assert (tmp_path / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
