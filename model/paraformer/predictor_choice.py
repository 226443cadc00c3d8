"""The predictor of a model, chosen by its configuration."""

from paraformer.config import ModelConfig
from paraformer.errors import ConfigError
from paraformer.predictor import Predictor
from paraformer.predictor_cif import CifPredictor
from paraformer.predictor_ctc_compress import CtcCompressPredictor
from paraformer.predictor_uniform import UniformPredictor


def build_predictor(config: ModelConfig, encoder_dim: int, query_dim: int, vocab_size: int) -> Predictor:
    """Make the predictor in force: `predictor.kind`, or ctc_compress where `use_predictor` is false.

    Raises:
        ConfigError: if there is no such kind.
    """
    kind = config.query_source
    if kind == "cif":
        return CifPredictor(config.predictor, encoder_dim, query_dim)
    if kind == "uniform":
        return UniformPredictor(config.predictor, encoder_dim, query_dim)
    if kind == "ctc_compress":
        return CtcCompressPredictor(config.predictor, vocab_size, query_dim)
    raise ConfigError(f"predictor.kind is {kind!r}, but must be 'cif', 'ctc_compress' or 'uniform'")
