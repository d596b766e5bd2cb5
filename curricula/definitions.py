"""Definitions that build on definitions: `w20 = w7 inc` says what w20 means to whoever knows w7.

Pure functions over words. A body is a sequence of words (a text is split at its spaces, what stands before ` = ` is
left off), a definition is good only if everything in it can be brought back to primitives. Whether it is true is
the domain's to say. Books are definitions in an order in which each page uses earlier pages alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curricula import list_programs as lp
from curricula.post_forms import Bodies, definition_name, plain

MAX_BOOK = 4000
"""Longest book, in characters: what a post's body may have."""


def body_words(body: str | Sequence[str]) -> tuple[str, ...]:
    """The words of a body; of a definition's text, those behind the equals sign."""
    if isinstance(body, str):
        return tuple((body.partition(" = ")[2] if " = " in body else body).split())
    return tuple(body)


def definition_parents(text: str) -> tuple[str, ...]:
    """The names that a definition's body uses, each once, in their order. Total: of any other text, none."""
    words = text.partition(" = ")[2].split()
    return tuple(dict.fromkeys(w for w in words if w not in lp.PRIMITIVES))


def expand(text: str | Sequence[str], known: Bodies, longest: int = lp.MAX_DEPTH) -> tuple[str, ...]:
    """A body, or a definition's text, in primitives. Bodies in `known` may use names of `known`.

    Raises ValueError for a name that is not in `known`, a circle (that of the defined name too), or more than
    `longest` primitives.
    """
    name = definition_name(text) if isinstance(text, str) else ""
    found: dict[str, tuple[str, ...]] = {}

    def of(words: Sequence[str], path: tuple[str, ...]) -> tuple[str, ...]:
        out: list[str] = []
        for word in words:
            if word in lp.PRIMITIVES:
                out.append(word)
            elif word in path:
                raise ValueError(f"goes round in a circle: {' '.join([*path[path.index(word) :], word])}")
            elif word not in known:
                raise ValueError(f"unknown name: {word[:60]}")
            else:
                if word not in found:
                    found[word] = of(body_words(known[word]), (*path, word))
                out += found[word]
            if len(out) > longest:
                raise ValueError(f"too long: more than {longest} primitives")
        return tuple(out)

    return of(body_words(text), (name,) if name else ())


def compact(name: str, body: Sequence[str], known: Mapping[str, Sequence[str]]) -> str:
    """The shortest text that defines `name` as `body` (primitives), with names of `known` (bodies in primitives).

    Known bodies are used that are shorter than `body` itself, so definitions that were worded from one `known` never
    go round in a circle. Among equally short wordings the first word stands for as much as it can, then the name with
    the lowest number wins.
    """
    body = body_words(body)
    names = {w: body_words(b) for w, b in known.items() if w != name and 2 <= len(body_words(b)) < len(body)}
    best: list[tuple[str, ...]] = [()] * (len(body) + 1)
    for at in reversed(range(len(body))):
        pieces = [(w, len(b)) for w, b in names.items() if body[at : at + len(b)] == b]
        pieces.append((body[at], 1))
        word, size = min(pieces, key=lambda p: (len(best[at + p[1]]), -p[1], name_order(p[0])))
        best[at] = (word, *best[at + size])
    return f"{name} = {' '.join(best[0])}"


def definition_depth(name: str, definitions: Bodies) -> int:
    """1 for a body of primitives, one more than its deepest name for another; names without a definition count 0.

    Raises ValueError if `name` is not among the definitions, or if they go round in a circle.
    """
    if name not in definitions:
        raise ValueError(f"no definition of {name!r}")
    depths: dict[str, int] = {}

    def of(at: str, path: tuple[str, ...]) -> int:
        if at in path:
            raise ValueError(f"goes round in a circle: {' '.join([*path[path.index(at) :], at])}")
        if at not in depths:
            used = [w for w in body_words(definitions[at]) if w in definitions and w not in lp.PRIMITIVES]
            depths[at] = 1 + max((of(w, (*path, at)) for w in used), default=0)
        return depths[at]

    return of(name, ())


def name_order(name: str) -> tuple[int, int, str]:
    """Sorts w2 before w10, and what is no such name by its letters, in front."""
    number = name[1:]
    numbered = name[:1] == "w" and 1 <= len(number) <= 4 and number.isascii() and number.isdigit()
    return (1, int(number), name) if numbered else (0, 0, name)


def compile_book(definitions: Bodies, compacted: bool = True, limit: int = MAX_BOOK) -> str:
    """A page a line, the shortest bodies first; compacted, each in terms of pages before it.

    `definitions` are bodies in primitives, or in names that it defines. Pages that would not fit in `limit` characters
    are left out, from the first that does not. Raises ValueError for what cannot be expanded.
    """
    bodies = {w: expand(body_words(b), definitions) for w, b in definitions.items()}
    lines: list[str] = []
    before: dict[str, tuple[str, ...]] = {}
    size = -1  # a line break less than lines
    for name in sorted(bodies, key=lambda w: (len(bodies[w]), name_order(w))):
        line = compact(name, bodies[name], before if compacted else {})
        size += len(line) + 1
        if size > limit:
            break
        lines.append(line)
        before[name] = bodies[name]
    return "\n".join(lines)


def pages(body: str, limit: int = MAX_BOOK) -> dict[str, tuple[str, ...]]:
    """The bodies of a book's pages in primitives, in their order. A page may use names of earlier pages only.

    Raises ValueError that names the page for what is no definition, a name met twice, or a name not met yet.
    """
    if len(body) > limit:
        raise ValueError(f"a book has at most {limit} characters, this one {len(body)}")
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(body.split("\n"), start=1):
        name = definition_name(line)
        if not name or not plain(line):
            raise ValueError(f"page {number}: not a definition: {line[:60]!r}")
        if name in found:
            raise ValueError(f"page {number}: {name} has a page already")
        try:
            found[name] = expand(line, found)
        except ValueError as error:
            raise ValueError(f"page {number}: {error}") from None
        if not found[name]:
            raise ValueError(f"page {number}: {name} has no body")
    return found
