"""Dotted keys set on a nested frozen dataclass, fast: a plan does it ten thousand times.

::

    keys = ConfigKeys(ExperimentConfig)
    keys.fault("model.encoder.num_layer", 3)     # unknown key; did you mean model.encoder.num_layers?
    changes = keys.typed({"training.learning_rate": 1})        # {"training.learning_rate": 1.0}
    with_changes(config, changes)                # a new configuration; all untouched parts are shared
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from paraformer.errors import Fault
from paraformer_platform.config.faults import KINDS, nearest

T = TypeVar("T")


def with_changes(config: T, changes: Mapping[str, object]) -> T:
    """Return the configuration with these dotted keys set; the values must have the right types."""
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, object]] = {}
    for key, value in changes.items():
        head, _, rest = key.partition(".")
        if rest:
            inner.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    for head, part in inner.items():
        own[head] = with_changes(getattr(config, head), part)
    return replace(config, **own)  # type: ignore[type-var]


class ConfigKeys:
    """The dotted keys of a nested dataclass and the types of their values."""

    def __init__(self, config_class: type) -> None:
        self._types = dict(_leaf_types(config_class))

    def __contains__(self, key: str) -> bool:
        return key in self._types

    def fault(self, key: str, value: object) -> Fault | None:
        """Say what is wrong with setting this key to this value; None when nothing is."""
        if (unknown := self.unknown(key)) is not None:
            return unknown
        try:
            self._convert(key, value)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            wanted = KINDS.get(detail["type"], detail["msg"])
            return Fault(key, value, f"must be {wanted}, not {value!r}")
        return None

    def unknown(self, key: str) -> Fault | None:
        """Say that the experiment's configuration has no such key, with the nearest one."""
        if key in self._types:
            return None
        inside = [known for known in self._types if known.startswith(f"{key}.")]
        if inside:
            return Fault(key, key, f"is a group of keys; name one of them, such as {inside[0]}")
        # The right last part at the wrong place: encoder.num_layers for model.encoder.num_layers.
        endings = [known for known in self._types if known.split(".")[-1] == key.split(".")[-1]]
        hint = nearest(key, self._types) or (f"; did you mean {endings[0]}?" if endings else "")
        return Fault(key, key, f"the experiment's configuration has no such key{hint}")

    def typed(self, changes: Mapping[str, object]) -> dict[str, object]:
        """Return the changes with values of the right types: 1 for a float becomes 1.0."""
        return {key: self._convert(key, value) for key, value in changes.items()}

    def _convert(self, key: str, value: object) -> object:
        if isinstance(value, list):  # YAML knows no tuples
            value = tuple(value)
        return _adapter(self._types[key]).validate_python(value)


def _leaf_types(config_class: type, prefix: str = "") -> Iterable[tuple[str, Any]]:
    hints = get_type_hints(config_class)
    for field in fields(config_class):
        kind = hints[field.name]
        if is_dataclass(kind):
            yield from _leaf_types(kind, f"{prefix}{field.name}.")  # type: ignore[arg-type]
        else:
            yield prefix + field.name, kind


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(strict=True))
