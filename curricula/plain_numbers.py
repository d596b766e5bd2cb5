"""Parse numbers in free text: `3,000`, `-2.5`, `3/4`, `1 1/2`, `\\frac{3}{4}`, `12%`, `$5`, `5 apples`, `two dozen`.

A text is one number or none. Only ASCII digits count. Text beyond a number and its unit (`5 or 6`, `2+3`, `12:30`,
`x`, `(0, 1)`, `inf`) is not a number. Units are dropped and not converted: `5 km` is 5 and `500 cents` is 500.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MOST_DIGITS = 30
MOST_LETTERS = 80  # maximum length of a number with its unit
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12}
SIMPLE = {word: n for n, word in enumerate(_ONES.split())} | {
    word: 10 * (n + 2) for n, word in enumerate(_TENS.split())
}
_NO_UNITS = (
    "or and to not than plus minus times over more less about nearly almost between if maybe either approximately "
    "true false none nan inf infinity pi half quarter third a b c d e f i j k n o p q r t u v w x y z"
)
NO_UNITS = frozenset(_NO_UNITS.split())
"""Words that cannot be a unit: after one of them, the text is not a plain number."""

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.[0-9]+)?|\.[0-9]+)"
_PLAIN = re.compile(rf"\A(?P<whole>{_DECIMAL})(?:[eE](?P<e>[+-]?[0-9]{{1,2}}))?(?=\Z|[^0-9.,/*^]|[.,]?\Z)")
_TIMES_TEN = re.compile(rf"\A(?P<whole>{_DECIMAL}) ?\* ?10 ?\^ ?(?:\{{(?P<a>-?[0-9]{{1,2}})\}}|(?P<b>-?[0-9]{{1,2}}))")
_FRACTION = re.compile(rf"\A(?:(?P<whole>[0-9]{{1,9}}) (?: ?))?(?P<over>{_DIGITS}) ?/ ?(?P<under>{_DIGITS})")
_LATEX = re.compile(r"\A(?P<whole>[0-9]{1,9})? ?\\frac ?\{ ?(?P<over>[0-9]+) ?\} ?\{ ?(?P<under>[0-9]+) ?\}")
_UNIT = re.compile(r"\A[A-Za-z][A-Za-z'/ ().-]*(?:\^ ?\{?[23]\}?)?[A-Za-z. ]*\Z")
_SPACES = re.compile(r"[\s\u00a0\u2009\u202f]+")
_AS = str.maketrans({"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "²": "^2", "³": "^3", "°": " "})
_WORDS = re.compile(rf"\b(?:{'|'.join((*SIMPLE, *SCALES))})\b", re.IGNORECASE)
_NUMERALS = re.compile(rf"(?<![0-9A-Za-z.]){_DECIMAL}")


@dataclass(frozen=True)
class Number:
    """A parsed number. `percent`: it has a percent sign or word, which is not applied to `value`."""

    value: Fraction
    percent: bool = False


def read_number(text: str) -> Number | None:
    """Parse a text that is one number with an optional unit. Returns None for anything else."""
    if len(text) > MOST_LETTERS:
        return None
    text = _SPACES.sub(" ", tidy(text)).strip()
    text = re.sub(r"\A([-+]?) ?(?:US)?[$€£¥] ?", r"\1", text)
    sign, body = (text[0], text[1:].lstrip()) if text[:1] in ("-", "+") else ("", text)
    found = _leading(body) or _worded(body)
    if found is None:
        return None
    value, rest = found
    rest = re.sub(r"\A-(?=[A-Za-z])", " ", rest).strip(" .,")
    scale = re.match(rf"({'|'.join(SCALES)})\b", rest, re.IGNORECASE)
    if scale:
        value, rest = value * SCALES[scale[1].lower()], rest[scale.end() :].strip()
    percent = re.match(r"(?:%|percent\b|per cent\b)", rest, re.IGNORECASE)
    if percent:
        rest = rest[percent.end() :].strip(" .")
    rest = re.sub(r"\A[€£¥$]\Z", "", rest)
    if rest and not _is_unit(rest):
        return None
    return Number(-value if sign == "-" else value, bool(percent))


def tidy(text: str) -> str:
    """Remove formatting from a short text: formula delimiters, bold, code marks and LaTeX spacing commands."""
    text = text.translate(_AS).strip().strip("`").strip()
    text = re.sub(r"\A(\*\*|__)(.*)\1\Z", r"\2", text, flags=re.DOTALL).strip()
    for left, right in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(left) and text.endswith(right) and len(text) >= len(left) + len(right):
            inner = text[len(left) : len(text) - len(right)]
            if left not in inner:
                text = inner.strip()
                break
    text = re.sub(r"\\(?:text|mathrm|textbf|mathbf|mbox) ?\{([^{}]*)\}", r" \1", text)
    text = re.sub(r"\\(?:left|right|,|!|;|:| )(?![A-Za-z])", "", text).replace("\\$", "$").replace("\\%", "%")
    text = re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", text).replace("\\cdot", "*").replace("\\times", "*")
    return text.replace("{,}", ",").replace("~", " ").strip()


def numbers_in(text: str, parts: bool = True) -> Iterator[Fraction]:
    """Yield every number in a text, written in digits or words. May repeat values.

    Percentages and fractions yield their digits: `3/4` yields 3 and 4.

    Args:
        text: the text.
        parts: for a number of several words (`twenty five`), yield each word's value in addition to the whole.
    """
    for found in _NUMERALS.finditer(text.translate(_AS)):
        value = _fraction(found[0])
        if value is not None:
            yield value
    row: list[str] = []
    last = None
    for found in _WORDS.finditer(text):
        between = text[last : found.start()] if last is not None else ""
        if row and not re.fullmatch(r"[\s-]*(?:and\s+)?", between):
            yield Fraction(_row_value(row))
            row = []
        row.append(found[0].lower())
        last = found.end()
        if parts:
            yield Fraction(SIMPLE.get(row[-1], SCALES.get(row[-1], 0)))
    if row:
        yield Fraction(_row_value(row))


def _fraction(digits: str) -> Fraction | None:
    plain = digits.replace(",", "")
    return Fraction(plain) if len(plain) <= MOST_DIGITS else None


def _leading(text: str) -> tuple[Fraction, str] | None:
    """The number in digits at the start of a text, and the rest of the text."""
    for form in (_LATEX, _FRACTION):
        found = form.match(text)
        if found:
            over, under = _fraction(found["over"]), _fraction(found["under"])
            if over is None or not under:
                return None
            value = over / under
            if found["whole"]:
                if value >= 1:
                    return None
                value += int(found["whole"])
            rest = text[found.end() :]
            return None if re.match(r"[0-9.,/*^]+[0-9]", rest) else (value, rest)
    for form in (_TIMES_TEN, _PLAIN):
        found = form.match(text)
        if found:
            whole = _fraction(found["whole"])
            if whole is None:
                return None
            power = found["e"] if form is _PLAIN else found["a"] or found["b"]
            return whole * Fraction(10) ** int(power or 0), text[found.end() :]
    return None


def _worded(text: str) -> tuple[Fraction, str] | None:
    """The value of the number words at the start of a text, and the rest of the text."""
    row, at = list[str](), 0
    for found in _WORDS.finditer(text):
        if not re.fullmatch(r"[\s-]*(?:and\s+)?" if row else r"", text[at : found.start()]):
            break
        row.append(found[0].lower())
        at = found.end()
    return (Fraction(_row_value(row)), text[at:]) if row else None


def _row_value(row: list[str]) -> int:
    """`two hundred five` is 205, `three dozen` 36, `two thousand five hundred` 2500."""
    total, part = 0, 0
    for word in row:
        if word in SIMPLE:
            part += SIMPLE[word]
        elif SCALES[word] <= 100:
            part = (part or 1) * SCALES[word]
        else:
            total, part = total + (part or 1) * SCALES[word], 0
    return total + part


def _is_unit(text: str) -> bool:
    words = re.findall(r"[A-Za-z]+", text)
    return bool(_UNIT.match(text)) and len(words) <= 5 and not any(w.lower() in NO_UNITS for w in words)
