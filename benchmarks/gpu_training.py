"""Training on one NVIDIA GPU: the base experiment's model, FunASR's beside ours, trials that share the GPU.

*training*: optimiser steps of experiments/paraformer_base.yaml's model on random utterances of 1.5 to 3 s, in
fp32 with TF32, bf16, bf16 compiled and bf16 with recomputed layers, at several batch sizes: utterances per
second, share of the card's own rate in large matrix products of that format, peak memory.
*reference*: CIF alone, and a training step at equal dimensions, against FunASR's, on the same batch.
*sharing*: a sweep of four short trainings, one after another with the whole GPU each, and four at once with a
quarter each: wall time of all, Ray's start included.

Run:  python benchmarks/gpu_training.py                         about ten minutes
      python benchmarks/gpu_training.py --device cpu --quick    tries the script itself; keeps nothing

Writes benchmarks/results/gpu_training.json. Without an NVIDIA GPU it says so and measures nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from interleaved import compare, write_results

from paraformer.cif import integrate_and_fire
from paraformer.dataset import Batch
from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.inspection.matrix_rate import matrix_rate
from paraformer_platform.inspection.measures import wait_for
from paraformer_platform.inspection.profile import random_batch
from paraformer_platform.training.checkpoint import new_model
from paraformer_platform.training.cost import PeakMemory, count_parameters, operation_counter
from paraformer_platform.training.fitting import Fitting

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("training", "reference", "sharing")
VARIANTS: dict[str, dict[str, Any]] = {
    "fp32 (TF32)": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "bf16, compiled": {"precision": "bf16", "compile": True},
    "bf16, recomputed layers": {"precision": "bf16", "gradient_checkpointing": True},
}
TINY = [
    *("model.encoder.num_layers=1", "model.encoder.hidden_dim=32", "model.encoder.num_heads=2"),
    *("model.decoder.num_layers=1", "model.decoder.hidden_dim=32", "model.predictor.hidden_dim=32"),
]
BATCHES = 4
"""Of different lengths, in turn."""
Seconds = float


def training(device: torch.device, quick: bool) -> list[dict[str, Any]]:
    experiment = load_experiment(
        REPOSITORY / "experiments/paraformer_base.yaml", TINY if quick else []
    ).config
    rows = []
    for size in (4,) if quick else (16, 64, 256):
        for name, changes in VARIANTS.items():
            if quick and changes.get("compile"):
                continue  # takes minutes on a CPU
            config = replace(experiment, training=replace(experiment.training, batch_size=size, **changes))
            rows.append(
                {"variant": name, "utterances in a batch": size, **fit(config, device, 2 if quick else 5)}
            )
            print(rows[-1], flush=True)
    return rows


def fit(config: ExperimentConfig, device: torch.device, rounds: int) -> dict[str, Any]:
    """Optimiser steps on some batches, after one round to warm up and, if asked for, to compile."""
    torch.manual_seed(0)
    model = new_model(config).to(device)
    fitting = Fitting(model, config, 1000, device)
    batches = [shortened(random_batch(config, model), number).to(device) for number in range(BATCHES)]
    begun = time.perf_counter()
    for batch in batches:
        fitting.step([batch])
    wait_for(device)
    warm_up = time.perf_counter() - begun
    memory = PeakMemory(device)
    seconds = median(
        timed(lambda: [fitting.step([batch]) for batch in batches], device) for _ in range(rounds)
    )
    peak = memory.megabytes()
    rate = matrix_rate(config.training, device)
    return {
        "parameters": count_parameters(model),
        "utterances per second": figures(sum(map(len, batches)) / seconds),
        "share of matrix rate": figures(operations(config, batches, device) / seconds / rate),
        "matrix rate, TFLOP/s": figures(rate / 1e12),
        "peak memory, MB": figures(peak),
        "first round, s": figures(warm_up),
    }


def operations(config: ExperimentConfig, batches: list[Batch], device: torch.device) -> int:
    """Of the steps as they are without compiling and recomputing: what a faster way saves is no work done."""
    plain = replace(config.training, compile=False, gradient_checkpointing=False)
    fitting = Fitting(new_model(config).to(device), replace(config, training=plain), 1000, device)
    with operation_counter() as counter:
        for batch in batches:
            fitting.step([batch])
    return int(counter.get_total_flops())


def shortened(batch: Batch, number: int) -> Batch:
    """Utterances of half to all of the longest length, the longest of batch `number` a little shorter."""
    longest = batch.features.shape[1] - 20 * number
    generator = torch.Generator().manual_seed(number)
    lengths = torch.randint(longest // 2, longest + 1, (len(batch),), generator=generator)
    lengths[0] = longest
    tokens = (batch.token_lens * lengths // batch.features.shape[1]).clamp(min=1)
    return replace(
        batch,
        features=batch.features[:, :longest],
        feat_lens=lengths,
        tokens=batch.tokens[:, : int(tokens.max())],
        token_lens=tokens,
    )


def reference(device: torch.device, quick: bool) -> dict[str, Any]:
    """Ours against FunASR's, interleaved, by the wall clock."""
    from funasr_reference import BASE, SMALL, build_funasr, funasr_cif
    from training_step import MELS, STACK, build_ours, funasr_step, make_batch, our_step

    torch.manual_seed(0)
    size = replace(SMALL, layers=1, hidden_dim=32, heads=2, ffn_dim=64) if quick else BASE
    frames = [50] * 4 if quick else sorted([*torch.randint(150, 301, (63,)).tolist(), 300])
    batch = make_batch(frames, size).to(device)
    theirs, ours = build_funasr(size, STACK * MELS).to(device), build_ours(size).to(device)
    steps = {
        "funasr fp32": funasr_step(theirs, batch),
        "funasr bf16": funasr_step(theirs, batch, bf16=True),
        "ours fp32": our_step(ours, batch),
        "ours bf16": our_step(ours, batch, bf16=True),
    }
    width, tokens = size.hidden_dim, max(frames) // 10
    hidden = torch.randn(len(frames), max(frames), width, device=device, requires_grad=True)
    alphas = torch.rand(len(frames), max(frames), device=device, requires_grad=True)
    targets = torch.full((len(frames),), tokens, device=device)

    def scaled() -> torch.Tensor:
        return alphas * (targets / alphas.sum(dim=1)).unsqueeze(1)

    cif = {
        "funasr cif_v1": lambda: funasr_cif()[1](hidden, scaled(), 1.0)[0].sum().backward(),
        "ours": lambda: integrate_and_fire(hidden, alphas, targets).embeddings.sum().backward(),
    }
    rounds = 2 if quick else 7
    return {
        "step": in_turn(steps, "funasr fp32", device, rounds),
        "cif": in_turn(cif, "funasr cif_v1", device, rounds),
        "utterances": len(frames),
        "frames": max(frames),
    }


