"""Conditions in sweep files: ``exclude`` and ``when``, read as data and never run as Python.

A condition may use dotted keys of the experiment's configuration, numbers, strings, lists, ``true``,
``false``, ``null``, comparisons, ``in``, ``and``/``or``/``not`` and the arithmetic ``+ - * / // %``::

    condition = Condition.parse("model.encoder.num_layers == 12 and model.encoder.hidden_dim >= 512")
    condition.names                        # ("model.encoder.hidden_dim", "model.encoder.num_layers")
    condition.holds(settings.__getitem__)  # True or False

Anything else (calls, subscripts, powers) is refused when it is read.
"""

import ast
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from paraformer_platform.errors import SweepError

Lookup = Callable[[str], object]
"""Gives the value of a dotted key."""

WORDS = {"true": True, "false": False, "null": None}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, items: operator.contains(items, item),
    ast.NotIn: lambda item, items: not operator.contains(items, item),
}
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
ALLOWED = "allowed are dotted keys, numbers, strings, lists, comparisons, in, and, or, not, + - * / // %"


@dataclass(frozen=True)
class Condition:
    """One condition of a sweep file."""

    text: str
    """As written."""
    names: tuple[str, ...]
    """The dotted keys that it reads, sorted."""

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read a condition.

        Raises:
            SweepError: It is no condition, or uses more than conditions may.
        """
        tree = _parsed(text)
        return cls(text, tuple(sorted(set(_names(tree)))))

    def holds(self, lookup: Lookup) -> bool:
        """Tell whether it holds for the values that ``lookup`` gives.

        Raises:
            SweepError: The values cannot be compared or combined as the condition asks.
        """
        try:
            return bool(_value(_parsed(self.text), lookup))
        except (TypeError, ArithmeticError) as error:
            values = {name: lookup(name) for name in self.names}
            raise SweepError(f"condition {self.text!r} cannot be decided for {values}: {error}") from error


_TREES: dict[str, ast.expr] = {}
"""Conditions already read: one is asked for every cell of a design."""


def _parsed(text: str) -> ast.expr:
    if text not in _TREES:
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise SweepError(f"{text!r} is no condition: {error.msg} at column {error.offset}") from error
        _check(tree, text)
        _TREES[text] = tree
    return _TREES[text]


def _check(node: ast.expr, text: str) -> None:
    """Refuse every form that `_value` does not know, so that a bad file is found before anything runs."""
    refused: ast.AST | None
    if isinstance(node, ast.Compare):
        refused = next((op for op in node.ops if type(op) not in COMPARISONS), None)
    elif isinstance(node, ast.BinOp):
        refused = None if type(node.op) in ARITHMETIC else node.op
    elif isinstance(node, ast.UnaryOp):
        refused = None if isinstance(node.op, ast.Not | ast.USub) else node.op
    elif isinstance(node, ast.Attribute):
        _dotted(node, text)
        return
    else:
        known = (ast.Constant, ast.Name, ast.BoolOp, ast.List, ast.Tuple)
        refused = None if isinstance(node, known) else node
    if refused is not None:
        raise SweepError(f"condition {text!r} uses {type(refused).__name__}, which is not allowed; {ALLOWED}")
    for child in _children(node):
        _check(child, text)


def _children(node: ast.expr) -> Iterator[ast.expr]:
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def _dotted(node: ast.expr, text: str = "") -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, text)}.{node.attr}"
    raise SweepError(f"condition {text!r} takes an attribute of a {type(node).__name__}; {ALLOWED}")


def _names(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and node.id not in WORDS):
        yield _dotted(node)
        return
    for child in _children(node):
        yield from _names(child)


def _value(node: ast.expr, lookup: Lookup) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name(id=name) if name in WORDS:
            return WORDS[name]
        case ast.Name() | ast.Attribute():
            return lookup(_dotted(node))
        case ast.BoolOp(op=ast.And()):
            return all(_value(part, lookup) for part in node.values)
        case ast.BoolOp():
            return any(_value(part, lookup) for part in node.values)
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, lookup)
        case ast.UnaryOp():
            return operator.neg(_value(node.operand, lookup))
        case ast.BinOp():
            return ARITHMETIC[type(node.op)](_value(node.left, lookup), _value(node.right, lookup))
        case ast.List() | ast.Tuple():
            return [_value(item, lookup) for item in node.elts]
        case ast.Compare():
            return _compare(node, lookup)
    raise AssertionError(f"{ast.dump(node)} passed the check")


def _compare(node: ast.Compare, lookup: Lookup) -> bool:
    """Chained comparisons as in Python: ``1 < x <= 3``."""
    values = [_value(part, lookup) for part in (node.left, *node.comparators)]
    pairs = zip(values, node.ops, values[1:], strict=False)
    return all(COMPARISONS[type(op)](left, right) for left, op, right in pairs)
