"""What a CPU can show of number formats, compiling and the way to a GPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from paraformer.batch import Batch
from paraformer_platform.config.schema import ExperimentConfig, TrainingConfig
from paraformer_platform.training.batches import TrainingBatches
from paraformer_platform.training.checkpoint import new_model
from paraformer_platform.training.fitting import Fitting
from paraformer_platform.training.journal import read_journal
from paraformer_platform.training.loop import train
from paraformer_platform.training.precision import allow_tf32, gradient_scaler
from paraformer_platform.training.preparation import prepare
from paraformer_platform.training.reporter import LocalReporter

CPU = torch.device("cpu")


def changed(config: ExperimentConfig, **training: Any) -> ExperimentConfig:
    return replace(config, training=replace(config.training, **training))


def curve(folder: Path) -> list[dict[str, float]]:
    return [
        {name: value for name, value in event["metrics"].items() if not name.startswith("cost/")}
        for event in read_journal(folder / "journal.jsonl")
        if event["kind"] == "metrics"
    ]


def test_fp16_scales_its_losses_and_learns(config: ExperimentConfig, tmp_path: Path) -> None:
    train(changed(config, precision="fp16"), tmp_path, LocalReporter())
    losses = [epoch["train/loss"] for epoch in curve(tmp_path)[:3]]
    assert losses[2] < losses[0]


def test_a_step_whose_fp16_gradients_overflow_is_left_out_and_the_scale_halved() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimiser = torch.optim.SGD([weight], lr=0.1)
    scaler = gradient_scaler("fp16", CPU)
    scaler.scale((weight * torch.inf).sum()).backward()
    before = scaler.get_scale()
    scaler.unscale_(optimiser)
    scaler.step(optimiser)
    scaler.update()
    assert weight.tolist() == [1.0, 1.0]
    assert scaler.get_scale() == before / 2
    assert not gradient_scaler("bf16", CPU).is_enabled()


def test_recomputed_layers_train_alike(config: ExperimentConfig, tmp_path: Path) -> None:
    """With dropout: the masks are drawn again."""
    train(config, tmp_path / "plain", LocalReporter())
    train(changed(config, gradient_checkpointing=True), tmp_path / "again", LocalReporter())
    for one, other in zip(curve(tmp_path / "plain"), curve(tmp_path / "again"), strict=True):
        assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_as_configured_where_there_is_a_gpu(tf32: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = not tf32
        allow_tf32(TrainingConfig(tf32=tf32))
        assert [place.allow_tf32 for place in places] == [tf32, tf32]
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value


@pytest.mark.parametrize("has_gpu", [True, False])
def test_batches_are_in_page_locked_memory_where_there_is_a_gpu(
    config: ExperimentConfig, has_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned: list[Batch] = []

    def pin(batch: Batch) -> Batch:
        pinned.append(batch)
        return batch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(Batch, "pin_memory", pin)
    preparation = prepare(config)
    [batch] = next(TrainingBatches(config, preparation.frontend, preparation.corpus.train).epoch(0))
    assert any(each is batch for each in pinned) is has_gpu


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch.compile runs into warnings of its own, which would end it
def test_a_compiled_step_is_the_step(config: ExperimentConfig) -> None:
    """With no randomness: a compiled graph draws its dropout masks in another order."""
    model = config.model
    still = replace(
        config,
        model=replace(
            model,
            encoder=replace(model.encoder, dropout=0.0),
            predictor=replace(model.predictor, dropout=0.0),
            decoder=replace(model.decoder, dropout=0.0),
            sampler=replace(model.sampler, ratio=0.0),
        ),
    )
    preparation = prepare(still)
    group = next(TrainingBatches(still, preparation.frontend, preparation.corpus.train).epoch(0))
    outcomes = []
    for compiled in (False, True):
        torch.manual_seed(0)
        fitting = Fitting(new_model(still), changed(still, compile=compiled), 10, CPU)
        outcomes.append([fitting.step(group) for _ in range(2)])
    for plain, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(plain.sums, other.sums, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(plain.gradient_norm, other.gradient_norm, rtol=1e-3, atol=1e-4)
