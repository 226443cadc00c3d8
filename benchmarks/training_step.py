"""A training step of ours against FunASR's Paraformer at equal dimensions: SANM, random weights, one thread.

Two questions. *Same batch*: both get the same 16 utterances of up to 300 frames of 60 ms, so that kernels are
compared. *Own batches*: 8192 utterances with log-normal lengths (mean 5 s), cut into batches by either side's
own recipe, FunASR's sampler by length with its sorting buffer and our length buckets, at one budget of padded
frames; a sample of the batches is timed, and what counts is utterances per second.

Dropout .1, label smoothing .1, sampling ratio .75, no CTC, as in FunASR's recipe. `optimiser` steps are left
out on both sides. The share of the machine's matrix rate counts the FLOPs that FunASR's step does.

Run:  python benchmarks/training_step.py [small]
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
from funasr_reference import BASE, SMALL, Size, build_funasr, funasr_batches
from interleaved import compare, matrix_rate, write_results

from paraformer.batching import BucketBatches, padding_share
from paraformer.config import (
    DecoderConfig,
    EncoderConfig,
    LossConfig,
    ModelConfig,
    PredictorConfig,
    SamplerConfig,
)
from paraformer.dataset import Batch
from paraformer.losses import TrainingObjective
from paraformer.model import Paraformer

STACK, SKIP, MELS = 7, 6, 80
TOKENS_PER_FRAME = 0.1  # of 60 ms frames at 10 frames a token: 1.7 tokens a second
BUDGET = 4800  # padded 60 ms frames of a batch


def build_ours(size: Size) -> TrainingObjective:
    config = ModelConfig(
        EncoderConfig(
            "sanm", size.layers, size.hidden_dim, size.heads, size.ffn_dim, "lfr",
            kernel_size=size.kernel_size, dropout=size.dropout,
        ),
        PredictorConfig(num_layers=1, hidden_dim=size.hidden_dim, dropout=size.dropout),
        SamplerConfig(size.sampling_ratio),
        DecoderConfig(
            "sanm", size.layers, size.hidden_dim, size.heads, size.ffn_dim,
            kernel_size=size.kernel_size, dropout=size.dropout,
        ),
        LossConfig(ctc_weight=size.ctc_weight, label_smoothing=0.1),
    )  # fmt: skip
    model = Paraformer.from_config(config, vocab_size=size.vocab_size, feature_dim=MELS)
    return TrainingObjective(model, config.loss).train()


def make_batch(frames: Sequence[int], size: Size) -> Batch:
    """Utterances of so many 60 ms frames: features every 10 ms for ours, from which FunASR's are stacked."""
    lengths = torch.tensor(frames)
    tokens = (lengths * TOKENS_PER_FRAME).long().clamp(min=1)
    return Batch(
        torch.randn(len(frames), int(lengths.max()) * SKIP, MELS),
        lengths * SKIP,
        torch.randint(4, size.vocab_size, (len(frames), int(tokens.max()))),
        tokens,
        [str(n) for n in range(len(frames))],
    )


