"""Decoding by the name of a strategy, or by the import path of one's own.

A strategy is any function called as::

    def my_strategy(model, features, feat_lens, *, oracle_lens, generator, **options) -> list[Hypothesis]

and named `package.module:my_strategy`; the options are those given to `decode`.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from paraformer.decoding.autoregressive import beam
from paraformer.decoding.ctc_greedy import ctc_greedy
from paraformer.decoding.greedy import greedy
from paraformer.decoding.hypothesis import Hypothesis
from paraformer.decoding.nucleus import nucleus
from paraformer.errors import ConfigError
from paraformer.import_path import import_part
from paraformer.model import Paraformer

Strategy = Callable[..., list[Hypothesis]]

STRATEGIES: dict[str, Strategy] = {
    "greedy": greedy,
    "nucleus": nucleus,
    "ctc_greedy": ctc_greedy,
    "beam": beam,
}
"""The built-in strategies; beam needs the autoregressive decoder, nucleus a parallel one."""


@torch.no_grad()
def decode(
    model: Paraformer,
    features: Tensor,
    feat_lens: Tensor | None = None,
    *,
    strategy: str = "greedy",
    oracle_lens: Tensor | None = None,
    generator: torch.Generator | None = None,
    **options: object,
) -> list[Hypothesis]:
    """Transcribe a batch. The model is in eval mode meanwhile; a batch never changes its members.

    Args:
        model: The model.
        features: `(B, T, F)`.
        feat_lens: Number of real frames, `(B,)`; all of them if none.
        strategy: greedy, nucleus, ctc_greedy, beam or an import path `package.module:function`.
        oracle_lens: True number of tokens, `(B,)`, where the predicted one is not to be used.
        generator: Source of randomness for strategies that draw.
        options: Handed to the strategy, such as `top_p` of nucleus.

    Raises:
        ConfigError: if there is no such strategy, or it does not fit the model or the options.
    """
    decoder = find_strategy(strategy)
    arguments = {"oracle_lens": oracle_lens, "generator": generator, **options}
    try:
        inspect.signature(decoder).bind(model, features, feat_lens, **arguments)
    except TypeError as error:
        raise ConfigError(
            f"decoding strategy {strategy!r} cannot be called with {', '.join(arguments)}: {error}"
        ) from error
    with _evaluating(model):
        found = decoder(model, features, feat_lens, **arguments)
    if len(found) != len(features):
        raise ConfigError(
            f"decoding strategy {strategy!r} gave {len(found)} hypotheses for {len(features)} utterances"
        )
    return found


def find_strategy(name: str) -> Strategy:
    """The strategy of a name or import path.

    Raises:
        ConfigError: if there is none.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    found: Strategy = import_part(name, "decoding strategy", f"one of {', '.join(STRATEGIES)}")
    return found


@contextmanager
def _evaluating(model: Paraformer) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
