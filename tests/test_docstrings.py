"""Docstrings of public functions say what a caller must know: shapes of tensors, errors that a user can mend.

That each has a docstring at all, in Google's style, is ruff's to check (rules D); that its Args are its
arguments, MkDocs' in tests/test_site.py.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paraformer.errors import ParaformerError
from paraformer_analysis.errors import AnalysisError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("model/paraformer", "platform/paraformer_platform", "analysis/paraformer_analysis")
SHAPE = re.compile(r"\(\s*(?:[A-Z]\w*'?|\d+|…)?\s*[,)]")
"""`()`, `(N,)`, `(B, T, D)`, `(…)`."""


@dataclass(frozen=True)
class Function:
    """A public function or method, or a constructor, which its class describes."""

    place: str
    node: ast.FunctionDef
    described: str
    """Its docstring; of a constructor its class's too."""
    around: str
    """The docstring of its class."""

    def raises(self) -> set[str]:
        """Names of the errors that its own body raises."""
        calls = [node.exc for node in ast.walk(self.node) if isinstance(node, ast.Raise)]
        return {ast.unparse(call.func) for call in calls if isinstance(call, ast.Call)}

    def handles_tensors(self) -> bool:
        arguments = [*self.node.args.args, *self.node.args.kwonlyargs]
        types = [argument.annotation for argument in arguments] + [self.node.returns]
        return any("Tensor" in ast.unparse(kind) for kind in types if kind is not None)


def functions(package: str) -> list[Function]:
    found: list[Function] = []
    for path in sorted((ROOT / package).rglob("*.py")):
        found += _within(ast.parse(path.read_text()), str(path.relative_to(ROOT)), "")
    return found


def _within(node: ast.Module | ast.ClassDef, place: str, around: str) -> Iterator[Function]:
    for inner in node.body:
        if isinstance(inner, ast.ClassDef) and not inner.name.startswith("_"):
            yield from _within(inner, f"{place}:{inner.name}", ast.get_docstring(inner) or "")
        elif isinstance(inner, ast.FunctionDef) and (inner.name == "__init__" or inner.name[0] != "_"):
            own = ast.get_docstring(inner) or ""
            described = f"{own}\n{around}" if inner.name == "__init__" else own
            yield Function(f"{place}:{inner.name}", inner, described, around)


def _errors(base: type) -> set[str]:
    return {base.__name__}.union(*(_errors(kind) for kind in base.__subclasses__()))


@pytest.mark.parametrize("package", PACKAGES)
def test_errors_that_a_user_can_mend_are_announced(package: str) -> None:
    import paraformer_platform.errors  # noqa: F401  its classes are subclasses once it is imported

    ours = _errors(ParaformerError) | _errors(AnalysisError)
    silent = {
        function.place: missing
        for function in functions(package)
        if (missing := {name for name in function.raises() & ours if name not in function.described})
    }
    assert silent == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_shapes_of_tensors_are_told(package: str) -> None:
    silent = [
        function.place
        for function in functions(package)
        if function.handles_tensors() and not SHAPE.search(function.described + function.around)
    ]
    assert silent == []


def test_there_is_something_to_check() -> None:
    assert sum(len(functions(package)) for package in PACKAGES) > 800
    assert any(function.raises() for function in functions(PACKAGES[0]))
    assert not SHAPE.search("the frames of a batch (B utterances)")
