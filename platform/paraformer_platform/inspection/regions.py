"""Which part of a model a moment belongs to.

A module is entered by more than one door: the predictor's `weigh` runs its convolutions outside of `forward`,
which is all that torch's module hooks see. So the doors themselves are wrapped, for as long as one looks::

    with watched(model, clock):
        objective(batch)          # clock.enter("predictor"), clock.leave("predictor"), …
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from torch import nn

from paraformer.model import Paraformer

_DOORS = ("forward", "weigh", "weigh_known", "project_memory")
"""Methods of a part in which its work is done."""


class Watcher(Protocol):
    """Is told when a part begins and ends its work; parts lie within parts."""

    def enter(self, part: str) -> None:
        """Note that a part begins."""

    def leave(self, part: str) -> None:
        """Note that it ends."""


def parts_of(model: Paraformer) -> dict[str, nn.Module]:
    """The parts of a model that are told apart, by name: `encoder`, `encoder.layers.0` and so on."""
    parts: dict[str, nn.Module] = {"encoder": model.encoder, "encoder.front_end": model.encoder.front_end}
    parts |= {f"encoder.layers.{n}": layer for n, layer in enumerate(model.encoder.layers)}
    parts["ctc_head"] = model.ctc_head
    if model.predictor is not None:
        parts["predictor"] = model.predictor
    parts["decoder"] = model.decoder
    parts |= {f"decoder.layers.{n}": layer for n, layer in enumerate(model.decoder.layers)}
    return parts


@contextmanager
def watched(model: Paraformer, watcher: Watcher) -> Iterator[None]:
    """Tell a watcher of every part's work, from within a part of the same name only of the outermost."""
    with ExitStack() as stack:
        for name, module in parts_of(model).items():
            inside = [0]
            for door in _DOORS:
                if hasattr(module, door):
                    stack.enter_context(_wrapped(module, door, name, inside, watcher))
        yield


@contextmanager
def _wrapped(module: nn.Module, door: str, name: str, inside: list[int], watcher: Watcher) -> Iterator[None]:
    original: Callable[..., Any] = getattr(module, door)

    def entered(*arguments: Any, **options: Any) -> Any:
        if inside[0]:
            return original(*arguments, **options)
        inside[0] += 1
        watcher.enter(name)
        try:
            return original(*arguments, **options)
        finally:
            watcher.leave(name)
            inside[0] -= 1

    setattr(module, door, entered)
    try:
        yield
    finally:
        delattr(module, door)