def in_turn(
    ways: dict[str, Callable[[], object]], base: str, device: torch.device, rounds: int
) -> dict[str, Any]:
    def whole(way: Callable[[], object]) -> Callable[[], None]:
        def action() -> None:
            way()
            wait_for(device)

        return action

    contenders = {name: whole(way) for name, way in ways.items()}
    return compare(contenders, reference=base, rounds=rounds, clock=time.perf_counter)


def sharing(device: torch.device, quick: bool) -> dict[str, Any]:
    """Wall time of four trainings in a row and at once."""
    gpus = device.type == "cuda"
    ways = {"one after another": (1.0, 1), "four at once": (0.25, 4)}
    return {
        name: figures(sweep(share if gpus else 0.0, at_once if gpus else min(at_once, 2), quick))
        for name, (share, at_once) in ways.items()
    }


def sweep(gpus: float, at_once: int, quick: bool) -> Seconds:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sharing.yaml").write_text(
            json.dumps(
                {
                    "name": "sharing",
                    "base": str(REPOSITORY / "experiments/paraformer_small.yaml"),
                    "method": "list",
                    "include": [{"id": "small", "set": settings(folder, quick)}],
                    "seeds": [11, 22] if quick else [11, 22, 33, 44],
                    "storage": str(folder / "runs"),
                    "resources": {"gpus_per_worker": gpus, "cpus_per_worker": 1, "max_concurrent": at_once},
                }
            )
        )
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "paraformer_platform", "sweep", str(folder / "sharing.yaml")],
            cwd=REPOSITORY,
            env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
            check=True,
        )
        return time.perf_counter() - begun


def settings(folder: Path, quick: bool) -> dict[str, object]:
    """What makes the small experiment a training of half a minute, or of a second."""
    if not quick:
        return {"training.num_epochs": 5}
    recipe = REPOSITORY / "experiments/speech/tutorial.yaml"
    tiny = dict(change.split("=") for change in TINY)
    return {
        **{key: int(value) for key, value in tiny.items()},
        "data.folder": str(folder / "data"),
        "data.recipe": str(recipe),
        "data.tokenizer": "char",
        "data.vocab_size": 100,
        "training.num_epochs": 1,
    }


def timed(action: Callable[[], object], device: torch.device) -> Seconds:
    wait_for(device)
    begun = time.perf_counter()
    action()
    wait_for(device)
    return time.perf_counter() - begun


def figures(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; nothing is kept")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            "gpu_training: not run, torch finds no NVIDIA GPU here (torch.cuda.is_available() is false).\n"
            "To try the script itself: python benchmarks/gpu_training.py --device cpu --quick"
        )
        return
    device = torch.device(options.device)
    measure = {"training": training, "reference": reference, "sharing": sharing}
    results = {part: measure[part](device, options.quick) for part in options.parts.split(",")}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    results = {"what": __doc__, "device": name, **results}
    if options.quick or device.type == "cpu":
        print(json.dumps({key: results[key] for key in results if key != "what"}))
    else:
        print(write_results("gpu_training", results))


if __name__ == "__main__":
    main()
