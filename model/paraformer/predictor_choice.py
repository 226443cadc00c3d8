"""The predictor of a model, chosen by its configuration.

A kind with a colon is a class of the user's, `package.module:Class`, derived from `Predictor` and constructed
as `Class(config, encoder_dim, query_dim)`; `weigh` is what it has to define.
"""

import inspect

from paraformer.config import ModelConfig
from paraformer.errors import ConfigError
from paraformer.import_path import import_part
from paraformer.predictor import Predictor
from paraformer.predictor_cif import CifPredictor
from paraformer.predictor_ctc_compress import CtcCompressPredictor
from paraformer.predictor_uniform import UniformPredictor


def build_predictor(config: ModelConfig, encoder_dim: int, query_dim: int, vocab_size: int) -> Predictor:
    """Make the predictor in force: `predictor.kind`, or ctc_compress where `use_predictor` is false.

    Raises:
        ConfigError: if there is no such kind, or the user's class is no predictor.
    """
    kind = config.query_source
    if kind == "cif":
        return CifPredictor(config.predictor, encoder_dim, query_dim)
    if kind == "uniform":
        return UniformPredictor(config.predictor, encoder_dim, query_dim)
    if kind == "ctc_compress":
        return CtcCompressPredictor(config.predictor, vocab_size, query_dim)
    return _import_class(kind)(config.predictor, encoder_dim, query_dim)


def _import_class(kind: str) -> type[Predictor]:
    found = import_part(kind, "predictor.kind", "'cif', 'ctc_compress', 'uniform'")
    if not (inspect.isclass(found) and issubclass(found, Predictor)):
        raise ConfigError(f"predictor.kind is {kind!r}, which must be derived from paraformer's Predictor")
    if missing := sorted(found.__abstractmethods__):
        raise ConfigError(f"predictor.kind is {kind!r}, which must define {' and '.join(missing)}")
    return found
