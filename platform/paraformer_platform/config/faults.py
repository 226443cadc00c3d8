"""From plain data to frozen dataclasses, with every fault at once.

::

    config, faults = read(ExperimentConfig, {"model": {"encoder": {"num_layer": 3, "hidden_dim": "wide"}}})
    # config is None; faults:  model.encoder.num_layer: unknown key; did you mean num_layers?
    #                          model.encoder.hidden_dim: must be a whole number, not 'wide'

Faults are unknown keys, values of the wrong type, and what the dataclasses themselves call impossible.
"""

import difflib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Protocol, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from paraformer.errors import Fault


class Judging(Protocol):
    """A dataclass of configuration."""

    def faults(self) -> list[Fault]:
        """Everything impossible about its values."""


T = TypeVar("T", bound=Judging)

KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "dataclass_type": "a mapping of keys to values",
    "finite_number": "a finite number",
}
"""What a value should have been, by pydantic's name of the fault."""


def read(kind: type[T], values: Mapping[str, Any]) -> tuple[T | None, list[Fault]]:
    """Fill a dataclass whose ``faults()`` lists impossible values.

    Args:
        kind: The dataclass.
        values: Nested plain data; what is left out keeps its default.

    Returns:
        The object and no faults, or None and every fault with its dotted path.
    """
    unknown = list(_unknown_keys(kind, values))
    known = _without(values, [fault.path for fault in unknown])
    mistyped = _type_faults(kind, known)
    # With what is mistyped left at its default the rest can still be judged.
    sound = _without(known, [fault.path for fault in mistyped])
    made: T = _adapter(kind).validate_json(_json(sound), strict=True)
    mistyped_paths = {fault.path for fault in mistyped}
    impossible = [fault for fault in made.faults() if fault.path not in mistyped_paths]
    faults = [*unknown, *mistyped, *impossible]
    return (None, faults) if faults else (made, [])


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` when a known name is near, else an empty text."""
    matches = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]}?" if matches else ""


def known_keys(kind: type) -> dict[str, type]:
    """The fields of a dataclass of configuration with their types."""
    return {field.name: _hints(kind)[field.name] for field in fields(kind)}  # type: ignore[arg-type]


def dotted_keys(kind: type, prefix: str = "") -> list[str]:
    """Every key of a dataclass of configuration that holds a value, by dotted path."""
    found: list[str] = []
    for name, inner in known_keys(kind).items():
        path = f"{prefix}{name}"
        found += dotted_keys(inner, f"{path}.") if is_dataclass(inner) else [path]
    return found


def _unknown_keys(kind: type, values: Mapping[str, Any], prefix: str = "") -> Iterator[Fault]:
    known = known_keys(kind)
    for key, value in values.items():
        path = f"{prefix}{key}"
        if key not in known:
            yield Fault(path, value, f"unknown key{_hint(kind, str(key))}")
        elif is_dataclass(known[key]) and isinstance(value, Mapping):
            yield from _unknown_keys(known[key], value, f"{path}.")


def _hint(kind: type, key: str) -> str:
    """The nearest key here, else keys of that name elsewhere, else all that are allowed here."""
    near = nearest(key, known_keys(kind))
    elsewhere = [path for path in dotted_keys(kind) if path.split(".")[-1] == key]
    if near or elsewhere:
        return near or f"; did you mean {' or '.join(elsewhere)}?"
    return f"; allowed here: {', '.join(known_keys(kind))}"


def _type_faults(kind: type, values: Mapping[str, Any]) -> list[Fault]:
    try:
        # By way of JSON: there a list becomes a tuple in strict mode too, and a text never a number.
        _adapter(kind).validate_json(_json(values), strict=True)
    except ValidationError as error:
        found: dict[str, Fault] = {}
        for detail in error.errors(include_url=False):
            fault = _type_fault(kind, dict(detail))
            found.setdefault(fault.path, fault)
        return list(found.values())
    return []


def _type_fault(kind: type, detail: Mapping[str, Any]) -> Fault:
    path = _path_within(kind, detail["loc"])
    value, wanted = detail["input"], KINDS.get(detail["type"])
    return Fault(
        path, value, f"must be {wanted}, not {value!r}" if wanted else f"{detail['msg']}, not {value!r}"
    )


def _path_within(kind: type, location: Iterable[object]) -> str:
    """Dotted path to the field; places in a list and members of a union are not keys of ours."""
    parts: list[str] = []
    for part in map(str, location):
        if not is_dataclass(kind) or part not in known_keys(kind):
            break
        parts.append(part)
        kind = known_keys(kind)[part]
    return ".".join(parts)


def _without(values: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """A copy of nested data without the values at some dotted paths."""
    dropped = set(paths)

    def copy(inner: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        return {
            key: copy(value, f"{prefix}{key}.") if isinstance(value, Mapping) else value
            for key, value in inner.items()
            if f"{prefix}{key}" not in dropped
        }

    return copy(values, "")


def _json(values: Mapping[str, Any]) -> str:
    """Plain data as JSON; dates, infinities and NaN become texts, which no field of a number takes."""

    def finite(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: finite(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [finite(inner) for inner in value]
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(values), default=str)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _hints(kind: Any) -> dict[str, type]:
    return get_type_hints(kind)
