"""Not killed but left alone or kept company: an MLflow server that stays away, a second launcher."""

import subprocess
import sys
import time

import pytest
from besieged import CODE, NAME, Besieged, clean_environment
from laws import broken_laws


def wait_for_steps(sweep: Besieged, steps: int) -> None:
    deadline = time.monotonic() + 240
    while sweep.step_count() < steps and time.monotonic() < deadline:
        assert sweep.launcher.poll() is None, sweep.output(sweep.launches).read_text()
        time.sleep(0.05)


@pytest.mark.timeout(900)
def test_mlflow_that_goes_away_and_stays_away_holds_up_no_training(make_sweep, judge):
    sweep = make_sweep("served")
    sweep.launch()
    wait_for_steps(sweep, 8)
    sweep.server.kill()
    code = sweep.launcher.wait(timeout=300)
    words = sweep.output(1).read_text()
    assert sweep.step_count() == sweep.setting.steps
    assert {state for _, state, _ in sweep.ledger()} == {"completed"}
    assert code == 1
    assert "When it answers again, give the same command, or: paraformer sync besieged" in words
    assert "Traceback" not in words
    sweep.server.start()
    sweep.server.wait()
    arguments = ["sync", NAME, "--storage", "runs", "--tracking-uri", sweep.tracking_uri]
    command = [sys.executable, "-c", CODE, *arguments]
    subprocess.run(command, cwd=sweep.folder, env=clean_environment(), check=True, timeout=120)
    assert broken_laws(sweep, judge.undisturbed("trials")) == []


@pytest.mark.timeout(900)
def test_two_launchers_train_every_trial_once(make_sweep, judge):
    sweep = make_sweep("trials")
    sweep.launch()
    first = sweep.launcher
    wait_for_steps(sweep, 2)  # the first one is at work when the second comes
    sweep.launch()
    assert (first.wait(timeout=300), sweep.launcher.wait(timeout=300)) == (0, 0)
    assert sweep.step_count() == sweep.setting.steps
    assert broken_laws(sweep, judge.undisturbed("trials")) == []
