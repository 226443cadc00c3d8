"""A fair race on recorded speech: FunASR's Paraformer from PyPI, ours, plain CTC, an autoregressive decoder.

Everybody gets the same recordings, splits, features, augmentation, vocabulary, dimensions, batches,
optimiser, schedule and thread, and is scored by the same scorer; weights are the mean of the best epochs on
dev. Nobody is trained on recordings without speech, since a batch of empty transcripts ends FunASR's decoder.
What differs is the implementation of the network, its losses and its decoding. Two questions:

* *equal epochs*: everybody trains the epochs of the experiment file;
* *equal time*: FunASR trains as many epochs as fit into the time that ours took for all of its own, with the
  schedule shortened to match. FunASR trains in fp32, its default; ours in the file's precision.

The clock is the processor time of the one thread, decoding of dev left out: what the training would take on a
core of its own. Differences are paired by seed, with the two-level bootstrap of the reports.

Run:  python benchmarks/accuracy.py EXPERIMENT.yaml [--override KEY=VALUE] [--seeds 11,22,33] [--partial FILE]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from funasr_reference import Size, build_funasr
from interleaved import write_results
from torch import Tensor, nn

from paraformer.dataset import Batch, SpeechDataset
from paraformer.front_end import LowFrameRate
from paraformer.padding import length_mask
from paraformer.tokenizer import BOS, EOS, PAD
from paraformer_analysis.bootstrap import BlockBootstrap
from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.batches import TrainingBatches, evaluation_batches
from paraformer_platform.training.checkpoint import average_weights, copied_weights, new_model
from paraformer_platform.training.cost import PeakMemory, count_parameters
from paraformer_platform.training.evaluation import Evaluator
from paraformer_platform.training.fitting import Fitting
from paraformer_platform.training.optimiser import build_optimiser, build_schedule, clip_gradients
from paraformer_platform.training.precision import autocast
from paraformer_platform.training.preparation import Preparation, prepare
from paraformer_platform.training.ranking import Ranking
from paraformer_platform.training.scoring import count_characters, count_words, error_rate

CPU = torch.device("cpu")
IGNORED = -1
"""What FunASR pads transcripts with."""

Pairs = list[tuple[str, str]]
"""Reference and hypothesis of each utterance, in the order of the set."""


class Runner(Protocol):
    """A network in training."""

    model: nn.Module

    def step(self, group: Sequence[Batch]) -> object:
        """Change the weights once."""

    def decode(self, dataset: SpeechDataset) -> Pairs:
        """Write down what is heard."""


class Ours:
    """This project's network, trained as `paraformer train` does."""

    def __init__(self, config: ExperimentConfig, preparation: Preparation, steps: int) -> None:
        self.model = new_model(config)
        self.step = Fitting(self.model, config, steps, CPU).step
        self._evaluator = Evaluator(self.model, preparation.frontend, config, CPU)

    def decode(self, dataset: SpeechDataset) -> Pairs:
        self.model.eval()
        return [(row.reference, row.hypothesis) for row in self._evaluator.decode(dataset)]


