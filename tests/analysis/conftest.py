"""Real MLflow stores with simulated sweeps in them, written as the platform writes them.

Errors are simulated word by word with known probabilities, so the truth behind each table is known. A digit
that is recognised wrongly becomes another digit; counts come from jiwer, not from the code under test.
"""

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
START_MS = 1_700_000_000_000


@dataclass
class SimulatedSweep:
    """What to simulate, and knobs to break it."""

    variants: Mapping[str, float] = field(
        default_factory=lambda: {"baseline": 0.10, "no-predictor": 0.25, "encoder-2": 0.10, "dim-256": 0.11}
    )
    """Word error probability by variant."""
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: Sequence[int] = (11, 22, 33)
    seed_spread: float = 0.003
    utterances: int = 60
    speakers: int = 10
    name: str = "demo"
    lock: Mapping[str, Any] = field(default_factory=dict)
    """Entries of the lock file that replace the usual ones."""
    states: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """State of single trials: failed, stopped, running, or missing (planned but without a run)."""
    duplicates: Sequence[tuple[str, int]] = ()
    """Trials that have a second run."""
    metrics: Mapping[tuple[str, int], Mapping[str, float]] = field(default_factory=dict)
    """Final metrics of single trials that replace the usual ones."""
    results: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Text of results/test.csv of single trials."""
    empty_references: int = 0
    early: Sequence[tuple[str, int]] = ()
    """Trials that the sweep's early termination stopped."""
    fresh: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Fresh seeds of the variants that a search confirms."""
    children: float = 0.0
    """How much more often words of children are wrong; every other speaker is one if it is not zero."""
    environments: Mapping[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    """Where single trials ran, if not where the others did."""
    random_state: int = 0


@dataclass(frozen=True)
class StoredSweep:
    """A simulated sweep in a store."""

    uri: str
    name: str
    parent_run_id: str
    run_ids: Mapping[tuple[str, int], str]
    lock: Mapping[str, Any]


@pytest.fixture
def store_sweep(tmp_path: Path) -> Callable[..., StoredSweep]:
    """Write a sweep into an SQLite store of this test's own; call it with fields of SimulatedSweep."""

    def write(**fields: Any) -> StoredSweep:
        return write_sweep(tmp_path, SimulatedSweep(**fields))

    return write


@pytest.fixture(scope="session")
def write_into() -> Callable[..., StoredSweep]:
    """Write a sweep into a folder; call it with the folder and fields of SimulatedSweep."""
    return lambda folder, **fields: write_sweep(folder, SimulatedSweep(**fields))


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> StoredSweep:
    """A whole ablation sweep of four variants and three seeds; shared, so do not write to it."""
    lock = {"report": {"alpha": 0.05, "correction": "holm", "bootstrap": 2000, "equivalence_margin": 4.0}}
    return write_sweep(
        tmp_path_factory.mktemp("demo"), SimulatedSweep(utterances=200, speakers=20, lock=lock)
    )


