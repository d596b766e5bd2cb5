"""Instrument a Python function so that it returns a trace of its operations.

`traced` turns a function into one that returns its value and steps such as `max(8, 4) = 8`, `8 - 3 = 5`, `k = 5`. Names
are replaced by their values, innermost first, so that each step is one operation on values. A comprehension is one
step. Made for the synthetic functions of curricula/python_data.py; other code keeps its value, but may have fewer
steps.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from curricula.python_code import FUNCTION

STEPS = "_t"
_HELPERS = """
def _n1(_t, a, x, b, value):
    _t.append(a + repr(x) + b + ' = ' + repr(value))
    return value

def _n2(_t, a, x, b, y, c, value):
    _t.append(a + repr(x) + b + repr(y) + c + ' = ' + repr(value))
    return value
"""


def traced(code: str) -> str:
    """Instrument code: its f returns (value, steps), where each step is one line of text."""
    tree = ast.parse(code)
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == FUNCTION)
    main.body = [ast.parse(f"{STEPS} = []").body[0], *_instrument(main.body, _Instrumenter())]
    return _HELPERS + ast.unparse(ast.fix_missing_locations(tree))


def _instrument(body: Sequence[ast.stmt], instrumenter: _Instrumenter) -> list[ast.stmt]:
    """Instrument statements: record their operations, and after each assignment the new value."""
    out: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.Return) and node.value is not None:
            value: ast.expr = instrumenter.visit(node.value)
            steps = ast.Call(ast.Name("list", ast.Load()), [ast.Name(STEPS, ast.Load())], [])
            # the value is evaluated first, because it adds steps
            pair = ast.Tuple([value, steps], ast.Load())
            out.append(ast.Return(pair))
            continue
        if isinstance(node, ast.If | ast.While):
            if isinstance(node, ast.If):
                node.test = instrumenter.visit(node.test)
            node.body, node.orelse = _instrument(node.body, instrumenter), _instrument(node.orelse, instrumenter)
        elif isinstance(node, ast.For):
            node.body = [_record_value(node.target), *_instrument(node.body, instrumenter)]
        elif isinstance(node, ast.Assign | ast.AugAssign):
            node.value = instrumenter.visit(node.value)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            node.value.args = [instrumenter.visit(arg) for arg in node.value.args]
        out.append(node)
        target = _target(node)
        if target is not None:
            out.append(_record_value(target))
    return out


def _record_value(target: ast.expr) -> ast.stmt:
    name = ast.unparse(target)
    return ast.parse(f"{STEPS}.append('{name} = ' + repr({name}))").body[0]


def _target(node: ast.stmt) -> ast.Name | None:
    """The name that a simple statement assigns or updates, or None."""
    target: ast.expr | None = None
    if isinstance(node, ast.Assign):
        target = node.targets[0]
    elif isinstance(node, ast.AugAssign):
        target = node.target
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        target = node.value.func.value
    return target if isinstance(target, ast.Name) else None


class _Instrumenter(ast.NodeTransformer):
    """Wraps each operation in a call that records it. Operands are bound to temporary names, so that they are evaluated
    once."""

    def __init__(self) -> None:
        self.count = 0

    def bind(self, value: ast.expr) -> tuple[ast.expr, ast.expr]:
        """An expression that binds a value to a temporary name, and one that reads that name."""
        self.count += 1
        name = f"_v{self.count}"
        return ast.NamedExpr(ast.Name(name, ast.Store()), value), ast.Name(name, ast.Load())

    def record(self, texts: Sequence[str], given: Sequence[ast.expr], value: ast.expr) -> ast.expr:
        args: list[ast.expr] = [ast.Name(STEPS, ast.Load()), ast.Constant(texts[0])]
        for text, operand in zip(texts[1:], given, strict=True):
            args += [operand, ast.Constant(text)]
        return ast.Call(ast.Name(f"_n{len(given)}", ast.Load()), [*args, value], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        sign = ast.unparse(ast.BinOp(ast.Name("a", ast.Load()), node.op, ast.Name("b", ast.Load())))[1:-1]
        left, again = self.bind(self.visit(node.left))
        right, too = self.bind(self.visit(node.right))
        return self.record(("", sign, ""), (left, right), ast.BinOp(again, node.op, too))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) > 1:
            return node
        sign = ast.unparse(ast.Compare(ast.Name("a", ast.Load()), node.ops, [ast.Name("b", ast.Load())]))[1:-1]
        left, again = self.bind(self.visit(node.left))
        right, too = self.bind(self.visit(node.comparators[0]))
        return self.record(("", sign, ""), (left, right), ast.Compare(again, node.ops, [too]))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if node.keywords or len(node.args) > 2:
            return node
        if isinstance(node.func, ast.Attribute):
            rest = ", ".join(map(ast.unparse, node.args))
            constant = all(isinstance(arg, ast.Constant) for arg in node.args)
            if isinstance(node.func.value, ast.Constant) and len(node.args) == 1:  # ''.join(...)
                given, again = self.bind(self.visit(node.args[0]))
                return self.record((f"{ast.unparse(node.func)}(", ")"), (given,), ast.Call(node.func, [again], []))
            if not constant:
                return node
            of, again = self.bind(self.visit(node.func.value))
            call = ast.Call(ast.Attribute(again, node.func.attr, ast.Load()), node.args, [])
            return self.record(("", f".{node.func.attr}({rest})"), (of,), call)
        name = ast.unparse(node.func)
        if name == "range" or not node.args:
            return ast.Call(node.func, [self.visit(arg) for arg in node.args], [])
        pairs = [self.bind(self.visit(arg)) for arg in node.args]
        texts = (f"{name}(", *([", "] * (len(pairs) - 1)), ")")
        return self.record(texts, [bound for bound, _ in pairs], ast.Call(node.func, [again for _, again in pairs], []))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        of, again = self.bind(self.visit(node.value))
        index = ast.unparse(node.slice)
        return self.record(("", f"[{index}]"), (of,), ast.Subscript(again, node.slice, ast.Load()))

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        first = node.generators[0]
        given, again = self.bind(self.visit(first.iter))
        mark = ast.Name("_here", ast.Load())
        shown = ast.comprehension(first.target, mark, first.ifs, 0)
        before, after = ast.unparse(ast.ListComp(node.elt, [shown, *node.generators[1:]])).split("_here")
        first.iter = again
        return self.record((before, after), (given,), node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        return node