class Funasr:
    """FunASR's network with its own losses and inference path, at the dimensions of our configuration."""

    def __init__(self, config: ExperimentConfig, preparation: Preparation, steps: int) -> None:
        encoder, decoder = config.model.encoder, config.model.decoder
        assert (encoder.kind, encoder.front_end) == ("sanm", "lfr"), "FunASR's is a SANM on stacked frames"
        assert encoder.hidden_dim == decoder.hidden_dim, "FunASR's decoder is as wide as its encoder"
        self._config, self._frontend = config, preparation.frontend
        self._stack = LowFrameRate(config.data.feature_dim)
        size = Size(
            "race",
            layers=encoder.num_layers,
            decoder_layers=decoder.num_layers,
            hidden_dim=encoder.hidden_dim,
            heads=encoder.num_heads,
            ffn_dim=encoder.ffn_dim or 4 * encoder.hidden_dim,
            vocab_size=config.data.vocab_size,
            kernel_size=encoder.kernel_size,
            sampling_ratio=config.model.sampler.ratio,
            ctc_weight=config.model.loss.ctc_weight,
            dropout=encoder.dropout,
        )
        self.model = build_funasr(size, self._stack.output_dim)
        self._optimiser = build_optimiser(self.model, config.training)
        self._schedule = build_schedule(self._optimiser, config.training, steps)

    def step(self, group: Sequence[Batch]) -> None:
        self.model.train()
        total = sum(int(batch.token_lens.sum()) for batch in group)
        for batch in group:
            features, lengths = self._features(batch)
            real = length_mask(batch.token_lens, batch.tokens.shape[1])
            tokens = batch.tokens.masked_fill(~real, IGNORED)
            with autocast(self._config.training.precision, CPU):
                loss, _, _ = self.model(features, lengths, tokens, batch.token_lens)
            (loss * (int(batch.token_lens.sum()) / total)).backward()
        clip_gradients(self.model.parameters(), self._config.training.gradient_clip)
        self._optimiser.step()
        self._schedule.step()
        self._optimiser.zero_grad(set_to_none=True)

    @torch.no_grad()
    def decode(self, dataset: SpeechDataset) -> Pairs:
        """One utterance at a time, as FunASR infers: its token counts depend on the padding of a batch."""
        self.model.eval()
        heard: dict[str, str] = {}
        for batch in evaluation_batches(dataset, 1):
            heard[batch.ids[0]] = self._frontend.tokenizer.decode(self._tokens(batch))
        return [(utterance.text, heard[utterance.id]) for utterance in dataset.utterances]

    def _tokens(self, batch: Batch) -> list[int]:
        with autocast(self._config.training.precision, CPU):
            hidden, lengths = self.model.encode(*self._features(batch))
            embeddings, count, _, _ = self.model.calc_predictor(hidden, lengths)
            count = count.round().long()
            if int(count.max()) < 1:
                return []
            logits, _ = self.model.cal_decoder_with_predictor(hidden, lengths, embeddings, count)
        chosen = logits[0, : int(count[0])].argmax(dim=-1).tolist()
        return [token for token in chosen if token not in (PAD, BOS, EOS)]

    def _features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        stacked = self._stack(batch.features, batch.feat_lens)
        return stacked, self._stack.output_lengths(batch.feat_lens)


@dataclass(frozen=True)
class Entry:
    """One contender of the race."""

    make: Callable[[ExperimentConfig, Preparation, int], Runner]
    overrides: tuple[str, ...] = ()
    """What its experiment differs in."""


ENTRIES: dict[str, Entry] = {
    "ours": Entry(Ours),
    "ours fp32": Entry(Ours, ("training.precision=fp32",)),
    "funasr fp32": Entry(Funasr, ("training.precision=fp32",)),
    "funasr bf16": Entry(Funasr, ("training.precision=bf16",)),
    "ctc": Entry(Ours, ("model.loss.ctc_weight=1", "model.loss.quantity_weight=0",
                        "model.sampler.ratio=0", "decoding.strategy=ctc_greedy")),
    "autoregressive": Entry(Ours, ("model.decoder.kind=autoregressive",)),
}  # fmt: skip
EQUAL_TIME = "funasr fp32, equal time"
FOR_ALL = ("data.augment.silence_share=0",)
"""What everybody's experiment differs in: FunASR's decoder cannot take a batch without any token."""


def race(
    path: str, overrides: Sequence[str], seeds: Sequence[int], entries: Sequence[str], partial: Path
) -> dict[str, dict[str, Any]]:
    """Train and test every contender with every seed; what is in the partial file is not trained again."""
    found: dict[str, dict[str, Any]] = json.loads(partial.read_text()) if partial.exists() else {}

    def run(name: str, entry: Entry, seed: int, epochs: int | None = None) -> dict[str, Any]:
        key = f"{name} / {seed}"
        if key not in found:
            config = load_experiment(path, [*overrides, *FOR_ALL, *entry.overrides]).config
            training = replace(config.training, seed=seed, num_epochs=epochs or config.training.num_epochs)
            found[key] = train_and_test(replace(config, training=training), entry.make)
            partial.write_text(json.dumps(found, indent=1))
            print(key, {name: found[key][name] for name in ("wer", "cer", "train_seconds")}, flush=True)
        return found[key]

    for seed in seeds:
        for name in entries:
            run(name, ENTRIES[name], seed)
        if {"ours", "funasr fp32"} <= set(entries):
            ours, theirs = found[f"ours / {seed}"], found[f"funasr fp32 / {seed}"]
            seconds_of_epoch = theirs["train_seconds"] / theirs["epochs"]
            fitting = max(1, round(ours["train_seconds"] / seconds_of_epoch))
            run(EQUAL_TIME, ENTRIES["funasr fp32"], seed, fitting)
    return found


