"""Parts of a user's own by import path: `package.module:name`, seen from the folder that one starts from."""

import importlib
from typing import Any

from paraformer.errors import ConfigError


def import_part(path: str, field: str, instead: str = "") -> Any:
    """What an import path names.

    Args:
        path: `package.module:name`.
        field: Whose value it is, for messages: `predictor.kind`.
        instead: Names that could stand there instead, for messages: `'cif' or 'uniform'`.

    Raises:
        ConfigError: if it is no import path, or there is nothing to import at it.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        named = f"{instead} or " if instead else ""
        raise ConfigError(
            f"{field} is {path!r}, but must be {named}an import path 'package.module:name', "
            "such as 'my_parts:MyPart'"
        )
    try:
        return getattr(importlib.import_module(module_name), name)
    except ImportError as error:
        raise ConfigError(
            f"{field} is {path!r}, but {module_name} cannot be imported: {error}. "
            "Start from the folder that holds it, or put that folder on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise ConfigError(f"{field} is {path!r}, but {module_name} has no {name}") from error
