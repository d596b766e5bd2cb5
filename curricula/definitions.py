"""Definitions that use other definitions, such as `w20 = w7 inc`, and their expansion to primitives.

Pure functions over words. A body is a sequence of words; a string is split at its spaces, and the part before ` = ` is
dropped. A definition is well formed only if all its words expand to primitives. A book is an ordered list of
definitions, each of which uses only earlier ones.

Left out: whether a definition is true, which the domain checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curricula import list_programs as lp
from curricula.post_forms import Bodies, definition_name, plain

MAX_BOOK = 4000
"""Maximum length of a book, in characters; the limit on the body of a post."""


def body_words(body: str | Sequence[str]) -> tuple[str, ...]:
    """The words of a body; for the text of a definition, the words after the equals sign."""
    if isinstance(body, str):
        return tuple((body.partition(" = ")[2] if " = " in body else body).split())
    return tuple(body)


def expand(text: str | Sequence[str], known: Bodies, longest: int = lp.MAX_DEPTH) -> tuple[str, ...]:
    """Expand a body, or the text of a definition, to primitives.

    Args:
        text: the body or definition.
        known: bodies by name; they may use names of `known` themselves.
        longest: maximum number of primitives in the result.

    Raises:
        ValueError: a name is not in `known`, definitions are circular (including through the name that is defined),
            or the result is longer than `longest`.
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
    """The shortest text, in words, that defines `name` as `body`.

    Only known bodies that are shorter than `body` are used, so that definitions compacted against the same `known` are
    never circular. Ties are broken by the longest expansion of the first word, then by the lowest number of the name.

    Args:
        name: the name to define.
        body: its body in primitives.
        known: names that the definition may use, with their bodies in primitives.
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


def name_order(name: str) -> tuple[int, int, str]:
    """Sort key that puts w2 before w10. Words that are not such names come first, in alphabetical order."""
    number = name[1:]
    numbered = name[:1] == "w" and 1 <= len(number) <= 4 and number.isascii() and number.isdigit()
    return (1, int(number), name) if numbered else (0, 0, name)


def compile_book(definitions: Bodies, compacted: bool = True, limit: int = MAX_BOOK) -> str:
    """Write definitions as a book: one definition (page) per line, shortest body first.

    Args:
        definitions: bodies by name, in primitives or in names that `definitions` contains.
        compacted: word each page in terms of earlier pages.
        limit: maximum length in characters; the first page that does not fit and all later ones are left out.

    Raises:
        ValueError: a body cannot be expanded.
    """
    bodies = {w: expand(body_words(b), definitions) for w, b in definitions.items()}
    lines: list[str] = []
    before: dict[str, tuple[str, ...]] = {}
    size = -1  # there is one line break fewer than lines
    for name in sorted(bodies, key=lambda w: (len(bodies[w]), name_order(w))):
        line = compact(name, bodies[name], before if compacted else {})
        size += len(line) + 1
        if size > limit:
            break
        lines.append(line)
        before[name] = bodies[name]
    return "\n".join(lines)


def pages(body: str, limit: int = MAX_BOOK) -> dict[str, tuple[str, ...]]:
    """Read a book. Returns the body of each page in primitives, by name, in page order.

    Raises:
        ValueError: a page is not a definition, defines a name a second time, or uses a name that no earlier page
            defines. The message gives the page.
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
