"""How long the report of a large sweep takes, and how much memory: 50 variants × 3 seeds × 5 000 utterances.

    python benchmarks/report.py

The sweep is written into an MLflow store as the platform writes it, then `report_sweep` runs in a process of
its own with 10 000 bootstrap replicates. Time and peak memory are that process's, from its first import on.
"""

import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from interleaved import write_results

VARIANTS, SEEDS, UTTERANCES, SPEAKERS, REPLICATES = 50, (11, 22, 33), 5000, 100, 10_000
LIMIT_SECONDS, LIMIT_MB = 60, 2048
DIGITS = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        uri = write_store(Path(folder))
        by_speaker = measure(uri, "by-speaker", Path(folder) / "one")
        by_utterance = measure(uri, "by-utterance", Path(folder) / "two")
    size = f"{VARIANTS} variants x {len(SEEDS)} seeds x {UTTERANCES} utterances"
    results = {
        "sweep": f"{size}, {REPLICATES} replicates",
        "limit": {"seconds": LIMIT_SECONDS, "megabytes": LIMIT_MB},
        "speakers_resampled": by_speaker,
        "utterances_resampled": by_utterance,
    }
    print(f"wrote {write_results('report', results)}: {json.dumps(results)}")


def measure(uri: str, sweep: str, out: Path) -> dict[str, float]:
    """Make the report in a fresh process; return its seconds and its peak memory."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", uri, sweep, str(out)], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def make_one(uri: str, sweep: str, out: Path) -> None:
    start = time.perf_counter()
    from paraformer_analysis.report import report_sweep

    report_sweep(uri, sweep, out)
    seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    # On a machine that others use too, the processor's seconds say more than the clock's.
    processor = used.ru_utime + used.ru_stime
    megabytes = round(used.ru_maxrss / 1024)
    print(
        json.dumps({"seconds": round(seconds, 1), "cpu_seconds": round(processor, 1), "megabytes": megabytes})
    )


def write_store(folder: Path) -> str:
    """Write two sweeps that share their trials: one resamples speakers, the other utterances."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("paraformer", artifact_location=(folder / "artifacts").as_uri())
    names = ["baseline", *(f"variant-{number:02d}" for number in range(1, VARIANTS))]
    trials = [
        {"trial_key": f"{name}-{seed}", "variant": name, "seed": seed} for name in names for seed in SEEDS
    ]
    for block in ("speaker", "utterance"):
        lock = {
            "version": 1,
            "name": f"by-{block}",
            "baseline": "baseline",
            "metric": {"name": "test/wer", "goal": "minimize"},
            "seeds": list(SEEDS),
            "report": {"bootstrap": REPLICATES, "block": block},
            "variants": [{"id": name, "changes": {}, "group": None} for name in names],
            "trials": trials,
        }
        tags = {"paraformer.kind": "sweep", "paraformer.sweep": f"by-{block}"}
        parent = client.create_run(experiment, tags=tags).info.run_id
        client.log_text(parent, json.dumps(lock), "sweep/sweep.lock.json")
    generator = np.random.default_rng(0)
    references = [generator.choice(DIGITS, generator.integers(3, 13)) for _ in range(UTTERANCES)]
    for trial in trials:
        write_trial(
            client, experiment, trial, references, 0.1 + 0.001 * names.index(str(trial["variant"])), generator
        )
    return uri


def write_trial(
    client: Any,
    experiment: str,
    trial: dict[str, Any],
    references: list[Any],
    rate: float,
    generator: np.random.Generator,
) -> None:
    from mlflow.entities import Metric

    tags = {f"paraformer.{key}": str(trial[key]) for key in ("trial_key", "variant", "seed")}
    tags |= {"paraformer.kind": "trial", "paraformer.state": "completed"}
    run_id = client.create_run(experiment, tags=tags).info.run_id
    points = [
        Metric(key, rate + 1 / epoch, 1_700_000_000_000 + epoch, epoch)
        for epoch in range(1, 101)
        for key in ("dev/wer", "train/loss")
    ]
    client.log_batch(run_id, metrics=[*points, Metric("cost/parameters", 1e6, 1_700_000_000_000, 100)])
    client.log_text(run_id, results_table(references, rate, generator), "results/test.csv")
    client.set_terminated(run_id)


def results_table(references: list[Any], rate: float, generator: np.random.Generator) -> str:
    """Replace words by one that is no digit: the number of substitutions is known without aligning."""
    wrong = [generator.random(len(words)) < rate for words in references]
    lengths = np.array([len(words) for words in references])
    characters = np.array([len(" ".join(words)) for words in references])
    errors = np.array([mask.sum() for mask in wrong])
    nothing = np.zeros(len(references), dtype=int)
    frame = pd.DataFrame(
        {
            "id": [f"utt{number:05d}" for number in range(len(references))],
            "speaker": [f"speaker{number % SPEAKERS:03d}" for number in range(len(references))],
            "seconds": 2.0,
            "reference": [" ".join(words) for words in references],
            "hypothesis": [
                " ".join(np.where(mask, "x", words)) for words, mask in zip(references, wrong, strict=True)
            ],
            "words": lengths,
            "word_substitutions": errors,
            "word_deletions": nothing,
            "word_insertions": nothing,
            "characters": characters,
            "char_substitutions": errors,
            "char_deletions": nothing,
            "char_insertions": nothing,
        }
    )
    text = io.StringIO()
    frame.to_csv(text, index=False)
    return text.getvalue()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        make_one(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main()
