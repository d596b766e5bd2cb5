"""The final answer in a prose: what its box holds, or its last line that says `answer:`, or all of it if it is short.

An answer is committed to once: two boxes, or two such lines, that say different things are no answer, so nothing is
gained by naming several. Left out: guessing at the last number of a prose that marks no answer.
"""

from __future__ import annotations

import re

LONGEST = 20_000  # characters of a prose
SHORT = 160  # characters of a prose that may itself be the answer
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
    """What a prose says as its final answer, each wording once; of several the caller has to see that they agree.
    Empty if it says none, or more than a few."""
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
    """The content of every `\\boxed{}`, to its matching brace; one that never closes is none."""
    found, begins, at = list[str](), [m.end() for m in _BOX.finditer(text)], 0
    for begin in begins[: 4 * MOST_MARKS]:
        if begin < at:
            continue  # inside the one before
        depth, at = 1, begin
        while at < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        if depth == 0:
            found.append(text[begin : at - 1].strip())
    return found


def _undressed(text: str) -> str:
    """Without bold marks, quotes and the full stop at the end."""
    text = text.strip(_DRESS)
    return text[:-1].strip(_DRESS) if text.endswith(".") else text
