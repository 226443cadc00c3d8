"""The attention of an encoder, chosen by name or by import path.

`full` and `local` are ours. Anything with a colon is a class of the user's, `package.module:Class`, which is

- constructed as `Class(hidden_dim, num_heads)`, and handed `window_size=` too if it takes one;
- called as `attention(x (B, T, D), mask (B, T)) -> (B, T, D)`, the mask true at real frames.
"""

import inspect
from collections.abc import Callable

import torch
from torch import nn

from paraformer.attention import SelfAttention
from paraformer.attention_local import LocalAttention
from paraformer.errors import ConfigError
from paraformer.import_path import import_part

_FIELD = "encoder.attention"


def is_builtin_attention(name: str) -> bool:
    """Whether a name is one of ours rather than an import path."""
    return name in ("full", "local")


def build_attention(
    name: str,
    hidden_dim: int,
    num_heads: int,
    *,
    window: int,
    input_dim: int | None = None,
    rotary: bool = False,
) -> nn.Module:
    """Make one layer's attention.

    Args:
        name: `full`, `local` or an import path.
        hidden_dim: Width, D.
        num_heads: Number of heads; divides D.
        window: Frames that a local attention sees, half of them to either side.
        input_dim: Width of the input where it differs from D; ours only.
        rotary: Turn queries and keys by their positions; ours only.

    Raises:
        ConfigError: if there is no such attention, or the user's class cannot be constructed or called as
            above.
    """
    if name == "full":
        return SelfAttention(hidden_dim, num_heads, input_dim, rotary=rotary)
    if name == "local":
        return LocalAttention(hidden_dim, num_heads, window, input_dim, rotary=rotary)
    attention = _construct(_import_class(name), name, hidden_dim, num_heads, window)
    _try_call(attention, name, hidden_dim)
    return attention


def _import_class(path: str) -> Callable[..., nn.Module]:
    found = import_part(path, _FIELD, "'full', 'local'")
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise ConfigError(
            f"{_FIELD} is {path!r}, which is {found!r}, but must be a class derived from torch.nn.Module"
        )
    return found


def _construct(
    make: Callable[..., nn.Module], path: str, hidden_dim: int, num_heads: int, window: int
) -> nn.Module:
    signature = inspect.signature(make)
    options = {"window_size": window} if "window_size" in signature.parameters else {}
    try:
        signature.bind(hidden_dim, num_heads, **options)
    except TypeError as error:
        raise ConfigError(
            f"{_FIELD} is {path!r}, which is constructed as (hidden_dim, num_heads), "
            f"but takes {signature}: {error}"
        ) from error
    return make(hidden_dim, num_heads, **options)


def _try_call(attention: nn.Module, path: str, hidden_dim: int) -> None:
    """Call once on two frames: a wrong signature or shape shows before training and not in it."""
    x, mask = torch.zeros(1, 2, hidden_dim), torch.ones(1, 2, dtype=torch.bool)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            out = attention(x, mask)
    except Exception as error:
        raise ConfigError(
            f"{_FIELD} is {path!r}, which is called as attention(x, mask) with x (B, T, {hidden_dim}) "
            f"and mask (B, T), but raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(out, torch.Tensor) or out.shape != x.shape:
        shape = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise ConfigError(
            f"{_FIELD} is {path!r}, which must return {tuple(x.shape)} for such an input, "
            f"but returned {shape}"
        )
