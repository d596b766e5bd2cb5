"""Working out what a Python function returns, step by step: code that tells each operation as it is done.

`traced` turns a function into one that returns its steps beside its value: `max(8, 4) = 8`, `8 - 3 = 5`, `k = 5`.
Names are given by their values, innermost first, so that each step is one operation on values. What is done inside
comprehensions is one step. For the synthetic functions of curricula/python_data.py; other code keeps its value, and
may do with fewer steps.
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
    """Code whose f returns a pair: its steps, each a line of text, and its value."""
    tree = ast.parse(code)
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == FUNCTION)
    main.body = [ast.parse(f"{STEPS} = []").body[0], *_told(main.body, _Noted())]
    return _HELPERS + ast.unparse(ast.fix_missing_locations(tree))


def _told(body: Sequence[ast.stmt], noted: _Noted) -> list[ast.stmt]:
    """Statements whose operations are noted, with one after each that notes what it set."""
    out: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.Return) and node.value is not None:
            value: ast.expr = noted.visit(node.value)
            steps = ast.Call(ast.Name("list", ast.Load()), [ast.Name(STEPS, ast.Load())], [])
            # the value first, for its steps come before
            pair = ast.Tuple([value, steps], ast.Load())
            out.append(ast.Return(pair))
            continue
        if isinstance(node, ast.If | ast.While):
            if isinstance(node, ast.If):
                node.test = noted.visit(node.test)
            node.body, node.orelse = _told(node.body, noted), _told(node.orelse, noted)
        elif isinstance(node, ast.For):
            node.body = [_note_of(node.target), *_told(node.body, noted)]
        elif isinstance(node, ast.Assign | ast.AugAssign):
            node.value = noted.visit(node.value)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            node.value.args = [noted.visit(arg) for arg in node.value.args]
        out.append(node)
        target = _target(node)
        if target is not None:
            out.append(_note_of(target))
    return out


def _note_of(target: ast.expr) -> ast.stmt:
    name = ast.unparse(target)
    return ast.parse(f"{STEPS}.append('{name} = ' + repr({name}))").body[0]


def _target(node: ast.stmt) -> ast.Name | None:
    """What a plain statement gives a value or adds to."""
    target: ast.expr | None = None
    if isinstance(node, ast.Assign):
        target = node.targets[0]
    elif isinstance(node, ast.AugAssign):
        target = node.target
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        target = node.value.func.value
    return target if isinstance(target, ast.Name) else None


class _Noted(ast.NodeTransformer):
    """Wraps each operation in a call that notes it. Operands are kept in names of their own, so that they are worked
    out once."""

    def __init__(self) -> None:
        self.count = 0

    def kept(self, value: ast.expr) -> tuple[ast.expr, ast.expr]:
        """An expression that keeps a value, and one that reads it again."""
        self.count += 1
        name = f"_v{self.count}"
        return ast.NamedExpr(ast.Name(name, ast.Store()), value), ast.Name(name, ast.Load())

    def note(self, texts: Sequence[str], given: Sequence[ast.expr], value: ast.expr) -> ast.expr:
        args: list[ast.expr] = [ast.Name(STEPS, ast.Load()), ast.Constant(texts[0])]
        for text, operand in zip(texts[1:], given, strict=True):
            args += [operand, ast.Constant(text)]
        return ast.Call(ast.Name(f"_n{len(given)}", ast.Load()), [*args, value], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        sign = ast.unparse(ast.BinOp(ast.Name("a", ast.Load()), node.op, ast.Name("b", ast.Load())))[1:-1]
        left, again = self.kept(self.visit(node.left))
        right, too = self.kept(self.visit(node.right))
        return self.note(("", sign, ""), (left, right), ast.BinOp(again, node.op, too))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) > 1:
            return node
        sign = ast.unparse(ast.Compare(ast.Name("a", ast.Load()), node.ops, [ast.Name("b", ast.Load())]))[1:-1]
        left, again = self.kept(self.visit(node.left))
        right, too = self.kept(self.visit(node.comparators[0]))
        return self.note(("", sign, ""), (left, right), ast.Compare(again, node.ops, [too]))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if node.keywords or len(node.args) > 2:
            return node
        if isinstance(node.func, ast.Attribute):
            rest = ", ".join(map(ast.unparse, node.args))
            constant = all(isinstance(arg, ast.Constant) for arg in node.args)
            if isinstance(node.func.value, ast.Constant) and len(node.args) == 1:  # ''.join(...)
                given, again = self.kept(self.visit(node.args[0]))
                return self.note((f"{ast.unparse(node.func)}(", ")"), (given,), ast.Call(node.func, [again], []))
            if not constant:
                return node
            of, again = self.kept(self.visit(node.func.value))
            call = ast.Call(ast.Attribute(again, node.func.attr, ast.Load()), node.args, [])
            return self.note(("", f".{node.func.attr}({rest})"), (of,), call)
        name = ast.unparse(node.func)
        if name == "range" or not node.args:
            return ast.Call(node.func, [self.visit(arg) for arg in node.args], [])
        pairs = [self.kept(self.visit(arg)) for arg in node.args]
        texts = (f"{name}(", *([", "] * (len(pairs) - 1)), ")")
        return self.note(texts, [kept for kept, _ in pairs], ast.Call(node.func, [again for _, again in pairs], []))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        of, again = self.kept(self.visit(node.value))
        index = ast.unparse(node.slice)
        return self.note(("", f"[{index}]"), (of,), ast.Subscript(again, node.slice, ast.Load()))

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        first = node.generators[0]
        given, again = self.kept(self.visit(first.iter))
        mark = ast.Name("_here", ast.Load())
        shown = ast.comprehension(first.target, mark, first.ifs, 0)
        before, after = ast.unparse(ast.ListComp(node.elt, [shown, *node.generators[1:]])).split("_here")
        first.iter = again
        return self.note((before, after), (given,), node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        return node
