"""Text that anyone may have written, put into Markdown so that it stays text.

A fence or a code span longer than any run of backticks inside cannot be closed from inside (CommonMark 0.31, 4.5 and
6.1), and what is in it is neither Markdown nor HTML. Characters that would change how the text around them is shown
(control characters, marks that reverse the direction of writing) are spelled out, as `\\u202e`.

Left out: tables; a `|` ends a cell of a table even in a code span.
"""

from __future__ import annotations

import re
import unicodedata

_BACKTICKS = re.compile(r"`+")
KEPT = "\n\t"


def visible(text: str) -> str:
    """The text with control and formatting characters spelled out, other than line feeds and tabs."""
    return "".join(
        char if char in KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escape(char)
        for char in text
    )


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def fence(text: str, language: str = "text") -> str:
    """A code block that shows `text` and nothing but it."""
    shown = visible(text)
    marks = "`" * max(3, _longest(shown) + 1)
    return f"{marks}{language}\n{shown}\n{marks}"


def code(text: str) -> str:
    """A code span of one line; any white space becomes a space."""
    shown = " ".join(visible(text).split())
    if not shown:
        return "(empty)"
    marks = "`" * (_longest(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{marks}{pad}{shown}{pad}{marks}"


def _longest(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
