"""Costs of a training step, against what can be computed on paper."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.inspection.measures import KeptTensors
from paraformer_platform.inspection.profile import PartCost, Profile, profile_training, random_batch
from paraformer_platform.inspection.regions import parts_of, watched
from paraformer_platform.training.checkpoint import new_model

TINY = ("training.batch_size=2", "data.max_feat_len=64", "model.encoder.num_layers=2")


@pytest.fixture
def config(tiny_experiment: Path) -> ExperimentConfig:
    return load_experiment(tiny_experiment, TINY).config


@pytest.fixture
def measured(config: ExperimentConfig, tmp_path: Path) -> Profile:
    return profile_training(config, tmp_path / "trace.json", repeats=2)


def _parts(measured: Profile) -> dict[str, PartCost]:
    return {part.name: part for part in measured.parts}


def test_operations_are_those_on_paper(measured: Profile) -> None:
    """64 frames are 16 encoder frames; a product of (N, D) by (D, V) is 2 · N · D · V operations.

    A decoder layer of width 32 on U queries: 4 projections of queries and self-attention's output, 1 of the
    cross-attention's queries and 1 of its output, 2 of the feed-forward block of 64; the attentions
    themselves are two products with all U tokens and two with all 16 frames.
    """
    parts, rows, width = _parts(measured), 2 * 16, 32
    assert parts["ctc_head"].operations == 2 * rows * width * 40
    tokens = measured.tokens
    assert tokens == 8
    linear = 2 * 2 * tokens * (width * (4 + 2) * width + 2 * width * 64)
    attention = 2 * 2 * 2 * tokens * (tokens + 16) * width
    assert parts["decoder.layers.0"].operations == 2 * (linear + attention)  # the sampler runs it twice


def test_a_part_holds_what_lies_within_it(measured: Profile) -> None:
    parts = _parts(measured)
    for whole in ("encoder", "decoder"):
        within = [part for name, part in parts.items() if name.startswith(f"{whole}.")]
        for field in ("seconds", "operations", "parameter_mb", "kept_mb"):
            assert sum(getattr(part, field) for part in within) <= getattr(parts[whole], field)
    top = [part for name, part in parts.items() if "." not in name]
    assert sum(part.share for part in top) <= 1.05
    assert sum(part.operations for part in top) < measured.operations
    assert sum(part.kept_mb for part in top) <= measured.kept_mb
    assert sum(part.parameter_mb for part in top) == pytest.approx(4e-6 * measured.parameters)


def test_the_predictors_convolutions_are_its_own(measured: Profile) -> None:
    """They run in `weigh`, of which module hooks know nothing: 16 frames, 3 of width 32 to 32, then to 1."""
    assert _parts(measured)["predictor"].operations == 2 * 2 * 16 * (3 * 32 * 32 + 32)


def test_without_the_sampler_the_decoder_runs_once(config: ExperimentConfig) -> None:
    once = replace(config, model=replace(config.model, sampler=replace(config.model.sampler, ratio=0.0)))
    assert _parts(profile_training(once, repeats=1))["decoder.layers.0"].calls == 1
    assert _parts(profile_training(config, repeats=1))["decoder.layers.0"].calls == 2


def test_the_trace_names_the_parts(measured: Profile, tmp_path: Path) -> None:
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {part.name for part in measured.parts} <= {event.get("name") for event in events}


def test_the_numbers_fit_together(measured: Profile) -> None:
    told = json.loads(json.dumps(measured.to_dict()))
    assert told["step_seconds"] == pytest.approx(sum(told["stages"].values()))
    rate = told["operations"] / told["step_seconds"]
    assert told["matrix_share"] == pytest.approx(rate / told["matrix_rate"])
    assert 0 < told["matrix_share"] < 1
    assert told["peak_mb"] > told["kept_mb"] > 0


@pytest.mark.parametrize("decoder", ["sanm", "autoregressive"])
def test_other_models_have_costs_too(tiny_experiment: Path, decoder: str) -> None:
    overrides = (*TINY, f"model.decoder.kind={decoder}", "model.encoder.kind=sanm")
    parts = _parts(profile_training(load_experiment(tiny_experiment, overrides).config, repeats=1))
    assert ("predictor" in parts) == (decoder == "sanm")
    assert parts["decoder.layers.0"].operations > 0


def test_a_model_that_was_watched_is_as_before(config: ExperimentConfig) -> None:
    model = new_model(config)
    before = {name: set(vars(part)) for name, part in parts_of(model).items()}
    batch = random_batch(config, model)
    seen = _Names()
    with watched(model, seen):
        model(batch.features, batch.tokens, batch.feat_lens, batch.token_lens)
    assert seen.entered.count("encoder") == 1
    assert (
        seen.entered.index("encoder")
        < seen.entered.index("encoder.layers.0")
        < seen.entered.index("predictor")
    )
    assert {name: set(vars(part)) for name, part in parts_of(model).items()} == before


class _Names:
    def __init__(self) -> None:
        self.entered: list[str] = []

    def enter(self, part: str) -> None:
        self.entered.append(part)

    def leave(self, part: str) -> None:
        assert part in self.entered


@pytest.mark.parametrize(
    ("module", "kept"),
    [
        (nn.Linear(8, 4), 5 * 8 * 4),  # its input, (5, 8) in fp32, for the gradient of its weights
        (nn.Sequential(nn.Linear(8, 4), nn.ReLU()), 5 * 8 * 4 + 5 * 4 * 4),  # and the ReLU its output
    ],
    ids=["linear", "linear and relu"],
)
def test_what_autograd_keeps(module: Callable[[torch.Tensor], torch.Tensor], kept: int) -> None:
    assert isinstance(module, nn.Module)
    with KeptTensors(module) as found:
        found.enter("part")
        output = module(torch.randn(5, 8))
        found.leave("part")
    assert found.bytes["part"] == found.total == kept
    output.sum().backward()
