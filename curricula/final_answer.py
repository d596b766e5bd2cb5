"""Find the final answer in a free-text reply: the content of `\\boxed{}`, a line `answer: ...`, or a short whole reply.

Several marked answers that differ do not count as an answer, so that listing alternatives gains nothing.
Left out: falling back to the last number of a reply that marks no answer.
"""

from __future__ import annotations

import re

LONGEST = 20_000  # characters of a reply
SHORT = 160  # characters of a reply that may itself be the answer
MOST_MARKS = 8
_DRESS = " \t\r\n*_`✅✔☑🎉\ufe0f"
_QUOTES = '"“”'
_BOX = re.compile(r"\\(?:boxed|fbox) ?\{")
_SMALL_BOX = re.compile(r"\\(?:boxed|fbox) ?([0-9A-Za-z])(?![0-9A-Za-z])")
_TAG = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.I | re.S)
_LINE = re.compile(
    r"^(?:[^\w\n]|_){0,40}(?:(?:so|thus|hence|therefore),? )?(?:the |my )?(?:final )?answer(?: is)?"
    r"[*_]* ?[:=][*_]*(.*)$",
    re.I | re.M,
)
_IS = re.compile(r"\b(?:the |my )(?:final )?answer is[*_]* (.*)$", re.I | re.M)
_HASHES = re.compile(r"(?:^|(?<=\s))#### ?(.*)$", re.M)
_COURTESY = re.compile(
    r"(?<=[.!$}*])\s+(?:I hope (?:it|this|that) (?:is|was) (?:correct|right|helpful|clear)"
    r"|(?:I )?hope (?:it|this|that) helps|Let me know if you have (?:any )?(?:other |more |further )?questions)"
    r"[.!]?[\s*_]*\Z",
    re.I,
)
"""A closing sentence that says nothing about the answer."""


def final_answers(text: str, quotes: bool = False) -> list[str]:
    """The distinct marked answers of a reply; empty if there are none or more than `MOST_MARKS`.

    Where there are several, the caller must check that they agree. `quotes`: keep quotation marks around answers.
    """
    if len(text) > LONGEST:
        return []
    marked = _marked(text)
    if not marked and len(text.strip()) <= SHORT:
        marked = [text.strip()]
    return _distinct(marked, quotes)


def marked_answers(text: str) -> list[str] | None:
    """The distinct marked answers of a text, like `final_answers`; None if nothing in the text is marked."""
    if len(text) > LONGEST or not (_marked(text) or re.search(r"(?:^|\s)####|\\(?:boxed|fbox)\b|<answer>", text)):
        return None
    return _distinct(_marked(text), quotes=True)


def _marked(text: str) -> list[str]:
    marked = boxes(text) or _SMALL_BOX.findall(text)
    for form in (_TAG, _LINE, _HASHES, _IS):
        marked = marked or [found.strip() for found in form.findall(text) if found.strip(" .*_")]
    return marked


def _distinct(marked: list[str], quotes: bool) -> list[str]:
    said = list(dict.fromkeys(_undressed(m, quotes) for m in marked))
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


def _undressed(text: str, quotes: bool) -> str:
    """Remove bold marks, a closing courtesy, a final full stop and, unless they are kept, quotes."""
    dress = _DRESS if quotes else _DRESS + _QUOTES
    text = (_COURTESY.sub("", text) if len(text) <= 2000 else text).strip(dress)
    return text[:-1].strip(dress) if text.endswith(".") else text
