"""Parse the question of a word problem, and check that its program uses numbers of the question.

A question is one line of prose. A program may use the numbers in its question, in digits or words, common constants
(days of a week, minutes of an hour), and the meaning of percentages and of words such as `half`. This rejects programs
that are unrelated to the question. Not guaranteed: that a program computes what the question asks; see `doubt` in
`curricula/word_problems.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from curricula.domain import Rejection
from curricula.plain_numbers import numbers_in

LONGEST = 1000
SHORTEST = 20
FEWEST_WORDS = 5
REASONS = ("malformed", "no question", "question too long", "answer given away", "numbers not in the question")
_CUSTOMARY = "0 1 2 7 10 12 24 30 52 60 100 180 360 365 366 1000 3600 0.5 0.01 0.1"
CUSTOMARY = frozenset(Fraction(n) for n in _CUSTOMARY.split())
"""Common constants that any program may use."""
MEANT = {
    "half": "2 1/2", "halves": "2", "third": "3 1/3", "thirds": "3", "quarter": "4 1/4", "quarters": "4",
    "fourth": "4 1/4",
    "fifth": "5 1/5", "sixth": "6 1/6", "eighth": "8 1/8", "tenth": "10 1/10", "twice": "2", "double": "2",
    "doubles": "2", "thrice": "3", "triple": "3", "triples": "3", "triangle": "3", "square": "4", "rectangle": "4",
    "rectangular": "4", "cube": "3 6 8", "year": "12 52 365", "weekend": "2", "week": "5", "hexagon": "6",
    "pentagon": "5",
    "dice": "6", "die": "6", "spider": "8", "cat": "4", "cats": "4", "dog": "4", "dogs": "4", "cow": "4", "cows": "4",
    "spiders": "8", "season": "4", "seasons": "4", "fifths": "5", "percent": "100",
}  # fmt: skip
"""Numbers that a word in a question implies."""
_ASKING = re.compile(
    r"\b(?:how|what|which|who|when|where|find|calculate|compute|determine|give|work out)\b", re.IGNORECASE
)
_LABEL = re.compile(r"\A(?:\*\*)?(?:question|problem)(?:\*\*)? ?:(?:\*\*)? ?", re.IGNORECASE)


def read_question(text: str) -> str | Rejection:
    """Parse a question and put it on one line; a Rejection says why the text is none."""
    if len(text) > 4 * LONGEST:
        return Rejection("question too long", f"{len(text)} characters; the most is {LONGEST}")
    question = _LABEL.sub("", " ".join(text.split())).strip()
    if not question.isprintable():
        return Rejection("malformed", "a character in the question that cannot be shown")
    if len(question) > LONGEST:
        return Rejection("question too long", f"{len(question)} characters; the most is {LONGEST}")
    if len(question) < SHORTEST or len(question.split()) < FEWEST_WORDS:
        return Rejection("no question", f"a question has at least {FEWEST_WORDS} words: {question[:60]!r}")
    if "?" not in question and not _ASKING.search(question):
        return Rejection("no question", "nothing is asked: no question mark, and no word such as how or find")
    return question


def foreign_numbers(question: str, constants: Sequence[Fraction]) -> Rejection | None:
    """Reject a program whose constants do not occur in the question, or that uses no number of the question.

    Args:
        question: the question.
        constants: the numbers in the program.

    Returns:
        The rejection, or None if the numbers are acceptable.
    """
    said = set(numbers_in(question))
    words = re.findall(r"[a-z]+", question.lower())
    meant = said | {Fraction(n) for word in words for n in MEANT.get(word, "").split()}
    if "%" in question or "percent" in words:
        meant |= {v for n in said for v in (n / 100, 1 - n / 100, 1 + n / 100, 100 - n, 100 + n)}
    for value in constants:
        if abs(value) not in meant and abs(value) not in CUSTOMARY:
            return Rejection("numbers not in the question", f"the program uses {format_number(value)}")
    told = {n for n in said if n > 2}
    if told and constants and not meant.intersection(map(abs, constants)):
        return Rejection("numbers not in the question", "the program uses no number of the question")
    return None


def reused_number(question: str, constants: Sequence[Fraction]) -> Fraction | None:
    """A number that a program uses more often than its question says it, if it says it at all; None if there is none.

    `adds 4 times that number` with `n + 4 * 4` is an example. Common constants may be used at any time."""
    said = Counter(numbers_in(question))
    used = Counter(map(abs, constants))
    return next((n for n, times in used.items() if 0 < said[n] < times and n not in CUSTOMARY), None)


def reveals_answer(question: str, answer: Fraction | str) -> bool:
    """Whether a question contains its answer: after the last question, or after a word such as "answer"."""
    _, mark, after = question.rpartition("?")
    if not mark:
        sentences = re.split(r"(?<=[.!:]) ", question)
        last = max((i for i, s in enumerate(sentences) if _ASKING.search(s)), default=len(sentences))
        after = " ".join(sentences[last + 1 :])
    parts = [after, *re.findall(r"\b(?:answer|solution|result)\b(.{0,40})", question, re.I)]
    if isinstance(answer, str):
        word = re.compile(rf"(?<!\w){re.escape(answer)}(?!\w)", re.IGNORECASE)
        return any(word.search(part) for part in parts)
    return any(answer in set(numbers_in(part)) for part in parts)


def key_numbers(question: str) -> list[Fraction]:
    """The distinct numbers above 2 in a question, sorted; they identify it independently of its wording."""
    return sorted({n for n in numbers_in(question, parts=False) if n > 2})


def format_number(value: Fraction) -> str:
    """Write a number as an integer, a finite decimal, or a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest > 1 or value.denominator > 10**12:
        return f"{value.numerator}/{value.denominator}"
    digits = next(n for n in range(1, 41) if value * 10**n == int(value * 10**n))
    whole = str(abs(int(value * 10**digits))).rjust(digits + 1, "0")
    return f"{'-' if value < 0 else ''}{whole[:-digits]}.{whole[-digits:]}"
