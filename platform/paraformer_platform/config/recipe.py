"""Recipes of synthetic corpora, from YAML."""

from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from paraformer.errors import ConfigError
from paraformer.recipe import SynthesisRecipe


def load_recipe(path: str | Path) -> SynthesisRecipe:
    """Read a recipe of a synthetic corpus.

    Raises:
        ConfigError: if the file is missing, is no YAML, or the recipe is impossible; it lists every fault.
    """
    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except FileNotFoundError as error:
        raise ConfigError(f"there is no recipe {path}; experiments/speech/ holds examples") from error
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} is not a YAML recipe: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read as a recipe: {error.strerror}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys and values (name, grammar, splits, …), but holds a list")
    return SynthesisRecipe.from_dict({str(key): value for key, value in values.items()}, str(path))
