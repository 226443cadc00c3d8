"""Whether the data keeps up with the training: start, loading beside the step, padding, decoding.

For each experiment file:

* start: processor seconds of everything before the first step, in a process of its own, part by part.
* loading: processor milliseconds per batch, first epoch (audio is read and decoded) and later ones (from
  memory), against those of the optimiser step on ready tensors. A thread makes batches ready during the step,
  so the step waits only if loading takes longer than it; where no second core is free the times add up.
* padding: share of padded frames of our batches, with the speeds of each epoch, against random batches.
* decoding: real-time factor of the test set one by one, in random batches, and in batches by length.

Corpora measured before and not named again stay in the results.

Run:  python benchmarks/data_loading.py speechocean762=data/speechocean762 audio_cmn=data/audio_cmn …
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from interleaved import RESULTS, write_results

from paraformer.batching import padding_share
from paraformer.dataset import Batch, SpeechDataset, collate
from paraformer.decoding import decode
from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.batches import TrainingBatches
from paraformer_platform.training.checkpoint import new_model
from paraformer_platform.training.fitting import Fitting
from paraformer_platform.training.precision import autocast
from paraformer_platform.training.preparation import Preparation, prepare

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
BATCHES = 16
EPOCHS = 3
DECODED = 100
TIMED_START = "--timed-start"


def timed_start(config: ExperimentConfig, imports: float) -> dict[str, float]:
    """Processor seconds from the start of the process to the end of the first step, by part."""
    from paraformer_platform.training.corpus import read_corpus
    from paraformer_platform.training.frontend import Frontend
    from paraformer_platform.training.preparation import identify

    marks = {"imports": imports}

    def mark(name: str) -> None:
        marks[name] = time.process_time() - sum(marks.values())

    corpus = read_corpus(config.data)
    mark("manifests")
    frontend = Frontend.fitted(config.data, corpus.train)
    mark("tokenizer and normalisation")
    identify(config, corpus)
    mark("hash of all recordings")
    batches = TrainingBatches(config, frontend, corpus.train)
    steps = batches.steps_per_epoch
    mark("plan of the batches")
    fitting = Fitting(new_model(config), config, steps, torch.device("cpu"))
    mark("model and optimiser")
    fitting.step(next(batches.epoch(0)))
    mark("first batch and step")
    return marks


def measure_start(file: Path, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, TIMED_START, str(file), str(folder)]
    begun = time.perf_counter()
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    marks: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return {
        **{name: round(value, 2) for name, value in marks.items()},
        "all, processor seconds": round(sum(marks.values()), 2),
        "all, seconds on this busy machine": round(time.perf_counter() - begun, 2),
    }


def milliseconds(action: Callable[[], object]) -> float:
    begun = time.process_time()
    action()
    return 1000 * (time.process_time() - begun)


def measure_loading(config: ExperimentConfig, prepared: Preparation) -> dict[str, object]:
    batches = TrainingBatches(config, prepared.frontend, prepared.corpus.train)
    dataset, plan = batches.dataset, batches.plan(0)[:BATCHES]

    def load(indices: list[int]) -> Batch:
        return collate([dataset[index] for index in indices])

    dataset.set_epoch(0)
    first = [milliseconds(lambda: load(indices)) for indices in plan]  # noqa: B023
    dataset.set_epoch(1)
    later = [milliseconds(lambda: load(indices)) for indices in plan]  # noqa: B023
    fitting = Fitting(new_model(config), config, len(plan), torch.device("cpu"))
    ready = [load(indices) for indices in plan]
    fitting.step([ready[0]])
    steps = [milliseconds(lambda: fitting.step([batch])) for batch in ready]  # noqa: B023
    step = statistics.median(steps)
    return {
        "step on ready tensors, ms": round(step, 1),
        "loading in the first epoch, ms": round(statistics.median(first), 1),
        "loading in later epochs, ms": round(statistics.median(later), 1),
        "batches that take longer to load than to compute, first epoch": sum(
            loaded > computed for loaded, computed in zip(first, steps, strict=True)
        )
        / len(plan),
        "the same, later epochs": sum(
            loaded > computed for loaded, computed in zip(later, steps, strict=True)
        )
        / len(plan),
    }


def measure_padding(config: ExperimentConfig, prepared: Preparation) -> dict[str, float]:
    batches = TrainingBatches(config, prepared.frontend, prepared.corpus.train)
    ours, random = [], []
    for epoch in range(EPOCHS):
        lengths = batches.dataset.frames(epoch)
        ours.append(padding_share(batches.plan(epoch), lengths))
        order = np.random.default_rng(epoch).permutation(len(lengths)).tolist()
        size = config.training.batch_size
        random.append(
            padding_share([order[start : start + size] for start in range(0, len(order), size)], lengths)
        )
    return {
        "ours": round(statistics.mean(ours), 4),
        "random batches": round(statistics.mean(random), 4),
        "utterances in a batch": round(len(batches.dataset) / len(batches.plan(0)), 1),
    }


def measure_decoding(config: ExperimentConfig, prepared: Preparation) -> dict[str, float]:
    """Real-time factors; the model is untrained, which changes the number of tokens but hardly the time."""
    model = new_model(config).eval()
    dataset = prepared.frontend.dataset(prepared.corpus.test[:DECODED])
    lengths = dataset.frames()
    by_length = sorted(range(len(dataset)), key=lambda index: lengths[index])
    size = config.decoding.batch_size
    seconds = sum(lengths) * prepared.frontend.extractor.config.frame_shift_seconds
    [dataset[index] for index in by_length]  # into memory: what is measured is decoding

    def run(order: Sequence[int], size: int) -> None:
        for batch in _collated(dataset, order, size):
            with autocast(config.training.precision, torch.device("cpu")):
                decode(model, batch.features, batch.feat_lens, strategy=config.decoding.strategy)

    ways: dict[str, tuple[Sequence[int], int]] = {
        "one by one": (by_length, 1),
        f"random batches of {size}": (range(len(dataset)), size),
        f"batches of {size} by length": (by_length, size),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            times[name].append(milliseconds(lambda: run(*way)) / 1000 / seconds)  # noqa: B023
    return {name: float(f"{statistics.median(found):.3g}") for name, found in times.items()}


def _collated(dataset: SpeechDataset, order: Sequence[int], size: int) -> Iterator[Batch]:
    for start in range(0, len(order), size):
        yield collate([dataset[index] for index in order[start : start + size]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "corpora",
        nargs="+",
        help="Experiment and folder of manifests: NAME=FOLDER, of experiments/NAME.yaml.",
    )
    results: dict[str, object] = {}
    for named in parser.parse_args().corpora:
        name, _, folder = named.partition("=")
        file = EXPERIMENTS / f"{name}.yaml"
        config = load_experiment(file, [f"data.folder={folder}"]).config
        prepared = prepare(config)
        results[name] = {
            "training utterances": len(prepared.corpus.train),
            "augmentation of samples": config.data.augment.changes_samples,
            "precision": config.training.precision,
            "start": measure_start(file, Path(folder)),
            "loading": measure_loading(config, prepared),
            "padded share of frames": measure_padding(config, prepared),
            "real-time factor of decoding": measure_decoding(config, prepared),
        }
        print(name, json.dumps(results[name], indent=1))
    kept = RESULTS / "data_loading.json"
    before = json.loads(kept.read_text())["corpora"] if kept.exists() else {}
    write_results("data_loading", {"corpora": {**before, **results}})


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == [TIMED_START]:
        used = time.process_time()
        loaded = load_experiment(Path(sys.argv[2]), [f"data.folder={sys.argv[3]}"]).config
        print(json.dumps(timed_start(loaded, used)))
    else:
        main()
