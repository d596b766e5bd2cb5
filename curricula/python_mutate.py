"""Mutate a Python function by one random change of its syntax tree."""

from __future__ import annotations

import ast
import random

from curricula.python_code import FUNCTION, Code, nodes, parse_code
from curricula.python_data import INT, LETTERS, LIST, STR

_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)
_ORDER = (ast.Lt, ast.Gt, ast.LtE, ast.GtE, ast.Eq, ast.NotEq)


def vary(code: Code, rng: random.Random) -> Code | None:
    """Apply one random change. Returns None if the result is not valid code; it may still fail when run."""
    tree = ast.parse(code.text)
    change = rng.choice((_operator, _constant, _wrap, _insert))
    if not change(tree, rng):
        return None
    found = parse_code(ast.unparse(ast.fix_missing_locations(tree)))
    return found if isinstance(found, Code) and found.text != code.text else None


def _operator(tree: ast.Module, rng: random.Random) -> bool:
    """Replace an arithmetic or comparison operator."""
    found = [n for n in nodes(tree) if isinstance(n, ast.BinOp | ast.AugAssign | ast.Compare)]
    if not found:
        return False
    node = rng.choice(found)
    if isinstance(node, ast.Compare):
        if type(node.ops[0]) not in _ORDER:
            return False
        node.ops[0] = rng.choice(_ORDER)()
    elif isinstance(node, ast.BinOp | ast.AugAssign):
        if type(node.op) not in _ARITHMETIC:
            return False
        node.op = rng.choice(_ARITHMETIC)()
    return True


def _constant(tree: ast.Module, rng: random.Random) -> bool:
    """Change a number by 1 or 2, or replace a string by a letter."""
    found = [n for n in nodes(tree) if isinstance(n, ast.Constant) and type(n.value) in (int, str)]
    if not found:
        return False
    node = rng.choice(found)
    if isinstance(node.value, int):
        node.value = max(0, node.value + rng.choice((-2, -1, 1, 2)))
    else:
        node.value = rng.choice(LETTERS)
    return True


_WRAPS = {
    INT: ("{} + 1", "{} * 2", "{} % 5", "abs({})", "-{}", "{} // 2", "str({})"),
    LIST: ("sorted({})", "{}[::-1]", "sum({})", "len({})", "{}[1:]", "[x + 1 for x in {}]"),
    STR: ("{}[::-1]", "{}.upper()", "len({})", "{} + 'a'", "{} * 2", "''.join(sorted({}))"),
}


def _wrap(tree: ast.Module, rng: random.Random) -> bool:
    """Wrap a returned expression in an operation. Its type is unknown, so the result may not run."""
    found = [n for n in nodes(tree) if isinstance(n, ast.Return) and n.value is not None]
    if not found:
        return False
    node = rng.choice(found)
    assert node.value is not None
    form = rng.choice(_WRAPS[rng.choice((INT, LIST, STR))])
    node.value = _filled(form, node.value)
    return True


def _insert(tree: ast.Module, rng: random.Random) -> bool:
    """Delete a statement, or insert one at the start that changes an argument."""
    body = next(n.body for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == FUNCTION)
    if len(body) > 1 and rng.random() < 0.3:
        del body[rng.randrange(len(body) - 1)]
        return True
    given = next(n.args.args for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == FUNCTION)
    name = rng.choice(given).arg
    form = rng.choice([f for f in _WRAPS[rng.choice((INT, LIST, STR))] if not f.startswith(("len", "sum", "str"))])
    changed: ast.stmt = ast.Assign([ast.Name(name, ast.Store())], _filled(form, ast.Name(name, ast.Load())))
    body.insert(0, changed)
    return True


def _filled(form: str, inner: ast.expr) -> ast.expr:
    """Parse a form, with `inner` in place of its braces."""

    class Filled(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return inner if node.id == "_" else node

    filled: ast.expr = Filled().visit(ast.parse(form.format("_"), mode="eval").body)
    return filled
