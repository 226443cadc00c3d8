"""One training outside of any sweep: in this process, in a folder by the run's name, with a run in MLflow."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from paraformer_platform.config.conversion import flat_params
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.passwords import without_passwords
from paraformer_platform.tracking import names
from paraformer_platform.tracking.environment import source_state
from paraformer_platform.tracking.mlflow_store import RunStore, resolve_tracking_uri
from paraformer_platform.tracking.projection import TrialRecord
from paraformer_platform.tracking.writer import Ending, TrackingWriter
from paraformer_platform.training.corpus import Progress
from paraformer_platform.training.journal import COMPLETED, FAILED, STOPPED
from paraformer_platform.training.loop import StepListener, TrialResult, train
from paraformer_platform.training.preparation import prepare
from paraformer_platform.training.reporter import LocalReporter, stopping_on_signals
from paraformer_platform.training.shelf import DEFAULT_RETENTION, prune
from paraformer_platform.training.trial_folder import Identity, TrialFolder

EpochListener = Callable[[Mapping[str, float]], None]
"""Is told a finished epoch's metrics."""


def train_run(
    config: ExperimentConfig,
    name: str,
    on_corpus: Progress | None = None,
    on_step: StepListener | None = None,
    on_epoch: EpochListener | None = None,
) -> TrialResult:
    """Train in ``<storage>/<name>`` and draw the run in MLflow while it goes.

    Ctrl-C or SIGTERM ends the training in good order; its result then says ``stopped``.

    Args:
        config: The experiment.
        name: Name of the run.
        on_corpus: Told of the making of a synthetic corpus.
        on_step: Told of every optimiser step.
        on_epoch: Told of every epoch.

    Raises:
        ParaformerError: whatever is wrong with configuration, data, the folder or the tracking store.
    """
    # As in a trial of a sweep: one number of threads, one result; and few are faster on a busy machine.
    torch.set_num_threads(max(1, round(config.resources.cpus_per_worker)))
    preparation = prepare(config, progress=on_corpus)
    uri = resolve_tracking_uri(config.tracking.uri, config.storage)
    config = without_passwords(config)
    store = RunStore(uri, config.tracking.experiment)
    folder = TrialFolder(Path(config.storage) / name)
    folder.claim(preparation.identity, config)
    reporter = LocalReporter(on_epoch)
    record = _record(config, name, folder.path, preparation.identity)
    with _tracked(store, record) as states, stopping_on_signals(reporter):
        result = train(config, folder.path, reporter, preparation=preparation, on_step=on_step)
        if result.state == COMPLETED:
            prune(folder, DEFAULT_RETENTION)
        states.append(result.state)
    return result


def _record(config: ExperimentConfig, name: str, folder: Path, identity: Identity) -> TrialRecord:
    tags = {
        names.RUN_NAME: name,
        names.SEED: str(config.training.seed),
        names.DATA: identity.data_fingerprint,
        names.CODE: identity.code_version,
        **source_state().tags(),
    }
    # Runs of two names are two runs in MLflow, even where they are the same training.
    key = f"{identity.trial_key}@{name}"
    return TrialRecord(key, folder, name, tags, flat_params(config))


@contextmanager
def _tracked(store: RunStore, record: TrialRecord) -> Iterator[list[str]]:
    """Follow the trial's journal; the last of the yielded states is how its run is closed."""
    states: list[str] = [STOPPED]
    with TrackingWriter(store) as writer:
        writer.follow(record)
        error: Exception | None = None
        try:
            yield states
        except Exception as raised:
            error = raised
            states.append(FAILED)
            raise
        finally:
            told = None if error is None else f"{type(error).__name__}: {error}"
            writer.finish(record.trial_key, Ending(states[-1], 1, told))
