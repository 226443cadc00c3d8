"""The rules that keep `platform/` from shadowing Python's own module (docs/ARCHITECTURE.md, "The rooms")."""

import platform
from pathlib import Path

import pytest

ROOMS = {"model": "paraformer", "platform": "paraformer_platform", "analysis": "paraformer_analysis"}


def test_the_standard_module_is_the_standard_module() -> None:
    assert platform.python_version().startswith("3.")


@pytest.mark.parametrize("room", [*ROOMS, "experiments"])
def test_a_room_is_no_package(repository: Path, room: str) -> None:
    assert not (repository / room / "__init__.py").exists()


@pytest.mark.parametrize(("room", "package"), ROOMS.items())
def test_a_room_holds_its_one_package(repository: Path, room: str, package: str) -> None:
    inside = {path.name for path in (repository / room).iterdir() if path.name != "__pycache__"}
    assert inside == {package}


def test_no_package_among_the_tests(repository: Path) -> None:
    assert not list((repository / "tests").rglob("__init__.py"))


def test_experiments_are_yaml_only(repository: Path) -> None:
    files = [path for path in (repository / "experiments").rglob("*") if path.is_file()]
    assert files
    assert {path.suffix for path in files} == {".yaml"}
