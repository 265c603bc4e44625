"""What a mutation changes: one operator, number, condition, flag, call or result of a module, as a changed tree.

Docstrings, annotations, error messages, imports and the bounds of parameters are left alone: they are no behaviour, or
another module's.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

SWAPS: dict[type[ast.AST], list[type[ast.AST]]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.In: [ast.NotIn],  # codespell:ignore
    ast.NotIn: [ast.In],  # codespell:ignore
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Mult],
    ast.Mod: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
    ast.BitXor: [ast.BitOr],
    ast.LShift: [ast.RShift],
    ast.RShift: [ast.LShift],
    ast.And: [ast.Or],
    ast.Or: [ast.And],
}
NAMES = {
    "minimum": "maximum",
    "maximum": "minimum",
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "sum": "mean",
    "mean": "sum",
    "cumsum": "cumprod",
    "exp": "log1p",
    "log": "exp",
    "sqrt": "square",
    "abs": "negative",
    "zeros": "ones",
    "ones": "zeros",
    "standardise": "centre",
    "centre": "standardise",
    "leave_one_out": "centre",
    "groups": "trajectories",
    "trajectories": "groups",
}
"""Attributes that are exchanged: functions of numpy, operations of segments, segmentations of a table."""


def mutants(tree: ast.Module) -> Iterator[tuple[int, ast.Module]]:
    """Every mutated copy of a module, with the line that changed."""
    for index, node in enumerate(_nodes(tree)):
        for variant in range(_count(node)):
            changed = copy.deepcopy(tree)
            _apply(_nodes(changed)[index], variant)
            yield getattr(node, "lineno", 0), ast.fix_missing_locations(changed)


def _nodes(tree: ast.AST) -> list[ast.AST]:
    """Nodes that behaviour depends on, in order of the text."""
    found: list[ast.AST] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Field":
            for keyword in node.keywords:  # The bounds of parameters are configuration, their defaults are not.
                if keyword.arg == "default":
                    visit(keyword.value)
            return
        found.append(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "bases"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_text(child):
                    visit(child)

    visit(tree)
    return found


def _is_text(node: ast.AST) -> bool:
    plain = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return plain or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")


def _count(node: ast.AST) -> int:
    """How many mutants a node has."""
    match node:
        case ast.Compare(ops=[op]) | ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op):
            return len(SWAPS.get(type(op), ()))
        case ast.Constant(value=bool()):
            return 1
        case ast.Constant(value=int() | float()):
            return 1
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not()):
            return 1
        case ast.If() | ast.IfExp() | ast.While():
            return 1
        case ast.Attribute(attr=name) if name in NAMES and isinstance(node.ctx, ast.Load):
            return 1
        case ast.Expr(value=ast.Call()):
            return 1
        case ast.Return(value=ast.AST() as value) if ast.unparse(value) != "None":
            return 1
        case _:
            return 0


def _apply(node: ast.AST, variant: int) -> None:
    """Change a node in place."""
    match node:
        case ast.Compare(ops=[op]):
            node.ops = [SWAPS[type(op)][variant]()]  # type: ignore[list-item]
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op):
            node.op = SWAPS[type(op)][variant]()  # type: ignore[assignment]
        case ast.Constant(value=bool() as value):
            node.value = not value
        case ast.Constant(value=int() | float() as value):
            node.value = value + 1 if value + 1 != value else value * 2
        case ast.UnaryOp(op=op, operand=operand):
            node.operand = ast.UnaryOp(type(op)(), operand)  # Twice is not at all.
        case ast.If(test=test) | ast.IfExp(test=test):
            node.test = ast.UnaryOp(ast.Not(), test)
        case ast.While():
            node.test = ast.Constant(False)
        case ast.Attribute(attr=name):
            node.attr = NAMES[name]
        case ast.Expr():
            node.value = ast.Constant(None)
        case ast.Return():
            node.value = ast.Constant(None)
        case _:
            raise AssertionError(node)
