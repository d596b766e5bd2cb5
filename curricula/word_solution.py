"""Write a program of a word problem as a worked solution, line by line: `pencils = 36 - 7 = 29`.

Only sequences of assignments with plain arithmetic are supported. They are evaluated on the syntax tree; nothing is
run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from fractions import Fraction

from curricula.word_question import format_number

LARGEST = 10**15
OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
    ast.Mod: lambda a, b: a % b,
}


class _Unsupported(Exception):
    """The program uses more than plain arithmetic."""


def worked_solution(program: str) -> list[str]:
    """The lines of a solution, of which the last ends with the result; empty if the program is not supported."""
    function = ast.parse(program).body[-1]
    values, lines = dict[str, Fraction](), list[str]()
    try:
        for statement in function.body if isinstance(function, ast.FunctionDef) else []:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name, expression = statement.targets[0].id, statement.value
            elif isinstance(statement, ast.Return) and statement.value is not None:
                name, expression = "", statement.value
            else:
                return []
            value = _value(expression, values)
            if isinstance(expression, ast.BinOp):
                lines.append(f"{f'{name} = ' if name else ''}{_put(expression, values)} = {format_number(value)}")
            if not name:
                return lines
            values[name] = value
    except (_Unsupported, ZeroDivisionError):
        pass
    return []


def _value(node: ast.expr, values: dict[str, Fraction]) -> Fraction:
    found = None
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        found = Fraction(repr(node.value))
    elif isinstance(node, ast.Name):
        found = values.get(node.id)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        found = OPERATIONS[type(node.op)](_value(node.left, values), _value(node.right, values))
    if found is None or abs(found) > LARGEST or found.denominator > LARGEST:
        raise _Unsupported
    return found


def _put(node: ast.expr, values: dict[str, Fraction]) -> str:
    """Write an expression with values in place of names."""

    class Put(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.Name:
            return ast.Name(format_number(values[name.id]), ast.Load())

    return ast.unparse(Put().visit(ast.parse(ast.unparse(node), mode="eval")))
