import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from paraformer.audio import write_audio
from paraformer.augment import AugmentConfig
from paraformer.errors import ConfigError, DataError
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.errors import TrainingError
from paraformer_platform.training.checkpoint import average_weights, load_checkpoint
from paraformer_platform.training.corpus import read_corpus
from paraformer_platform.training.journal import read_journal
from paraformer_platform.training.loop import TrialResult, train
from paraformer_platform.training.preparation import identify
from paraformer_platform.training.reporter import LocalReporter
from paraformer_platform.training.trial_folder import TrialFolder


def _change(config: ExperimentConfig, **training: Any) -> ExperimentConfig:
    return replace(config, training=replace(config.training, **training))


def _measured(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """Everything measured but what depends on the clock."""
    return [
        (event["step"], {name: value for name, value in event["metrics"].items() if name[:4] != "cost"})
        for event in read_journal(TrialFolder(folder).journal)
        if event["kind"] == "metrics"
    ]


def _states(folder: Path) -> list[str]:
    events = read_journal(TrialFolder(folder).journal)
    return [event["state"] for event in events if event["kind"] == "state"]


def _same_weights(one: Path, other: Path) -> bool:
    first, second = (load_checkpoint(path).weights for path in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def finished(
    tiny_experiment: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrialResult, ExperimentConfig]:
    from paraformer_platform.config.load import load_experiment

    config = load_experiment(tiny_experiment).config
    return train(config, tmp_path_factory.mktemp("finished"), LocalReporter()), config


def test_what_a_training_leaves(finished: tuple[TrialResult, ExperimentConfig]) -> None:
    result, _ = finished
    folder = TrialFolder(result.folder)
    assert result.state == "completed"
    assert json.loads(folder.summary.read_text())["metrics"] == result.metrics
    assert [step for step, _ in _measured(result.folder)] == [3, 6, 9, 9]
    assert _states(result.folder) == ["started", "completed"]
    epoch = _measured(result.folder)[0][1]
    for name in ("train/loss", "train/ce", "train/ctc", "train/quantity", "train/token_accuracy"):
        assert epoch[name] >= 0
    assert epoch["dev/cer"] >= 0
    assert {"dev/wer", "dev/ctc_cer", "dev/loss", "dev/token_accuracy"} <= set(epoch)
    assert not any(
        name.startswith("test/") for _, metrics in _measured(result.folder)[:3] for name in metrics
    )
    assert {"test/wer", "test/ctc_cer", "test/oracle_length_wer", "test/length_mae"} <= set(result.metrics)
    assert all(result.metrics[f"cost/{name}"] > 0 for name in ("parameters", "rtf", "peak_memory_mb"))
    assert result.metrics["cost/flops_per_second_of_speech"] > 0
    assert "test WER" in folder.log.read_text()
    assert json.loads(folder.environment.read_text())["torch"] in torch.__version__


def test_rows_add_up_to_the_rates(finished: tuple[TrialResult, ExperimentConfig]) -> None:
    result, _ = finished
    with TrialFolder(result.folder).test_rows.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert all(row["speaker"] and float(row["seconds"]) > 0 for row in rows)
    errors = sum(
        int(row[f"word_{kind}"]) for row in rows for kind in ("substitutions", "deletions", "insertions")
    )
    assert errors / sum(int(row["words"]) for row in rows) == result.metrics["test/wer"]
    ctc = sum(int(row["ctc_char_errors"]) for row in rows)
    assert ctc / sum(int(row["characters"]) for row in rows) == result.metrics["test/ctc_cer"]


def test_asking_again_trains_nothing(finished: tuple[TrialResult, ExperimentConfig]) -> None:
    result, config = finished
    journal = TrialFolder(result.folder).journal.read_bytes()
    assert train(config, result.folder, LocalReporter()) == result
    assert TrialFolder(result.folder).journal.read_bytes() == journal


def test_another_training_is_refused(finished: tuple[TrialResult, ExperimentConfig]) -> None:
    result, config = finished
    message = rf"holds training {result.trial_key}, .*\(changed: configuration\); .*another --run-name"
    with pytest.raises(ConfigError, match=message):
        train(_change(config, seed=12), result.folder, LocalReporter())


@pytest.mark.parametrize("after", [1, 2])
def test_a_resumed_training_equals_an_uninterrupted_one(
    finished: tuple[TrialResult, ExperimentConfig], stopping: Any, tmp_path: Path, after: int
) -> None:
    whole, config = finished
    stopped = train(config, tmp_path, stopping(after))
    assert stopped.state == "stopped"
    assert TrialFolder(tmp_path).stored_metrics() is None
    resumed = train(config, tmp_path, LocalReporter())
    assert resumed.state == "completed"
    assert _measured(tmp_path) == _measured(whole.folder)
    assert _states(tmp_path) == ["started", "stopped", "resumed", "completed"]
    for name in ("last_checkpoint", "best_checkpoint"):
        assert _same_weights(getattr(TrialFolder(tmp_path), name), getattr(TrialFolder(whole.folder), name))


def test_augmented_training_with_silence_resumes_as_well(
    config: ExperimentConfig, stopping: Any, tmp_path: Path
) -> None:
    """Speeds change lengths and so batches; a step of silence alone has gradients, and finite ones."""
    augment = AugmentConfig(
        speeds=(0.9, 1.0, 1.1), gain_db=(-6, 6), noise_snr_db=(5, 20), noise_slope_db=(0, 6),
        silence_share=0.25, time_masks=2, frequency_masks=2,
    )  # fmt: skip
    config = replace(config, data=replace(config.data, augment=augment))
    config = _change(config, batch_size=1, num_epochs=2)
    train(config, tmp_path / "whole", LocalReporter())
    train(config, tmp_path / "parts", stopping(1))
    train(config, tmp_path / "parts", LocalReporter())
    assert [step for step, _ in _measured(tmp_path / "whole")] == [30, 60, 60]  # 24 utterances, 6 silences
    assert _measured(tmp_path / "parts") == _measured(tmp_path / "whole")


def test_noise_recordings_belong_to_the_data(config: ExperimentConfig, tmp_path: Path) -> None:
    """What is in the folder decides the training's identity, not where the folder lies."""
    keys = []
    for folder, samples in (("a", [0.1] * 800), ("b", [0.1] * 800), ("c", [0.2] * 800)):
        (tmp_path / folder).mkdir()
        write_audio(tmp_path / folder / "noise.wav", np.array(samples))
        augment = AugmentConfig(noise_snr_db=(0, 9), noise_folder=str(tmp_path / folder))
        noisy = replace(config, data=replace(config.data, augment=augment))
        keys.append(identify(noisy, read_corpus(noisy.data)).trial_key)
    assert keys[0] == keys[1] != keys[2]


def test_stopping_within_an_epoch_loses_only_that_epoch(
    finished: tuple[TrialResult, ExperimentConfig], stopping: Any, tmp_path: Path
) -> None:
    whole, config = finished
    reporter = stopping(99)

    def stop_early(done: int, total: int) -> None:
        assert total == 9
        if done == 3:  # the last step of the first epoch: noticed at the first step of the second
            reporter.stop()

    train(config, tmp_path, reporter, on_step=stop_early)
    assert _measured(tmp_path) == _measured(whole.folder)[:1]


def test_killed_between_journal_and_checkpoint(
    finished: tuple[TrialResult, ExperimentConfig], stopping: Any, tmp_path: Path
) -> None:
    """The journal is written first, so an epoch may stand there that the checkpoint does not know."""
    whole, config = finished
    train(config, tmp_path, stopping(1))
    checkpoint = TrialFolder(tmp_path).last_checkpoint.read_bytes()
    train(config, tmp_path, stopping(1))
    TrialFolder(tmp_path).last_checkpoint.write_bytes(checkpoint)
    train(config, tmp_path, LocalReporter())
    assert _measured(tmp_path) == _measured(whole.folder)


def test_killed_before_the_first_checkpoint(
    finished: tuple[TrialResult, ExperimentConfig], stopping: Any, tmp_path: Path
) -> None:
    whole, config = finished
    train(config, tmp_path, stopping(1))
    TrialFolder(tmp_path).last_checkpoint.unlink()
    train(config, tmp_path, LocalReporter())
    assert _measured(tmp_path) == _measured(whole.folder)


def test_killed_before_the_summary(finished: tuple[TrialResult, ExperimentConfig], tmp_path: Path) -> None:
    whole, config = finished
    train(config, tmp_path, LocalReporter())
    TrialFolder(tmp_path).summary.unlink()
    again = train(config, tmp_path, LocalReporter())
    assert _measured(tmp_path) == _measured(whole.folder)
    assert again.metrics["test/wer"] == whole.metrics["test/wer"]


def test_best_epochs_are_averaged(config: ExperimentConfig, tmp_path: Path) -> None:
    train(_change(config, average_checkpoints=2), tmp_path, LocalReporter())
    place = TrialFolder(tmp_path)
    scores = {number: metrics["dev/cer"] for number, (_, metrics) in enumerate(_measured(tmp_path)[:3], 1)}
    best = sorted(scores, key=lambda number: (scores[number], number))[:2]
    kept = sorted(place.checkpoints.glob("epoch-*.pt"))
    assert kept == sorted(place.checkpoints / f"epoch-{number:04d}.pt" for number in best)
    expected = average_weights([load_checkpoint(path).weights for path in kept])
    found = load_checkpoint(place.best_checkpoint).weights
    assert all(torch.allclose(found[name], expected[name], rtol=1e-6, atol=0) for name in expected)


def test_early_stop(config: ExperimentConfig, tmp_path: Path) -> None:
    """With a learning rate near 0 no epoch is better than the first, so patience 2 ends after the third."""
    train(
        _change(config, learning_rate=1e-12, num_epochs=9, early_stop_patience=2), tmp_path, LocalReporter()
    )
    assert len(_measured(tmp_path)) == 3 + 1
    assert _states(tmp_path)[-1] == "completed"


def test_accumulated_batches_are_one_batch(config: ExperimentConfig, tmp_path: Path) -> None:
    """Half the batch twice is the batch: same curve within float tolerance, without dropout and sampler."""
    plain = _without_chance(config)
    train(plain, tmp_path / "whole", LocalReporter())
    # One batch of all 24 utterances leaves no question of which go together.
    for name, changes in {"one": {"batch_size": 24}, "parts": {"batch_size": 12, "accumulate": 2}}.items():
        train(_change(plain, **changes), tmp_path / name, LocalReporter())
    one, parts = (_measured(tmp_path / name) for name in ("one", "parts"))
    for (step, a), (other_step, b) in zip(one[:3], parts[:3], strict=True):
        assert step == other_step
        assert a["train/loss"] == pytest.approx(b["train/loss"], rel=1e-4)
        assert a["dev/loss"] == pytest.approx(b["dev/loss"], rel=1e-4)


def test_bf16_trains(config: ExperimentConfig, tmp_path: Path) -> None:
    train(_change(config, precision="bf16"), tmp_path, LocalReporter())
    losses = [metrics["train/loss"] for _, metrics in _measured(tmp_path)[:3]]
    assert losses[2] < losses[0]
    assert all(
        weight.dtype == torch.float32
        for weight in load_checkpoint(tmp_path / "checkpoints/best.pt").weights.values()
    )


def test_broken_down_training_says_so(config: ExperimentConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"broke down in epoch 1 .*lower training\.learning_rate"):
        train(
            _change(config, learning_rate=1e30, gradient_clip=0.0, warmup_steps=0), tmp_path, LocalReporter()
        )
    assert _states(tmp_path)[-1] == "failed"


def test_foreign_characters_are_refused_before_anything_is_written(
    config: ExperimentConfig, tmp_path: Path
) -> None:
    corpus = Path(config.data.folder)
    for name in ("train", "dev", "test"):
        text = (corpus / f"{name}.tsv").read_text().replace("audio/", f"{corpus}/audio/")
        (tmp_path / f"{name}.tsv").write_text(text.replace("three", "thrée"))
    folder = tmp_path / "run"
    with pytest.raises(DataError, match=r"train.tsv:\d+: not in the vocabulary: 'é'"):
        train(replace(config, data=replace(config.data, folder=str(tmp_path))), folder, LocalReporter())
    assert not folder.exists()


def test_test_speech_in_the_training_set_is_refused(config: ExperimentConfig, tmp_path: Path) -> None:
    data = replace(config.data, test="train.tsv")
    with pytest.raises(DataError, match=r"24 recordings of train\.tsv are in train\.tsv too"):
        train(replace(config, data=data), tmp_path / "run", LocalReporter())


def _without_chance(config: ExperimentConfig) -> ExperimentConfig:
    model = config.model
    return replace(
        config,
        model=replace(
            model,
            encoder=replace(model.encoder, dropout=0.0),
            predictor=replace(model.predictor, dropout=0.0),
            decoder=replace(model.decoder, dropout=0.0),
            sampler=replace(model.sampler, ratio=0.0),
        ),
    )