def train_and_test(
    config: ExperimentConfig, make: Callable[[ExperimentConfig, Preparation, int], Runner]
) -> dict[str, Any]:
    """Train once; return error counts of every test utterance, rates and costs."""
    preparation = prepare(config)
    memory = PeakMemory(CPU)
    batches = TrainingBatches(config, preparation.frontend, preparation.corpus.train)
    torch.manual_seed(config.training.seed)
    runner = make(config, preparation, batches.steps_per_epoch * config.training.num_epochs)
    ranking, kept, seconds, curve = Ranking(config.training.average_checkpoints), {}, 0.0, []
    dev = preparation.frontend.dataset(preparation.corpus.dev)
    for epoch in range(config.training.num_epochs):
        begun = time.process_time()
        for group in batches.epoch(epoch):
            runner.step(group)
        seconds += time.process_time() - begun
        rate = error_rate(count_characters(*pair) for pair in runner.decode(dev))
        ranking.add(epoch, rate)
        kept[epoch] = copied_weights(runner.model)
        kept = {number: weights for number, weights in kept.items() if number in ranking.best}
        curve.append({"seconds": round(seconds, 1), "dev_cer": round(rate, 4)})
    runner.model.load_state_dict(average_weights([kept[epoch] for epoch in ranking.best]))
    pairs = runner.decode(preparation.frontend.dataset(preparation.corpus.test))
    words, characters = ([count(*pair) for pair in pairs] for count in (count_words, count_characters))
    return {
        "epochs": config.training.num_epochs,
        "train_seconds": round(seconds, 1),
        "utterances_per_second": round(len(batches.dataset) * config.training.num_epochs / seconds, 1),
        "peak_memory_mb": round(memory.megabytes()),
        "parameters": count_parameters(runner.model),
        "wer": round(error_rate(words), 4),
        "cer": round(error_rate(characters), 4),
        "dev": curve,
        "speakers": [utterance.speaker or utterance.id for utterance in preparation.corpus.test],
        "errors": {"wer": [c.errors for c in words], "cer": [c.errors for c in characters]},
        "lengths": {"wer": [c.reference for c in words], "cer": [c.reference for c in characters]},
    }


def summarise(found: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    """Means over seeds, and differences to ours with their intervals."""
    names = sorted({key.split(" / ")[0] for key in found})
    rows: dict[str, Any] = {}
    for name in names:
        runs = [found[f"{name} / {seed}"] for seed in seeds]
        rows[name] = {
            **{field: _mean([run[field] for run in runs]) for field in COLUMNS},
            "dev_curve_of_first_seed": runs[0]["dev"],
        }
        for kind in ("wer", "cer"):
            rows[name][kind] = {
                "per_seed": [run[kind] for run in runs],
                **_interval([run["errors"][kind] for run in runs], runs[0]["lengths"][kind]),
            }
            if name != "ours" and f"ours / {seeds[0]}" in found:
                ours = [found[f"ours / {seed}"]["errors"][kind] for seed in seeds]
                differences = np.array([run["errors"][kind] for run in runs]) - np.array(ours)
                rows[name][f"{kind}_minus_ours"] = _interval(differences, runs[0]["lengths"][kind])
    return rows


COLUMNS = ("epochs", "train_seconds", "utterances_per_second", "peak_memory_mb", "parameters")


def _mean(values: Sequence[float]) -> float:
    return round(statistics.fmean(values), 2)


def _interval(errors: Sequence[Sequence[int]] | np.ndarray, lengths: Sequence[int]) -> dict[str, float]:
    """Estimate and 95 % interval; utterances are the blocks, since these corpora have few speakers."""
    estimate = BlockBootstrap(np.asarray(lengths, float)).estimate(np.asarray(errors, float))
    return {name: round(getattr(estimate, name), 4) for name in ("value", "low", "high")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--override", action="append", default=[])
    parser.add_argument("--seeds", default="11,22,33")
    parser.add_argument("--entries", default=",".join(ENTRIES))
    parser.add_argument("--partial", type=Path, default=None, help="keeps finished trainings")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    corpus = Path(arguments.experiment).stem
    partial = arguments.partial or Path(f"runs/accuracy_{corpus}.json")
    partial.parent.mkdir(parents=True, exist_ok=True)
    found = race(arguments.experiment, arguments.override, seeds, arguments.entries.split(","), partial)
    results = {
        "experiment": corpus, "overrides": arguments.override, "seeds": seeds, **summarise(found, seeds)
    }  # fmt: skip
    print(write_results(f"accuracy_{corpus}", results))


if __name__ == "__main__":
    main()