def stacked(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """FunASR's input, `(B, T', 560)` and `(B,)`: it stacks outside the model, at no cost here."""
    frames = batch.feat_lens // SKIP
    return torch.randn(len(frames), int(frames.max()), STACK * MELS, device=frames.device), frames


def funasr_step(model, batch: Batch, bf16: bool = False) -> Callable[[], None]:
    features, frames = stacked(batch)

    def action() -> None:
        with torch.autocast(batch.features.device.type, torch.bfloat16, enabled=bf16):
            loss, _, _ = model(features, frames, batch.tokens, batch.token_lens)
        loss.backward()
        model.zero_grad(set_to_none=True)

    return action


def our_step(objective: TrainingObjective, batch: Batch, bf16: bool = False) -> Callable[[], None]:
    def action() -> None:
        with torch.autocast(batch.features.device.type, torch.bfloat16, enabled=bf16):
            loss = objective(batch).total
        loss.backward()
        objective.zero_grad(set_to_none=True)

    return action


def same_batch(size: Size, rounds: int) -> dict[str, object]:
    torch.manual_seed(0)
    frames = sorted([*torch.randint(150, 301, (16,)).tolist()[:-1], 300])
    batch = make_batch(frames, size)
    theirs, ours = build_funasr(size, STACK * MELS), build_ours(size)
    contenders = {
        "funasr fp32": funasr_step(theirs, batch),
        "funasr bf16": funasr_step(theirs, batch, bf16=True),
        "ours fp32": our_step(ours, batch),
        "ours bf16": our_step(ours, batch, bf16=True),
    }
    times = compare(contenders, reference="funasr fp32", rounds=rounds)
    flops = count_flops(theirs, batch)
    rates = {"fp32": matrix_rate(torch.float32), "bf16": matrix_rate(torch.bfloat16)}
    shares = {
        name: round(flops / row["milliseconds"]["median"] / 1e6 / rates[name[-4:]], 3)
        for name, row in times.items()
    }
    return {"size": size.name, "gigaflop": round(flops / 1e9), "share of matrix rate": shares, **times}


def count_flops(model, batch: Batch) -> float:
    """Operations of FunASR's step: its forward passes, and twice the one that gradients go through.

    Counted forward only, because torch's counter takes a grouped convolution's backward pass for a dense one.
    """
    from torch.utils.flop_counter import FlopCounterMode

    features, frames = stacked(batch)
    counts = []
    ratio = model.sampling_ratio
    for sampling_ratio in (ratio, 0.0):
        model.sampling_ratio = sampling_ratio
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(features, frames, batch.tokens, batch.token_lens)
        counts.append(counter.get_total_flops())
    model.sampling_ratio = ratio
    return float(counts[0] + 2 * counts[1])


def own_batches(size: Size, rounds: int, timed: int = 4) -> dict[str, object]:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    seconds = np.clip(rng.lognormal(np.log(5) - 0.6**2 / 2, 0.6, 8192), 0.5, 30)
    lengths = (seconds / 0.06).astype(int).tolist()
    cuts = {
        "funasr": funasr_batches(lengths, BUDGET),
        "ours": BucketBatches(lengths, batch_frames=BUDGET, seed=0).epoch(0),
    }
    samples = {
        name: [make_batch([lengths[n] for n in cut], size) for cut in spread(batches, timed)]
        for name, batches in cuts.items()
    }
    theirs, ours = build_funasr(size, STACK * MELS), build_ours(size)
    contenders = {
        "funasr fp32": together([funasr_step(theirs, batch) for batch in samples["funasr"]]),
        "ours fp32": together([our_step(ours, batch) for batch in samples["ours"]]),
        "ours bf16": together([our_step(ours, batch, bf16=True) for batch in samples["ours"]]),
    }
    times = compare(contenders, reference="funasr fp32", rounds=rounds)
    # Utterances of a sample stand for the epoch in proportion to their padded frames.
    rate = {name: utterances_per_frame(cuts[name], lengths) * padded(samples[name]) for name in cuts}
    gain = rate["ours"] / rate["funasr"]
    speedups = {
        name: round(times[name]["speedup"]["median"] * gain, 3) for name in ("ours fp32", "ours bf16")
    }
    padding = {name: round(padding_share(batches, lengths), 3) for name, batches in cuts.items()}
    return {"size": size.name, "padded share": padding, "utterances per second": speedups, **times}


def spread(batches: Sequence[list[int]], count: int) -> list[list[int]]:
    """Batches at even distances over an epoch sorted by size."""
    ordered = sorted(batches, key=len)
    places = np.linspace(0, len(ordered) - 1, count + 2)[1:-1]
    return [ordered[round(place)] for place in places]


def together(actions: Sequence[Callable[[], None]]) -> Callable[[], None]:
    def action() -> None:
        for step in actions:
            step()

    return action


def padded(batches: Sequence[Batch]) -> int:
    return sum(len(batch) * int(batch.feat_lens.max()) // SKIP for batch in batches)


def utterances_per_frame(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> float:
    frames = sum(len(cut) * max(lengths[n] for n in cut) for cut in batches)
    return sum(len(cut) for cut in batches) / frames


def main() -> None:
    torch.set_num_threads(1)
    sizes = [SMALL] if "small" in sys.argv[1:] else [SMALL, BASE]
    results = {
        "what": __doc__,
        "same batch": [same_batch(size, rounds=5) for size in sizes],
        "own batches": [own_batches(size, rounds=3) for size in sizes],
    }
    for row in results["same batch"]:
        speedups = {name: row[name]["speedup"] for name in row if name.startswith(("funasr", "ours"))}
        print(row["size"], "same batch:", speedups)
        print("   share of matrix rate:", row["share of matrix rate"])
    for row in results["own batches"]:
        print(row["size"], "own batches:", row["utterances per second"], "padded:", row["padded share"])
    print(write_results("training_step", results))


if __name__ == "__main__":
    main()
