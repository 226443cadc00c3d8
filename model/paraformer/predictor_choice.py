"""The predictor of a model, chosen by its configuration.

A kind with a colon is a class of the user's, `package.module:Class`, derived from `Predictor` and constructed
as `Class(config, encoder_dim, query_dim)`; `weigh` is what it has to define.
"""

import importlib
import inspect

from paraformer.config import ModelConfig
from paraformer.errors import ConfigError
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
    module_name, _, class_name = kind.partition(":")
    if not module_name or not class_name:
        raise ConfigError(
            f"predictor.kind is {kind!r}, but must be 'cif', 'ctc_compress', 'uniform' "
            "or an import path 'package.module:Class'"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"predictor.kind is {kind!r}, which cannot be imported: {error}. "
            "Start from the folder that holds it, or put that folder on PYTHONPATH"
        ) from error
    if not (inspect.isclass(found) and issubclass(found, Predictor)):
        raise ConfigError(f"predictor.kind is {kind!r}, which must be derived from paraformer's Predictor")
    return found
