"""The steps that stories of word problems are made of: each is a sentence, an expression and its own arithmetic."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What happens next: a sentence, the program's expression with `{v}` for the quantity so far, and its value."""

    text: str
    code: str
    value: int


Maker = Callable[[random.Random, "Scene", int], Step | None]


@dataclass(frozen=True)
class Scene:
    """Who and what a story is about."""

    who: str
    other: str
    thing: str
    place: str


@dataclass(frozen=True)
class Kind:
    """A sort of story. Texts are formats over the fields of its scene and `n`, `m` for numbers."""

    name: str  # of the program's variable
    starts: tuple[tuple[str, int, int], ...]  # with least and greatest number
    asks: tuple[str, ...]
    steps: tuple[Maker, ...]


def worded(text: str, scene: Scene, **numbers: int) -> str:
    return text.format(who=scene.who, other=scene.other, thing=scene.thing, place=scene.place, **numbers)


def plus(low: int, high: int, *texts: str) -> Maker:
    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n = rng.randint(low, high)
        return Step(worded(rng.choice(texts), scene, n=n), f"{{v}} + {n}", value + n)

    return make


def minus(low: int, high: int, *texts: str) -> Maker:
    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n = rng.randint(low, high)
        return Step(worded(rng.choice(texts), scene, n=n), f"{{v}} - {n}", value - n) if n < value else None

    return make


def times(low: int, high: int, *texts: str) -> Maker:
    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n = rng.randint(low, high)
        return Step(worded(rng.choice(texts), scene, n=n), f"{{v}} * {n}", value * n)

    return make


def shared(low: int, high: int, *texts: str) -> Maker:
    """Into `n` equal parts, one of which goes on."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        fits = [n for n in range(low, high + 1) if value % n == 0]
        if not fits:
            return None
        n = rng.choice(fits)
        return Step(worded(rng.choice(texts), scene, n=n), f"{{v}} // {n}", value // n)

    return make


def left_over(low: int, high: int, *texts: str) -> Maker:
    """What does not fill another `n`."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n = rng.randint(low, high)
        return Step(worded(rng.choice(texts), scene, n=n), f"{{v}} % {n}", value % n)

    return make


def packs(low: int, high: int, size: int, *texts: str) -> Maker:
    """`n` packs of `m` more."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n, m = rng.randint(low, high), rng.randint(low, size)
        return Step(worded(rng.choice(texts), scene, n=n, m=m), f"{{v}} + {n} * {m}", value + n * m)

    return make


def spent(low: int, high: int, size: int, *texts: str) -> Maker:
    """`n` times `m` less."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n, m = rng.randint(low, high), rng.randint(low, size)
        if n * m >= value:
            return None
        return Step(worded(rng.choice(texts), scene, n=n, m=m), f"{{v}} - {n} * {m}", value - n * m)

    return make


def percent(sign: int, *texts: str) -> Maker:
    """`n` percent more or less."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        fits = [n for n in range(5, 96, 5) if value * n % 100 == 0]
        if not fits:
            return None
        n = rng.choice(fits)
        code = f"{{v}} {'+' if sign > 0 else '-'} {{v}} * {n} // 100"
        return Step(worded(rng.choice(texts), scene, n=n), code, value + sign * (value * n // 100))

    return make
