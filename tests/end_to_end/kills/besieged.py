"""A small real sweep, run by the real command line in processes that can be told apart from all others."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[3]
HOOK = Path(__file__).parent / "hook"
CODE = "import sys; sys.argv[0] = 'paraformer'; from paraformer_platform.cli.app import run; sys.exit(run())"
MARK = "KILL_MARK"
NAME = "besieged"
STEP_SECONDS = 0.03
SERVER_STARTS_WITHIN = 120.0

RECIPE = """
name: tiny
seed: 5
grammar: {start: string, rules: {string: ["<digit>"], digit: [zero, one, two]}}
splits:
  train: {utterances: 16, voices: [en-us+Alex, en-us+f1]}
  dev: {utterances: 4, voices: [en-us+m3]}
  test: {utterances: 4, voices: [en-gb+f4]}
"""
BASE = """
model:
  encoder: {num_layers: 1, hidden_dim: 16, num_heads: 2}
  predictor: {num_layers: 1, hidden_dim: 16}
  decoder: {num_layers: 1, hidden_dim: 16, num_heads: 2}
data: {folder: data/tiny, recipe: tiny.yaml}
training: {batch_size: 8, num_epochs: %(epochs)d, average_checkpoints: 2}
"""
ABLATION = """
method: ablation
metric: {name: test/cer, goal: minimize}
ablate:
  - {id: no-predictor, set: {model.use_predictor: false}}
"""
SEARCH = """
method: bayes
metric: {name: dev/loss, goal: minimize}
parameters:
  training.learning_rate: {values: [1e-2, 1e-3, 1e-4]}
  model.encoder.num_layers: {values: [1, 2]}
  model.decoder.num_layers: {values: [1, 2]}
search: {startup_trials: 4, lookahead: 2}
"""
SWEEP = """
name: %(name)s
base: base.yaml
%(design)s
seeds: %(seeds)s
resources: {workers: %(workers)d, cpus_per_worker: 1}
report: {bootstrap: 200}
"""


@dataclass(frozen=True)
class Setting:
    """What kind of sweep is attacked."""

    design: str = ABLATION
    variants: int = 2
    workers: int = 1
    """More than one make gangs of Ray Train workers."""
    seeds: tuple[int, ...] = (1, 2)
    epochs: int = 8
    served: bool = False
    """Whether MLflow is a server of its own instead of a file."""

    steps_per_epoch = 2
    """16 utterances in batches of 8."""

    @property
    def trials(self) -> int:
        return self.variants * len(self.seeds)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole sweep, if none is made twice; each rank of a gang makes them."""
        return self.trials * self.epochs * self.steps_per_epoch * self.workers


SETTINGS = {
    "trials": Setting(),
    "gangs": Setting(workers=2, seeds=(1,), epochs=6),
    "served": Setting(served=True),
    "searches": Setting(SEARCH, variants=12, seeds=(1,), epochs=2),
}


class Server:
    """An MLflow server on a file, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        store = [f"--backend-store-uri=sqlite:///{self.folder}/served.db"]
        artifacts = [f"--artifacts-destination={self.folder}/artifacts"]
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers=1"]
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, *store, *artifacts],
                env={**clean_environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.uri}/health", timeout=2).status == 200
        except OSError:
            return False

    def wait(self) -> None:
        deadline = time.monotonic() + SERVER_STARTS_WITHIN
        while not self.answers:
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        if self.process is not None:
            kill_all([*psutil.Process(self.process.pid).children(recursive=True), self.process])
            self.process.wait()
            self.process = None


@dataclass
class Besieged:
    """One sweep in a folder of its own.

    Attributes:
        folder: Where its files, data and storage are made.
        setting: What kind of sweep it is.
    """

    folder: Path
    setting: Setting
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    launches: int = 0
    launcher: subprocess.Popen | None = None
    server: Server | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        setting = self.setting
        values = {"name": NAME, **vars(setting), "seeds": list(setting.seeds)}
        (self.folder / "tiny.yaml").write_text(RECIPE)
        (self.folder / "base.yaml").write_text(BASE % values)
        (self.folder / "sweep.yaml").write_text(SWEEP % values)
        if setting.served:
            self.server = Server(self.folder / "server")
            self.server.start()
            self.server.wait()

    @property
    def storage(self) -> Path:
        return self.folder / "runs"

    @property
    def tracking_uri(self) -> str:
        return self.server.uri if self.server else f"sqlite:///{self.storage}/mlflow.db"

    def launch(self) -> None:
        """Give the command."""
        self.launches += 1
        tracking = {"MLFLOW_TRACKING_URI": self.server.uri} if self.server else {}
        counting = {"KILL_STEPS_LOG": f"{self.folder}/steps", "KILL_STEP_SECONDS": str(STEP_SECONDS)}
        with self.output(self.launches).open("w") as log:
            self.launcher = subprocess.Popen(
                [sys.executable, "-c", CODE, "sweep", "sweep.yaml"],
                cwd=self.folder,
                env={**clean_environment(), **tracking, **counting, MARK: self.mark},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self, launch: int) -> Path:
        return self.folder / f"launch-{launch}.log"

    def processes(self) -> list[psutil.Process]:
        """All living processes of the sweep: they inherited its mark, whoever their parent is by now."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def steps(self) -> list[list[str]]:
        """Every optimiser step that was made, as the hook noted it."""
        try:
            return [line.split() for line in (self.folder / "steps").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def step_count(self) -> int:
        """How many steps were made so far."""
        return len(self.steps())

    def ledger(self) -> list[tuple[str, str, str | None]]:
        """Key, state and owner of every trial that the ledger knows."""
        path = self.storage / "ledger.db"
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
            rows = connection.execute("SELECT trial_key, state, owner FROM trials").fetchall()
            connection.close()
        except sqlite3.OperationalError:  # not there yet
            return []
        return rows

    def end(self) -> None:
        """End what still runs."""
        kill_all(self.processes())
        if self.launcher is not None:
            self.launcher.wait()
        if self.server is not None:
            self.server.kill()


def clean_environment() -> dict[str, str]:
    rooms = [str(REPOSITORY / room) for room in ("model", "platform", "analysis")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
    path = os.pathsep.join([str(HOOK), *rooms])
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def kill_all(processes) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
