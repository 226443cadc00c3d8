"""`paraformer ui` as a user has it: a sweep, its comparison and its report on MLflow's own pages."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
SERVER_SECONDS = 120.0
PAGE_MILLISECONDS = 60_000

Cli = Callable[..., CompletedProcess[str]]


@dataclass(frozen=True)
class Runs:
    """Ids of a sweep's runs as MLflow's addresses name them."""

    experiment: str
    parent: str
    children: dict[str, str]
    """Run name → run id."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, server: Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"`paraformer ui` does not answer at {address}:\n{log.read_text()}")


def group_is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def serving(
    folder: Path, code: str, environment: dict[str, str], log: Path
) -> Iterator[tuple[str, Popen[bytes]]]:
    """Start `paraformer ui` in a process group of its own; yields its address and its process."""
    port = free_port()
    command = [sys.executable, "-c", code, "ui", "--port", str(port)]
    with log.open("wb") as output:
        server = Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, server, log)
        yield address, server
    finally:
        if group_is_alive(server.pid):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def runs(project: Path, swept: CompletedProcess[str], paraformer: Cli) -> Runs:
    """The runs of the tiny sweep, its report among their artifacts."""
    done = paraformer("report", "tiny_sweep", folder=project)
    assert done.returncode == 0, done.stderr
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project / 'runs/mlflow.db'}")
    experiment = client.get_experiment_by_name("paraformer").experiment_id
    (parent,) = client.search_runs([experiment], "tags.`paraformer.kind` = 'sweep'")
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    return Runs(experiment, parent.info.run_id, {run.info.run_name: run.info.run_id for run in children})


@pytest.fixture(scope="module")
def pages(
    project: Path,
    runs: Runs,
    command_code: str,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    log = tmp_path_factory.mktemp("ui") / "ui.log"
    with serving(project, command_code, environment, log) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-background-networking"]
        )
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Any, pages: str) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1400, "height": 1000}, base_url=pages)
    opened.set_default_timeout(PAGE_MILLISECONDS)
    yield opened
    opened.close()


@pytest.mark.browser
def test_the_runs_of_a_sweep_are_listed_under_their_parent(tab: Any, runs: Runs) -> None:
    tab.goto(f"/#/experiments/{runs.experiment}/runs")
    links = tab.get_by_role("link")
    links.filter(has_text="tiny_sweep").first.wait_for()
    assert not any(links.filter(has_text=name).count() for name in runs.children)  # folded away
    tab.get_by_role("gridcell").filter(has_text="tiny_sweep").get_by_role("button").first.click()
    assert len(runs.children) == 4
    for name in runs.children:
        links.filter(has_text=name).first.wait_for()


@pytest.mark.browser
def test_two_runs_stand_side_by_side(tab: Any, runs: Runs) -> None:
    names = ["tiny_sweep baseline · seed 1", "tiny_sweep encoder-1 · seed 1"]
    chosen = json.dumps([runs.children[name] for name in names])
    tab.goto(f"/#/compare-runs?runs={chosen}&experiments={json.dumps([runs.experiment])}")
    details = tab.locator("tr")
    details.filter(has_text="Run Name:").first.wait_for()
    assert details.filter(has_text="Run Name:").first.locator("td").all_inner_texts() == names
    depth = details.filter(has_text="model.encoder.num_layers").first
    depth.wait_for()
    assert depth.locator("td").all_inner_texts() == ["2", "1"]


@pytest.mark.browser
def test_the_report_opens_beside_its_runs(tab: Any, runs: Runs) -> None:
    tab.goto(f"/#/experiments/{runs.experiment}/runs/{runs.parent}/artifacts/report/report.html")
    report = tab.frame_locator("iframe")
    report.get_by_text("depth does not matter here").first.wait_for()
    assert report.locator("#main tbody th").all_inner_texts() == ["baseline", "encoder-1"]
    assert report.locator("figure svg").count() > 0


@pytest.mark.parametrize("whom", ["leader", "group"])
def test_it_ends_without_a_stray_process(
    project: Path, runs: Runs, command_code: str, environment: dict[str, str], tmp_path: Path, whom: str
) -> None:
    with serving(project, command_code, environment, tmp_path / "ui.log") as (_, server):
        if whom == "group":  # what Ctrl-C does
            os.killpg(server.pid, signal.SIGINT)
        else:
            server.terminate()
        server.wait(timeout=60)
        assert not group_is_alive(server.pid)


def test_a_port_that_is_taken_is_named(project: Path, runs: Runs, paraformer: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = paraformer("ui", "--port", str(port), folder=project)
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr


def test_no_store_is_made_where_there_is_none(tmp_path: Path, paraformer: Cli) -> None:
    done = paraformer("ui", folder=tmp_path)
    assert done.returncode == 2
    assert str(tmp_path / "runs/mlflow.db") in done.stderr
    assert not list(tmp_path.iterdir())