@cache
def empty_store() -> bytes:
    """An empty SQLite store: MLflow takes seconds to make one, and a copy costs nothing."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
        return path.read_bytes()


def write_sweep(folder: Path, sweep: SimulatedSweep) -> StoredSweep:
    from mlflow import MlflowClient

    if not (folder / "mlflow.db").exists():
        (folder / "mlflow.db").write_bytes(empty_store())
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name("paraformer")
    experiment = (
        known.experiment_id
        if known
        else client.create_experiment("paraformer", artifact_location=(folder / "artifacts").as_uri())
    )
    lock = _lock(sweep)
    parent = client.create_run(
        experiment,
        start_time=START_MS,
        run_name=sweep.name,
        tags={"paraformer.kind": "sweep", "paraformer.sweep": sweep.name, "paraformer.plan": "p" * 16},
    )
    client.log_text(parent.info.run_id, json.dumps(lock), "sweep/sweep.lock.json")
    corpus = _corpus(sweep)
    run_ids = {}
    for trial in lock["trials"]:
        cell = (trial["variant"], trial["seed"])
        for copy in range(1 + (cell in sweep.duplicates)):
            if sweep.states.get(cell) != "missing":
                run_id = _write_trial(client, experiment, parent.info.run_id, sweep, trial, corpus, copy)
                run_ids.setdefault(cell, run_id)
    client.set_terminated(parent.info.run_id, end_time=START_MS + 10_000_000)
    return StoredSweep(uri, sweep.name, parent.info.run_id, run_ids, lock)


def _lock(sweep: SimulatedSweep) -> dict[str, Any]:
    changes = {"no-predictor": {"model.use_predictor": False}, **sweep.changes}
    return {
        "version": 1,
        "name": sweep.name,
        "hypothesis": "The predictor matters, depth and width do not.",
        "method": "ablation",
        "metric": {"name": "test/wer", "goal": "minimize"},
        "baseline": "baseline",
        "seeds": list(sweep.seeds),
        "factors": {},
        "aliases": None,
        "report": {"alpha": 0.05, "correction": "holm", "bootstrap": 2000},
        "data_fingerprint": "d" * 16,
        "code_version": "c" * 16,
        "command": f"paraformer sweep experiments/sweeps/{sweep.name}.yaml",
        "variants": [
            {"id": variant, "changes": dict(changes.get(variant, {})), "group": None}
            for variant in sweep.variants
        ],
        "trials": [
            {"trial_key": f"{sweep.name}-{variant}-{seed}", "variant": variant, "seed": seed}
            for variant in sweep.variants
            for seed in sweep.seeds
        ]
        + [
            {
                "trial_key": f"{sweep.name}-{variant}-{seed}",
                "variant": variant,
                "seed": seed,
                "stage": "confirm",
            }
            for variant, seeds in sweep.fresh.items()
            for seed in seeds
        ],
        **sweep.lock,
    }


def _corpus(sweep: SimulatedSweep) -> list[dict[str, Any]]:
    generator = np.random.default_rng(sweep.random_state)
    return [
        {
            "id": f"utt{index:04d}",
            "speaker": f"speaker{index % sweep.speakers:02d}" if sweep.speakers else "",
            "seconds": 2.0,
            **({"group_age": "child" if index % sweep.speakers % 2 else "adult"} if sweep.children else {}),
            "words": []
            if index < sweep.empty_references
            else list(generator.choice(DIGITS, generator.integers(3, 9))),
        }
        for index in range(sweep.utterances)
    ]


def _write_trial(
    client: Any,
    experiment: str,
    parent: str,
    sweep: SimulatedSweep,
    trial: dict[str, Any],
    corpus: list[Any],
    copy: int,
) -> str:
    from mlflow.entities import Metric, Param

    cell = (trial["variant"], trial["seed"])
    state = "stopped" if cell in sweep.early else sweep.states.get(cell, "completed")
    tags = {
        "paraformer.kind": "trial",
        "paraformer.trial_key": trial["trial_key"],
        "paraformer.sweep": sweep.name,
        "paraformer.variant": cell[0],
        "paraformer.seed": str(cell[1]),
        "paraformer.attempt": "1",
        "paraformer.data": "d" * 16,
        "paraformer.code": "c" * 16,
        "mlflow.source.git.commit": "a" * 40,
        "mlflow.parentRunId": parent,
        **({} if state == "running" else {"paraformer.state": state}),
        **({"paraformer.error": "OutOfMemoryError: 3 GiB asked"} if state == "failed" else {}),
        **({"paraformer.error": "stopped early by the sweep's scheduler"} if cell in sweep.early else {}),
    }
    run = client.create_run(
        experiment,
        start_time=START_MS + cell[1] + 1000 * copy,
        run_name=f"{sweep.name}/{cell[0]}/{cell[1]}",
        tags=tags,
    )
    run_id: str = run.info.run_id
    generator = np.random.default_rng([sweep.random_state, *trial["trial_key"].encode()])
    rate = float(np.clip(sweep.variants[cell[0]] + sweep.seed_spread * generator.standard_normal(), 0, 1))
    table = (
        sweep.results[cell]
        if cell in sweep.results
        else results_table(corpus, rate, generator, sweep.children)
    )
    points = [
        Metric(key, float(value), START_MS + 1000 * step, step)
        for step in range(1, 6)
        for key, value in {
            "train/loss": 3 / step,
            "dev/wer": rate + 0.5 / step,
            "dev/cer": rate / 2 + 0.3 / step,
        }.items()
    ]
    final = {
        "cost/parameters": 1e6 if cell[0] == "encoder-2" else 2e6,
        "cost/train_seconds": 60.0 + cell[1],
        "cost/rtf": 0.01,
        "cost/peak_memory_mb": 500.0,
        **sweep.metrics.get(cell, {}),
    }
    points += [Metric(key, value, START_MS + 6000, 5) for key, value in final.items()]
    params = {
        "training.seed": cell[1],
        **next(v["changes"] for v in _lock(sweep)["variants"] if v["id"] == cell[0]),
    }
    client.log_batch(run_id, metrics=points, params=[Param(key, str(value)) for key, value in params.items()])
    if state == "completed":
        environment = sweep.environments.get(cell) or {
            "python": "3.11.2",
            "torch": "2.14.1",
            "cpu": "a processor",
            "gpu": [],
        }
        client.log_text(run_id, json.dumps(environment), "environment.json")
        client.log_text(run_id, table, "results/test.csv")
    status = {"completed": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}.get(state)
    if status:
        client.set_terminated(run_id, status, end_time=START_MS + 60_000)
    return run_id


def results_table(
    corpus: Sequence[Mapping[str, Any]], rate: float, generator: np.random.Generator, children: float = 0.0
) -> str:
    """Recognise a corpus with this probability of error per word; return the text of results/test.csv."""
    rows = []
    for utterance in corpus:
        worse = children if utterance.get("group_age") == "child" else 0.0
        hypothesis = _recognise(utterance["words"], rate + worse, generator)
        reference = " ".join(utterance["words"])
        rows.append(
            {
                "id": utterance["id"],
                "speaker": utterance["speaker"],
                "seconds": utterance["seconds"],
                "reference": reference,
                "hypothesis": hypothesis,
                "reference_tokens": len(reference),
                "hypothesis_tokens": len(hypothesis),
                **_counts(reference, hypothesis, "word", "words"),
                **_counts(reference, hypothesis, "char", "characters"),
                "ctc_word_errors": 1,
                "ctc_char_errors": 2,
                "oracle_word_errors": 0,
                "oracle_char_errors": 1,
                "decode_seconds": 0.01,
                **{key: value for key, value in utterance.items() if key.startswith("group_")},
            }
        )
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _recognise(words: Sequence[str], rate: float, generator: np.random.Generator) -> str:
    heard: list[str] = []
    for word in words:
        fate = generator.random()
        if fate >= rate:
            heard.append(word)
        elif fate < 0.7 * rate:
            heard.append(str(generator.choice([digit for digit in DIGITS if digit != word])))
        elif fate > 0.85 * rate:
            heard += [word, str(generator.choice(DIGITS))]
    return " ".join(heard)


def _counts(reference: str, hypothesis: str, prefix: str, length: str) -> dict[str, int]:
    if not reference:
        inserted = len(hypothesis.split()) if prefix == "word" else len(hypothesis)
        found = (0, 0, inserted, 0)
    else:
        process = jiwer.process_words if prefix == "word" else jiwer.process_characters
        out = process(reference, hypothesis)
        found = (
            out.substitutions,
            out.deletions,
            out.insertions,
            out.hits + out.substitutions + out.deletions,
        )
    names = (f"{prefix}_substitutions", f"{prefix}_deletions", f"{prefix}_insertions", length)
    return dict(zip(names, found, strict=True))
