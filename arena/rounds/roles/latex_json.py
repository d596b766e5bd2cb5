"""JSON with LaTeX written by models that do not double their backslashes: `{"answer": "\\frac{3}{4}"}`.

JSON reads `\\f` as a form feed, `\\t` as a tab, and refuses `\\s`. A backslash is doubled where that cannot have been
meant: before a character that JSON does not know, before `b` and `f` with a letter after them (nobody writes backspaces
and form feeds), and before a LaTeX command that begins with n, r or t. A few of those may also be a line break or tab
before a short word (`\\ne`, `\\to`); they count as LaTeX at the beginning of a string, where nobody breaks the line,
and if the text has other single backslashes of LaTeX.

Not guaranteed: that a tab before a word such as `imes` survives.
"""

from __future__ import annotations

import json
import re
from typing import Any

_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[A-Za-z]+|.|\Z)", re.DOTALL)
_N = "nabla natural neg neq newline nexists nolimits nonumber normalsize not notin nparallel nsubseteq nsupseteq"
_R = (
    "raisebox rangle rarr rbrace rbrack rceil rfloor rgroup rho right rightarrow rightharpoonup rightleftharpoons "
    "rvert rmoustache"
)
_T = (
    "tan tanh tau tbinom text textbf textcolor textit textnormal textrm textsf textstyle texttt tfrac therefore theta "
    "thickapprox thicksim tilde times triangle triangledown triangleleft triangleq triangleright twoheadrightarrow"
)
_COMMANDS = frozenset(f"{_N} {_R} {_T}".split())
_EITHER = "ne ngeq ni nleq nless nmid nprec nsim nsucc nu rm root rule tag to top tt"
_UNSURE = frozenset(_EITHER.split())
_CONTROLS = {"b": 8, "f": 12, "n": 10, "r": 13, "t": 9}


def with_latex(text: str) -> str:
    """JSON text in which the single backslashes of LaTeX are doubled. Other text is returned as it is."""
    if "\\" not in text:
        return text
    certain = any(_is_latex(m[0]) for m in _ESCAPE.finditer(text))

    def fixed(found: re.Match[str]) -> str:
        said = found[0]
        if said == "\\'":
            return "'"
        unsure = said[1:] in _UNSURE and (certain or text[: found.start()].endswith((':"', ': "', '["', ', "', ',"')))
        return "\\" + said if unsure or _is_latex(said) else said

    return _ESCAPE.sub(fixed, text)


def to_json(value: Any) -> str:
    """Compact JSON that `with_latex` leaves as it is."""

    def fixed(found: re.Match[str]) -> str:
        word = found[0][1:]
        return f"\\u{_CONTROLS[word[0]]:04x}{word[1:]}" if _is_latex(found[0]) or word in _UNSURE else found[0]

    return _ESCAPE.sub(fixed, json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _is_latex(escape: str) -> bool:
    """Whether a backslash with the word or character after it cannot be an escape of JSON."""
    word = escape[1:]
    if not word or word in "\"\\/'" or re.fullmatch("u[0-9a-fA-F]{4}", word):
        return False
    if word[0] in "bf":
        return len(word) > 1
    return word in _COMMANDS or word[0] not in "nrt"
