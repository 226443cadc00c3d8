"""A Ray of our own that dies is noticed; what is not of it is not looked after."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from paraformer_platform.clusters.ray_watch import RayWatch


@pytest.fixture
def make_process(tmp_path: Path):
    """Make a process of this process by a name."""
    made = []

    def make(name: str) -> subprocess.Popen:
        os.symlink(sys.executable, tmp_path / name)
        command = [tmp_path / name, "-c", "print(flush=True); import time; time.sleep(600)"]
        made.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        made[-1].stdout.readline()
        return made[-1]

    yield make
    for process in made:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_killed_process_of_ray_is_told_once(make_process, name):
    process, told, heard = make_process(name), threading.Event(), []

    def on_death(dead: str) -> None:
        heard.append(dead)
        told.set()

    with RayWatch(on_death, interval=0.01):
        process.kill()
        assert told.wait(30)
    assert heard == [name]


def test_a_living_ray_and_other_processes_are_left_alone(make_process):
    other, heard = make_process("something"), []
    make_process("raylet")
    with RayWatch(heard.append, interval=0.01) as watch:
        other.kill()
        other.wait()
        watch._thread.join(0.3)
    assert heard == []
