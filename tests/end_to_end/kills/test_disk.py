"""A storage that fills up, and one that is read-only, in the middle of a sweep: clear words, nothing lost."""

import time

import pytest
from laws import broken_laws


@pytest.mark.timeout(900)
def test_a_full_and_a_read_only_storage_cost_nothing_but_the_same_command(make_disk, make_sweep, judge):
    undisturbed = judge.undisturbed("trials")
    disk, sweep = make_disk("64m"), make_sweep("trials")
    sweep.storage.symlink_to(disk.folder)  # only the storage: the harness keeps notes beside it
    sweep.launch()
    while sweep.step_count() < 4:
        assert sweep.launcher.poll() is None, sweep.output(1).read_text()
        time.sleep(0.02)
    disk.fill()
    assert sweep.launcher.wait(timeout=300) in (1, 2), sweep.output(1).read_text()
    # Which file meets the full disk first is chance; SQLite's shared memory only gets an I/O error.
    words = "the disk is full; free some space", "the disk failed or is full; look after it"
    assert any(text in sweep.output(1).read_text() for text in words)
    disk.make_read_only()
    sweep.launch()
    assert sweep.launcher.wait(timeout=300) == 2, sweep.output(2).read_text()
    assert "read-only; make " in sweep.output(2).read_text()
    disk.make_writable()
    disk.empty()
    sweep.launch()
    assert sweep.launcher.wait(timeout=300) == 0, sweep.output(3).read_text()
    assert broken_laws(sweep, undisturbed) == []  # among them: no traceback in any output
