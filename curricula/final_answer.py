"""Find the final answer in a free-text reply: the content of `\\boxed{}`, a line `answer: ...`, or a short whole reply.

Several marked answers that differ do not count as an answer, so that listing alternatives gains nothing.
Left out: falling back to the last number of a reply that marks no answer.
"""

from __future__ import annotations

import re

LONGEST = 20_000  # characters of a reply
SHORT = 160  # characters of a reply that may itself be the answer
MOST_MARKS = 8
_DRESS = ' \t\r\n*_`"“”'
_BOX = re.compile(r"\\(?:boxed|fbox) ?\{")
_LINE = re.compile(
    r"^[\s>*_#-]*(?:(?:so|thus|hence|therefore),? )?(?:the |my )?(?:final )?answer(?: is)?[*_]* ?[:=][*_]*(.*)$",
    re.I | re.M,
)
_IS = re.compile(r"\b(?:the |my )(?:final )?answer is[*_]* (.*)$", re.I | re.M)
_HASHES = re.compile(r"^#### ?(.*)$", re.M)


def final_answers(text: str) -> list[str]:
    """The distinct marked answers of a reply; empty if there are none or more than `MOST_MARKS`.

    Where there are several, the caller must check that they agree.
    """
    if len(text) > LONGEST:
        return []
    marked = boxes(text)
    for form in (_LINE, _HASHES, _IS):
        marked = marked or [found.strip() for found in form.findall(text) if found.strip(" .*_")]
    if not marked and len(text.strip()) <= SHORT:
        marked = [text.strip()]
    said = list(dict.fromkeys(_undressed(m) for m in marked))
    return [s for s in said if s] if len(said) <= MOST_MARKS else []


def boxes(text: str) -> list[str]:
    """The content of every `\\boxed{}` up to its matching brace. Unclosed boxes are ignored."""
    found, begins, at = list[str](), [m.end() for m in _BOX.finditer(text)], 0
    for begin in begins[: 4 * MOST_MARKS]:
        if begin < at:
            continue  # nested in the previous box
        depth, at = 1, begin
        while at < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        if depth == 0:
            found.append(text[begin : at - 1].strip())
    return found


def _undressed(text: str) -> str:
    """Remove bold marks, quotes and a final full stop."""
    text = text.strip(_DRESS)
    return text[:-1].strip(_DRESS) if text.endswith(".") else text
