"""Experiment files: YAML with a base it inherits from, overrides on top, and where each value came from.

::

    paraformer_base.yaml  <──base──  paraformer_small.yaml  <──  --override model.encoder.num_layers=3

The first layer is the dataclasses' defaults; each further layer says only what it changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paraformer.errors import ConfigError, Fault
from paraformer_platform.config.conversion import config_to_dict, flatten, unflatten
from paraformer_platform.config.faults import read
from paraformer_platform.config.schema import ExperimentConfig

BASE_KEY = "base"
DEFAULT = "default"
OVERRIDE = "--override"
SET = "set"


@dataclass(frozen=True)
class LoadedExperiment:
    """A resolved experiment."""

    config: ExperimentConfig
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Where each value came from, by dotted key: ``default``, ``file:line``, ``--override`` or ``set``."""


@dataclass(frozen=True)
class Layer:
    """What one source says."""

    values: Mapping[str, Any]
    """Nested plain data."""
    sources: Mapping[str, str]
    """``file:line`` or the like of each value, by dotted key."""


def load_experiment(
    path: str | Path, overrides: Sequence[str] = (), *, set: Mapping[str, object] | None = None
) -> LoadedExperiment:
    """Read an experiment file, its bases and overrides.

    Args:
        path: The YAML file; its key ``base`` names a file, relative to it, that it inherits from.
        overrides: Values of the command line, ``a.b=c``, c as in YAML.
        set: Further values by dotted key, of a sweep; they come last.

    Raises:
        ConfigError: unreadable YAML, unknown keys, wrong types, impossible values; it lists every fault with
            its source, dotted path, value and what is allowed.
    """
    layers = [*file_layers(Path(path)), _override_layer(overrides)]
    if set:
        layers.append(Layer(unflatten(set), dict.fromkeys(set, SET)))
    values = _merge(layers, Path(path))
    sources = {key: source for layer in layers for key, source in layer.sources.items()}
    config, faults = read(ExperimentConfig, values)
    if config is None or faults:
        raise ConfigError("\n".join(_located(fault, sources, str(path)) for fault in faults))
    return LoadedExperiment(config, _provenance(config, sources))


def file_layers(path: Path, below: tuple[Path, ...] = ()) -> list[Layer]:
    """The layers of a file, its furthest base first.

    Raises:
        ConfigError: if a file is missing, no YAML mapping, or its own base.
    """
    if path.resolve() in below:
        raise ConfigError(f"{path} inherits from itself; take one of the keys '{BASE_KEY}' away")
    values, sources = read_yaml(path)
    base = values.pop(BASE_KEY, None)
    sources = {key: source for key, source in sources.items() if key != BASE_KEY}
    under = [] if base is None else file_layers(path.parent / str(base), (*below, path.resolve()))
    return [*under, Layer(values, sources)]


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The mapping of a YAML file, and ``file:line`` of each dotted key.

    OmegaConf reads it, so 1e-5 is a number and a key that stands twice is a fault.

    Raises:
        ConfigError: if there is no such file or it is no YAML mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        loaded = OmegaConf.create(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    values = OmegaConf.to_container(loaded)
    if not isinstance(values, dict) or not (node is None or isinstance(node, yaml.MappingNode)):
        raise ConfigError(f"{path} must hold keys with values, as in 'training: {{num_epochs: 12}}'")
    lines = {} if node is None else _lines(node)
    return {str(key): value for key, value in values.items()}, {
        key: f"{path}:{line}" for key, line in lines.items()
    }


def _lines(node: yaml.MappingNode, prefix: str = "") -> dict[str, int]:
    found: dict[str, int] = {}
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        found[path] = key.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            found |= _lines(value, f"{path}.")
    return found


def _override_layer(overrides: Sequence[str]) -> Layer:
    malformed = [text for text in overrides if "=" not in text or not text.split("=")[0].strip()]
    if malformed:
        remedy = "must be key=value, as in training.num_epochs=3"
        listed = "\n".join(f"{OVERRIDE} {text!r}: {remedy}" for text in malformed)
        raise ConfigError(listed)
    try:
        values = OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides)))
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{OVERRIDE} {' '.join(overrides)}: {error}") from error
    assert isinstance(values, dict)
    plain = {str(key): value for key, value in values.items()}
    return Layer(plain, dict.fromkeys(flatten(plain), OVERRIDE))


def _merge(layers: Sequence[Layer], path: Path) -> dict[str, Any]:
    """All layers as one, with references such as ``${model.encoder.hidden_dim}`` filled in."""
    try:
        merged = OmegaConf.merge(*(OmegaConf.create(dict(layer.values)) for layer in layers))
        values = OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{path}: {error}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _located(fault: Fault, sources: Mapping[str, str], otherwise: str) -> str:
    """The fault after the place that gave the value, or the nearest mapping around it."""
    parts = fault.path.split(".")
    around = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    source = next((sources[key] for key in around if key in sources), otherwise)
    return f"{source}: {fault}"


def _provenance(config: ExperimentConfig, sources: Mapping[str, str]) -> dict[str, str]:
    return {key: sources.get(key, DEFAULT) for key in flatten(config_to_dict(config))}
