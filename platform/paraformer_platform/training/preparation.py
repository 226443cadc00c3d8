"""What a training stands on, looked through before anything is written: corpus, front end, identity."""

from dataclasses import dataclass

from paraformer.dataset import check_vocabulary
from paraformer_platform.config.identity import code_version, trial_key
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.corpus import Corpus, Progress, ensure_corpus, read_corpus
from paraformer_platform.training.custom_metrics import CustomMetric, find_metrics
from paraformer_platform.training.frontend import Frontend
from paraformer_platform.training.trial_folder import Identity


@dataclass(frozen=True)
class Preparation:
    """A training's inputs, found good."""

    corpus: Corpus
    frontend: Frontend
    identity: Identity
    metrics: tuple[CustomMetric, ...] = ()
    """Of the user's own."""


def prepare(
    config: ExperimentConfig, identity: Identity | None = None, progress: Progress | None = None
) -> Preparation:
    """Read the data of an experiment, making it first where a recipe says how.

    Args:
        config: The experiment.
        identity: Which training it is, where the caller knows; else data and code are hashed.
        progress: Told of the making of a synthetic corpus.

    Raises:
        ConfigError: if a recipe, a tokenizer, a reader or a metric is impossible.
        DataError: if manifests, audio or transcripts are faulty; it names every file, line and remedy.
    """
    metrics = tuple(find_metrics(config.decoding.metrics))
    ensure_corpus(config.data, progress)
    corpus = read_corpus(config.data)
    frontend = Frontend.fitted(config.data, corpus.train)
    check_vocabulary([*corpus.train, *corpus.dev, *corpus.test], frontend.tokenizer)
    return Preparation(corpus, frontend, identity or identify(config, corpus), metrics)


def identify(config: ExperimentConfig, corpus: Corpus) -> Identity:
    """Which training this is: with the same configuration, data and code it is the same one."""
    data, code = corpus.fingerprint(), code_version()
    return Identity(trial_key(config, data, code), data, code)
