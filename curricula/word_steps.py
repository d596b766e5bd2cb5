"""Steps of the stories of word problems: a sentence, an expression, and the resulting value."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step: a sentence, an expression with `{v}` for the quantity before the step, and the value after it."""

    text: str
    code: str
    value: int


Maker = Callable[[random.Random, "Scene", int], Step | None]


@dataclass(frozen=True)
class Scene:
    """The people, objects and place of a story."""

    who: str
    other: str
    thing: str
    place: str


@dataclass(frozen=True)
class Kind:
    """A kind of story. Texts are format strings over the fields of `Scene` and the numbers `n` and `m`."""

    name: str  # name of the variable in the program
    starts: tuple[tuple[str, int, int], ...]  # text, minimum and maximum number
    asks: tuple[str, ...]
    steps: tuple[Maker, ...]


def fill_text(text: str, scene: Scene, **numbers: int) -> str:
    return text.format(who=scene.who, other=scene.other, thing=scene.thing, place=scene.place, **numbers)


def plus(low: int, high: int, *texts: str) -> Maker:
    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n = rng.randint(low, high)
        return Step(fill_text(rng.choice(texts), scene, n=n), f"{{v}} + {n}", value + n)

    return make


def minus(low: int, high: int, *texts: str) -> Maker:
    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n = rng.randint(low, high)
        return Step(fill_text(rng.choice(texts), scene, n=n), f"{{v}} - {n}", value - n) if n < value else None

    return make


def times(low: int, high: int, *texts: str) -> Maker:
    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n = rng.randint(low, high)
        return Step(fill_text(rng.choice(texts), scene, n=n), f"{{v}} * {n}", value * n)

    return make


def shared(low: int, high: int, *texts: str) -> Maker:
    """Divide into `n` equal parts and keep one."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        fits = [n for n in range(low, high + 1) if value % n == 0]
        if not fits:
            return None
        n = rng.choice(fits)
        return Step(fill_text(rng.choice(texts), scene, n=n), f"{{v}} // {n}", value // n)

    return make


def left_over(low: int, high: int, *texts: str) -> Maker:
    """Keep the remainder of a division by `n`."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n = rng.randint(low, high)
        return Step(fill_text(rng.choice(texts), scene, n=n), f"{{v}} % {n}", value % n)

    return make


def packs(low: int, high: int, size: int, *texts: str) -> Maker:
    """Add `n` times `m`."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n, m = rng.randint(low, high), rng.randint(low, size)
        return Step(fill_text(rng.choice(texts), scene, n=n, m=m), f"{{v}} + {n} * {m}", value + n * m)

    return make


def spent(low: int, high: int, size: int, *texts: str) -> Maker:
    """Subtract `n` times `m`."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        n, m = rng.randint(low, high), rng.randint(low, size)
        if n * m >= value:
            return None
        return Step(fill_text(rng.choice(texts), scene, n=n, m=m), f"{{v}} - {n} * {m}", value - n * m)

    return make


def percent(sign: int, *texts: str) -> Maker:
    """Add (sign 1) or subtract (sign -1) `n` percent."""

    def make(rng: random.Random, scene: Scene, value: int) -> Step | None:
        fits = [n for n in range(5, 96, 5) if value * n % 100 == 0]
        if not fits:
            return None
        n = rng.choice(fits)
        code = f"{{v}} {'+' if sign > 0 else '-'} {{v}} * {n} // 100"
        return Step(fill_text(rng.choice(texts), scene, n=n), code, value + sign * (value * n // 100))

    return make
