"""Fixtures of the model room."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def example_folder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the modules of examples/ importable, as for a user who starts there."""
    monkeypatch.syspath_prepend(repository / "examples")
    yield
    for name in ("local_attention", "confident_tokens", "nucleus_sampling"):
        sys.modules.pop(name, None)
