"""Generate word problems from templates, together with their programs, and mutate any word problem.

A story starts with a quantity, changes it step by step, and asks for the final quantity. Objects, people, numbers and
steps are drawn. Every step consists of a sentence, a line of the program and its own arithmetic, so that the answer is
known without running the program (a test runs the programs and compares). All numbers are positive integers.

Left out: other sources of difficulty, such as implicit facts, backward reasoning and case distinctions.
"""

from __future__ import annotations

import random
import re

from curricula.word_steps import Scene, fill_text
from curricula.word_templates import KINDS

_PEOPLE = (
    "Nadia Tomas Amina Felix Ingrid Kofi Lena Marco Noor Oskar Priya Rafael Selma Tariq Uma Viktor Wanda Yusuf Zoe "
    "Bruno Chiara Dmitri Elif Fatou Goran Hana Ivan Jana Kamal Leila Mina Nils Olga Pavel Rosa Samir Tove Vera Wim Aiko"
)
PEOPLE = tuple(_PEOPLE.split())
_THINGS = (
    "marbles stamps pencils shells buttons postcards beads coins badges stickers "
    "tulips walnuts candles bricks tickets plums eggs muffins lanterns envelopes "
    "bottles tiles apples cards ribbons pebbles notebooks spoons"
)
THINGS = tuple(_THINGS.split())
PLACES = ("market", "library", "school", "harbour", "museum", "bakery", "farm", "garden", "workshop", "station")
LARGEST = 9000
SMALLEST = 3
SMALL_START = (3, 20)
"""Least and greatest first number of a story of depth 0."""


def story(rng: random.Random, depth: int) -> tuple[str, str, int]:
    """Draw a question, its program and its answer.

    Args:
        rng: source of the draws.
        depth: 0 to 5; sets the number of operations, and depth 0 small numbers. The depth of the resulting problem may
            differ.
    """
    while True:
        if depth == 0:
            told = _story(rng, 1, SMALL_START)
        else:
            told = _story(rng, {1: 1, 2: 2, 3: rng.choice((3, 4)), 4: rng.choice((5, 6)), 5: rng.choice((7, 8))}[depth])
        if told is not None:
            return told


def _story(rng: random.Random, operations: int, small: tuple[int, int] | None = None) -> tuple[str, str, int] | None:
    kind = rng.choice(KINDS)
    who, other = rng.sample(PEOPLE, 2)
    scene = Scene(who, other, rng.choice(THINGS), rng.choice(PLACES))
    start, least, greatest = rng.choice(kind.starts)
    value = rng.randint(*(small or (least, greatest)))
    sentences, lines = [fill_text(start, scene, n=value)], [f"{kind.name} = {value}"]
    used, last = 0, None
    for _ in range(40):
        if used >= operations:
            break
        maker = rng.choice([m for m in kind.steps if m is not last])
        step = maker(rng, scene, value)
        if step is None or not SMALLEST <= step.value <= LARGEST:
            continue
        count = len(re.findall(r" (?:\+|-|\*|//|%) ", step.code))
        if used + count > operations:
            continue
        sentences.append(step.text)
        lines.append(f"{kind.name} = {step.code.format(v=kind.name)}")
        value, used, last = step.value, used + count, maker
    if used != operations:
        return None
    sentences.append(fill_text(rng.choice(kind.asks), scene))
    body = "\n".join(f"    {line}" for line in [*lines, f"return {kind.name}"])
    return " ".join(sentences), f"def answer():\n{body}\n", value


def mutate(question: str, program: str, rng: random.Random) -> tuple[str, str]:
    """Mutate a problem: change a number in question and program, replace a person, or add a step. The result may not
    be a valid problem and must be parsed again."""
    shared_numbers = [n for n in dict.fromkeys(_digits(question)) if n in _digits(program)]
    people = [name for name in PEOPLE if re.search(rf"\b{name}\b", question)]
    ways = ["number"] * (2 if shared_numbers else 0) + ["step"] + ["person"] * bool(people)
    way = rng.choice(ways)
    if way == "number":
        old = rng.choice(shared_numbers)
        new = str(rng.choice([n for n in range(max(2, int(old) - 9), int(old) + 10) if n != int(old)]))
        return tuple(re.sub(rf"(?<![\w.,]){old}(?![\w]|[.,]\d)", new, text) for text in (question, program))  # type: ignore[return-value]
    if way == "person":
        new = rng.choice([name for name in PEOPLE if name not in people])
        return re.sub(rf"\b{rng.choice(people)}\b", new, question), program
    n = rng.randint(3, 19)
    word, sign = rng.choice((("times that number", "*"), ("more than that number", "+")))
    more = re.sub(r"return (.+)", lambda found: f"return ({found[1]}) {sign} {n}", program)
    return f"{question} Give {n} {word}.", more


def _digits(text: str) -> list[str]:
    return re.findall(r"(?<![\w.,])[1-9][0-9]{0,8}(?![\w]|[.,][0-9])", text)
