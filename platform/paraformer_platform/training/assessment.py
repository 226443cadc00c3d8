"""A trained model on any manifest: the same decoding and scoring as at the end of its training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from paraformer.dataset import check_vocabulary
from paraformer_platform.training.checkpoint import build_frontend, build_model, load_checkpoint
from paraformer_platform.training.corpus import corpus_folder
from paraformer_platform.training.custom_metrics import find_metrics
from paraformer_platform.training.evaluation import Evaluator, Progress
from paraformer_platform.training.gang import device_of_rank
from paraformer_platform.training.results import result_rows, totals, write_rows
from paraformer_platform.training.utterances import read_utterances


def assess(
    checkpoint: str | Path,
    manifest: str | Path | None = None,
    strategy: str | None = None,
    output: Path | None = None,
    metrics: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Decode a manifest with a checkpoint.

    Args:
        checkpoint: The model.
        manifest: What to decode; by default the test set of the model's experiment.
        strategy: How to decode; by default as in the experiment.
        output: CSV to write, one row for each utterance.
        metrics: Import paths of further metrics; by default those of the experiment.
        progress: Told how many recordings are decoded, and of how many.

    Returns:
        Metrics by the names test/wer and so on, cost/rtf, and the number of utterances.

    Raises:
        ConfigError: if a metric, a strategy or a reader cannot be used.
        CheckpointError: if the checkpoint is missing or damaged.
        DataError: if manifest or audio are faulty.
    """
    loaded = load_checkpoint(checkpoint)
    config, device = loaded.config, device_of_rank()
    if strategy is not None:
        config = replace(config, decoding=replace(config.decoding, strategy=strategy))
    own = find_metrics(config.decoding.metrics if metrics is None else metrics)
    frontend = build_frontend(loaded)
    utterances = read_utterances(
        manifest or corpus_folder(config.data) / config.data.test, config.data.reader
    )
    check_vocabulary(utterances, frontend.tokenizer)
    evaluator = Evaluator(build_model(loaded).to(device), frontend, config, device)
    dataset = frontend.dataset(utterances)
    decoded = evaluator.decode(dataset, oracle=True, progress=progress)
    shift = frontend.extractor.config.frame_shift_seconds
    seconds = [frames * shift for frames in dataset.frames()]
    rows = result_rows(utterances, decoded, seconds, own)
    if output is not None:
        write_rows(output, rows)
    rtf = sum(row.decode_seconds for row in decoded) / sum(seconds)
    return {**totals(rows, decoded, own), "cost/rtf": rtf, "utterances": float(len(rows))}
