"""Addresses as they may be shown: logs, messages and MLflow hold nobody's password."""

import re
from dataclasses import replace

from paraformer_platform.config.schema import ExperimentConfig

PASSWORD = re.compile(r"(://[^/@:\s]*):[^/@\s]*@")


def without_password(address: str) -> str:
    """Return an address with the password of ``user:password@host`` as asterisks."""
    return PASSWORD.sub(r"\1:***@", address)


def without_passwords(config: ExperimentConfig) -> ExperimentConfig:
    """Return a configuration as a trial may keep it: only the driver speaks to MLflow."""
    if config.tracking.uri is None:
        return config
    return replace(config, tracking=replace(config.tracking, uri=without_password(config.tracking.uri)))
