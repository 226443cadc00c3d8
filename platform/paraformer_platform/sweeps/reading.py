"""From the plain data of a sweep file to frozen dataclasses, with every fault at once.

``config.faults`` does it for experiments, which are trees of dataclasses; a sweep file holds lists and
mappings of them too.

::

    budget, faults = read(BudgetConfig, {"gpu_hour": 48, "max_failed": "three"})
    # budget is None; faults: gpu_hour: unknown key; did you mean gpu_hours?
    #                         max_failed: must be a whole number, not 'three'
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from paraformer.errors import Fault
from paraformer_platform.config.faults import KINDS, nearest

T = TypeVar("T")


class Strict:
    """Base of the dataclasses that files fill in: no unknown keys, and a text is never taken for a number."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


def read(kind: type[T], data: Mapping[str, Any]) -> tuple[T | None, list[Fault]]:
    """Fill a dataclass from plain data.

    Returns:
        The object and no faults, or None and every fault with its dotted path.
    """
    try:
        # By way of JSON: there a list is a tuple also in strict mode, and what is no plain data shows.
        return TypeAdapter(kind).validate_json(json.dumps(data, allow_nan=True)), []
    except ValidationError as error:
        found = [_fault(kind, dict(detail)) for detail in error.errors(include_url=False)]
        first = {fault.path: fault for fault in reversed(found)}  # one fault for all members of a union
        return None, [fault for fault in found if first[fault.path] is fault]


def _fault(kind: type, detail: Mapping[str, Any]) -> Fault:
    """Say a fault of pydantic's in the words of this project."""
    # Members of a union appear in the location as the name of a type; no key of ours is spelt so.
    location = [part for part in detail["loc"] if not _is_type_name(part)]
    path, value, name = ".".join(map(str, location)), detail["input"], str(detail["type"])
    if name == "unexpected_keyword_argument":
        hint = nearest(str(location[-1]), _keys_at(kind, location[:-1]))
        return Fault(path, value, f"unknown key{hint}")
    if name == "missing":
        return Fault(path, None, "is missing")
    wanted = KINDS.get(name)
    return Fault(
        path, value, f"must be {wanted}, not {value!r}" if wanted else f"{detail['msg']}, not {value!r}"
    )


def _is_type_name(part: object) -> bool:
    return isinstance(part, str) and (part in ("int", "float", "str", "bool") or "[" in part)


def _keys_at(kind: Any, location: Iterable[object]) -> list[str]:
    """Return the keys that are known at a place within nested dataclasses, tuples and mappings."""
    for part in location:
        # Otherwise the part is an index into tuple[X, ...] or a key of dict[str, X].
        inside = get_type_hints(kind).get(str(part)) if is_dataclass(kind) else kind
        dataclasses = [argument for argument in get_args(inside) if is_dataclass(argument)]
        is_container = is_dataclass(kind) and type(None) not in get_args(inside)
        kind = inside if is_container or not dataclasses else dataclasses[0]
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []
