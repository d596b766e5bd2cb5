"""Parsing, walking and normalising Python source; shared by the domains whose problems are Python code.

Nothing is run here. Not guaranteed: that two sources which do the same normalise to the same tree.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterator


def parse_source(text: str, quote: Callable[[str], str]) -> ast.Module | str:
    """Parse Python source. Never raises and never warns.

    Args:
        text: the source.
        quote: shortens the message of an error other than SyntaxError, which may quote the source.

    Returns:
        The tree, or one line that says why the source cannot be parsed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {str(error.msg)[:120]}"
    except (ValueError, MemoryError, RecursionError) as error:
        return f"cannot be parsed: {quote(str(error))}"


def walk(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    """Yield every node with its depth, in source order, without recursion."""
    todo = [(tree, 0)]
    while todo:
        node, depth = todo.pop()
        yield node, depth
        todo += [(child, depth + 1) for child in reversed(list(ast.iter_child_nodes(node)))]


def is_text(node: ast.AST) -> bool:
    """Whether a statement is a docstring or another bare string literal."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


class Normalizer(ast.NodeTransformer):
    """Removes annotations, docstrings and other bare string literals, which do not change what the code does."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        return ast.Assign([node.target], node.value) if node.value else None

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                kept = [s for s in block if not is_text(s)]
                setattr(node, field, kept or ([ast.Pass()] if field == "body" else []))
        return node
