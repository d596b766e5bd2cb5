"""Parse numbers in free text: `3,000`, `-2.5`, `3/4`, `1 1/2`, `\\frac{3}{4}`, `12%`, `$5`, `5 apples`, `two dozen`.

A text is one number or none. Only ASCII digits count. A number may be followed by scale words (`million`, `fifths`,
`squared`), which are applied, and by a unit of `curricula.units`, which is kept and not converted. Any other text
beyond the number (`5 April`, `5 pm`, `5 or 6`, `2+3`, `12:30`, `x`, `(0, 1)`, `inf`) makes it no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from curricula.units import CURRENCIES, read_unit

MOST_DIGITS = 30
MOST_LETTERS = 80  # maximum length of a number with its unit
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "quadrillion": 10**15,
    "dozen": 12,
}  # fmt: skip
SIMPLE = {word: n for n, word in enumerate(_ONES.split())} | {
    word: 10 * (n + 2) for n, word in enumerate(_TENS.split())
}
_PARTS = ["third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"]
PARTS = {word: n for n, word in enumerate(_PARTS, start=3)} | {
    "half": 2, "fourth": 4, "hundredth": 100, "thousandth": 1000, "millionth": 10**6,
}  # fmt: skip
"""The words for a part, with its denominator."""
_PLURALS = {"halves": 2} | {f"{word}s": n for word, n in PARTS.items() if word != "half"}
_POWERS = {"squared": 2, "cubed": 3}

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.[0-9]+)?|\.[0-9]+)"
_SPACED = r"[1-9][0-9]{0,2}(?: [0-9]{3})+(?:\.[0-9]+)?(?! ?[0-9])"
_PLAIN = re.compile(rf"\A(?P<whole>{_SPACED}|{_DECIMAL})(?:[eE](?P<e>[+-]?[0-9]{{1,2}}))?(?=\Z|[^0-9.,/*^]|[.,]?\Z)")
_TIMES_TEN = re.compile(
    rf"\A(?:(?P<whole>{_DECIMAL}) ?\* ?)?10 ?\^ ?(?:\{{ ?(?P<a>-?[0-9]{{1,2}}) ?\}}|(?P<b>-?[0-9]{{1,2}}))(?![0-9])"
)
_FRACTION = re.compile(rf"\A(?:(?P<whole>[0-9]{{1,9}}) (?: ?))?(?P<over>{_DIGITS}) ?/ ?(?P<under>-?{_DIGITS})")
_ARGUMENT = rf"(?:\{{ ?(?P<{{0}}>[+-]?{_DIGITS}) ?\}}|(?P<{{0}}_digit>[0-9]))"
_LATEX = re.compile(
    rf"\A(?P<whole>[0-9]{{1,9}})? ?\\frac ?{_ARGUMENT.replace('{0}', 'over')} ?{_ARGUMENT.replace('{0}', 'under')}"
)
_SPACES = re.compile(r"[\s\u00a0\u2009\u202f]+")
_AS = str.maketrans(
    {"−": "-", "–": "-", "‑": "-", "‐": "-", "×": "*", "·": "*", "÷": "/", "²": "^2", "³": "^3", "⁄": "/"}
    | {chr(c): f" {n}" for c, n in zip(b"\xbc\xbd\xbe", ("1/4", "1/2", "3/4"), strict=True)}
    | {"⅓": " 1/3", "⅔": " 2/3", "⅕": " 1/5", "⅖": " 2/5", "⅗": " 3/5", "⅘": " 4/5", "⅙": " 1/6", "⅚": " 5/6"}
    | {"⅛": " 1/8", "⅜": " 3/8", "⅝": " 5/8", "⅞": " 7/8"}
)
_COUNT = rf"(?:an?|{'|'.join(w for w, n in SIMPLE.items() if 0 < n < 20)})"
_PART = rf"(?:{'|'.join((*_PLURALS, *PARTS))})"
_MIXED = re.compile(rf"\A(?P<left>[A-Za-z -]+|[0-9]{{1,9}}) and (?P<n>{_COUNT})[ -](?P<d>{_PART})\b", re.IGNORECASE)
_A_SCALE = re.compile(rf"\Aan? (?=(?:{'|'.join(SCALES)})\b)", re.IGNORECASE)
_A_PART = re.compile(rf"\A(?:half(?: an?(?= ))?|an? {_PART})\b", re.IGNORECASE)
_WORDS = re.compile(rf"\b(?:{'|'.join((*SIMPLE, *SCALES))})\b", re.IGNORECASE)
_NUMERALS = re.compile(rf"(?<![0-9A-Za-z.]){_DECIMAL}")


@dataclass(frozen=True)
class Number:
    """A parsed number.

    `percent`: it has a percent sign or word, which is not applied to `value`. `unit`: in the form of `read_unit`.
    `exact`: it was written without a decimal point.
    """

    value: Fraction
    percent: bool = False
    unit: str = ""
    exact: bool = True


def read_number(text: str) -> Number | None:
    """Parse a text that is one number with an optional unit. Returns None for anything else."""
    if len(text) > MOST_LETTERS:
        return None
    text = _SPACES.sub(" ", tidy(text)).strip()
    currency = re.match(r"\A([-+]?) ?(?:US)?([$€£¥]) ?", text)
    if currency:
        text = currency[1] + text[currency.end() :]
    sign, body = (text[0], text[1:].lstrip()) if text[:1] in ("-", "+") else ("", text)
    found = _mixed(body) or _leading(body) or _worded(body)
    if found is None:
        return None
    scaled = _scaled(*found)
    if scaled is None:
        return None
    value, rest = scaled
    percent = re.match(r"(?:%|percent\b|per cent\b)", rest, re.IGNORECASE)
    if percent:
        rest = rest[percent.end() :].strip(" .")
    unit = read_unit(rest)
    if currency and unit is not None:
        money = CURRENCIES[currency[2]]
        unit = f"{money} {unit}".strip() if not unit or unit.startswith("per ") else unit if unit == money else None
    if unit is None or unit.startswith("per "):
        return None
    exact = "." not in body[: len(body) - len(found[1])]
    return Number(-value if sign == "-" else value, bool(percent), unit, exact)


def _scaled(value: Fraction, rest: str) -> tuple[Fraction, str] | None:
    """Apply the scale words, parts and powers that follow a number; None if they do not fit it."""
    rest = re.sub(r"\A-(?=[A-Za-z])", " ", rest).strip(" .,")
    part = re.match(rf"{_PART}\b", rest, re.IGNORECASE)
    if part:
        word = part[0].lower()
        if (word in PARTS and value != 1) or value.denominator != 1 or "quarter" in word:
            return None
        value, rest = value / (PARTS.get(word) or _PLURALS[word]), rest[part.end() :].strip()
    for _ in range(3):
        scale = re.match(rf"({'|'.join(SCALES)})s?\b", rest, re.IGNORECASE)
        if scale is None:
            break
        value, rest = value * SCALES[scale[1].lower()], rest[scale.end() :].strip()
    power = re.fullmatch(r"(squared|cubed)[ .]*", rest, re.IGNORECASE)
    return (value ** _POWERS[power[1].lower()], "") if power else (value, rest)


def tidy(text: str) -> str:
    """Remove formatting from a short text: formula delimiters, bold, code marks and LaTeX spacing commands."""
    text = text.translate(_AS).strip().strip("`").strip()
    text = re.sub(r"\A(\*\*|__)(.*)\1\Z", r"\2", text, flags=re.DOTALL).strip()
    for left, right in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(left) and text.endswith(right) and len(text) >= len(left) + len(right):
            inner = text[len(left) : len(text) - len(right)]
            if left not in inner.replace("\\$", ""):
                text = inner.strip()
                break
    text = re.sub(r"\^ ?\{? ?\\circ(?![A-Za-z]) ?\}?|\\degree(?![A-Za-z])|°", " degrees ", text)
    text = re.sub(r"\\(?:text|mathrm|textbf|mathbf|mbox) ?\{([^{}]*)\}", r" \1", text)
    text = re.sub(r"\\(?:left|right|,|!|;|:| )(?![A-Za-z])", "", text).replace("\\$", "$").replace("\\%", "%")
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text).replace("\\cdot", "*").replace("\\times", "*")
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
    plain = digits.replace(",", "").replace(" ", "")
    return Fraction(plain) if len(plain) <= MOST_DIGITS else None


def _leading(text: str) -> tuple[Fraction, str] | None:
    """The number in digits at the start of a text, and the rest of the text."""
    for form in (_LATEX, _FRACTION):
        found = form.match(text)
        if found:
            groups = found.groupdict()
            over = _fraction(groups["over"] or groups["over_digit"])
            under = _fraction(groups["under"] or groups["under_digit"])
            if over is None or not under:
                return None
            value = over / under
            if found["whole"]:
                if not 0 <= value < 1:
                    return None
                value += int(found["whole"])
            rest = text[found.end() :]
            return None if re.match(r"[0-9]|[.,/*^]+[0-9]", rest) else (value, rest)
    for form in (_TIMES_TEN, _PLAIN):
        found = form.match(text)
        if found:
            whole = _fraction(found["whole"] or "1")
            if whole is None:
                return None
            power = found["e"] if form is _PLAIN else found["a"] or found["b"]
            return whole * Fraction(10) ** int(power or 0), text[found.end() :]
    return None


def _mixed(text: str) -> tuple[Fraction, str] | None:
    """The value of `2 and a half` or `two and two thirds` at the start of a text, and the rest of the text."""
    found = _MIXED.match(text)
    if not found:
        return None
    left = int(found["left"]) if found["left"].isdigit() else _spelled(found["left"].lower())
    count, word = SIMPLE.get(found["n"].lower(), 1), found["d"].lower()
    part = PARTS.get(word) or _PLURALS[word]
    if left is None or (word in PARTS) != (count == 1) or part <= count:
        return None
    return left + Fraction(count, part), text[found.end() :]


def _worded(text: str) -> tuple[Fraction, str] | None:
    """The value of the number words at the start of a text, and the rest of the text."""
    if found := _A_PART.match(text):
        word = re.split("[ -]", re.sub(r"\Aan? ", "", found[0].lower()))[0]
        return (Fraction(1, PARTS[word]), text[found.end() :]) if word in PARTS else None
    text = _A_SCALE.sub("one ", text)
    at = 0
    for found in _WORDS.finditer(text):
        if not re.fullmatch(r"[\s-]*(?:and\s+)?" if at else r"", text[at : found.start()]):
            break
        at = found.end()
    value = _spelled(text[:at].lower())
    if value is None:
        return None
    part = re.match(rf"[ -]{_PART}\b", text[at:], re.IGNORECASE)
    if part is None:
        return Fraction(value), text[at:]
    word, last = part[0][1:].lower(), re.split("[ -]", text[:at].lower())[-1]
    if SIMPLE.get(last, 20) >= 20 or (word in PARTS) != (value == 1):
        return None  # "twenty fifths" may be 20/5 or 1/25
    return Fraction(value, PARTS.get(word) or _PLURALS[word]), text[at + part.end() :]


def _spelled(text: str) -> int | None:
    """The value of lower-case number words; None unless they are one number, as `two three` is not."""
    total, part, last, largest = 0, 0, "", 10**18
    for word in re.split(r"[\s-]+", text.strip()):
        if word == "and":
            fits = last in SCALES
        elif word in SIMPLE:
            tens = SIMPLE.get(last, 0) >= 20 and 0 < SIMPLE[word] < 10
            fits = not last or tens or (last not in SIMPLE and last != "dozen" and SIMPLE[word] > 0)
            part += SIMPLE[word]
        elif word in ("hundred", "dozen"):
            fits = part < 100 and (part > 0 or not last)
            part = (part or 1) * SCALES[word]
        elif word in SCALES:
            fits = last not in ("and", "dozen") and (part > 0 or not last) and SCALES[word] < largest
            total, part, largest = total + (part or 1) * SCALES[word], 0, SCALES[word]
        else:
            return None
        if not fits:
            return None
        last = word
    return None if last == "and" else total + part


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
