"""An experiment as plain data and back: for YAML files, checkpoints, workers and MLflow's parameters."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from paraformer.errors import ConfigError
from paraformer_platform.config.faults import read
from paraformer_platform.config.schema import ExperimentConfig

Plain = dict[str, Any]


def config_to_dict(config: ExperimentConfig) -> Plain:
    """The experiment as nested plain data: dictionaries, lists, texts and numbers."""
    plain: Plain = _plain(asdict(config))
    return plain


def config_from_dict(values: Mapping[str, Any]) -> ExperimentConfig:
    """Make the experiment that ``config_to_dict`` described.

    Raises:
        ConfigError: if it is impossible; it lists every fault.
    """
    config, faults = read(ExperimentConfig, values)
    if config is None or faults:
        raise ConfigError("\n".join(str(fault) for fault in faults))
    return config


def flat_params(config: ExperimentConfig) -> dict[str, str | int | float | bool | None]:
    """The experiment by dotted keys; lists are written as text."""
    return {
        path: value if isinstance(value, str | int | float | bool | None) else str(value)
        for path, value in flatten(config_to_dict(config)).items()
    }


def leaves(config: Any, prefix: str = "") -> Plain:
    """The values of a nested dataclass by dotted key, as they are: a plan asks ten thousand times."""
    flat: Plain = {}
    for name in config.__dataclass_fields__:
        value = getattr(config, name)
        if hasattr(value, "__dataclass_fields__"):
            flat |= leaves(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def flatten(values: Mapping[str, Any], prefix: str = "") -> Plain:
    """Nested mappings as one, by dotted keys."""
    flat: Plain = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{path}.")
        else:
            flat[path] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> Plain:
    """Dotted keys as nested dictionaries."""
    nested: Plain = {}
    for path, value in flat.items():
        *parents, last = path.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return nested


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value
