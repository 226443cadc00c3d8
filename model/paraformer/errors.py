"""The errors a user can meet, rooted in one class.

::

    ParaformerError
    ├── ConfigError      a configuration that cannot be run
    ├── DataError        audio, transcripts or manifests that cannot be read
    └── CheckpointError  a checkpoint that is missing, damaged or of another model

Each message says what is wrong, names both values and what to do about it. The command line prints it
without a traceback and exits with code 2.
"""

from dataclasses import dataclass


class ParaformerError(Exception):
    """Root of every error that is the input's fault and not the program's."""


class ConfigError(ParaformerError, ValueError):
    """A configuration that cannot be run."""


class DataError(ParaformerError, ValueError):
    """Audio, transcripts or manifests that cannot be read."""


class CheckpointError(ParaformerError, ValueError):
    """A checkpoint that is missing, damaged or of another model."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one value of a configuration."""

    path: str
    """Dotted path of the value, relative to the object that found the fault."""
    value: object
    """The value as given."""
    message: str
    """What is wrong with it and what would be right."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"
