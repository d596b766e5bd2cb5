"""List programs over short lists of digits: a domain with a real interpreter.

A problem is a program of 1 to 12 primitives and an input list, `rev inc | 3 1 4`. A solver writes one step per
primitive and then the answer, `rev 4 1 3 ; inc 5 2 4 answer 5 2 4`; every step is checked by running it. All text is
word-level, one token a word. Primitives are total functions: lists have 1 to 6 digits, arithmetic is modulo 10.

Held-out sets are frozen (a test pins their digest): 100 dev and 100 sealed test problems a depth. From depth 3 on a
held-out program is held out with every input; below that, where programs are few, with that input only.
Not guaranteed: that a program has no shorter equal (about a third of the deep ones do); `behaviour_key` tells.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence

from curricula.domain import SPLITS, Problem, Rejection, Verdict, digest

MAX_DEPTH = 12
MAX_LIST = 6
HELDOUT_PER_DEPTH = 100
HELDOUT_BY_PROGRAM_FROM = 3
DEPTHS = tuple(range(1, 9))

List = tuple[int, ...]


def _cum(xs: List) -> List:
    total, out = 0, []
    for x in xs:
        total = (total + x) % 10
        out.append(total)
    return tuple(out)


PRIMITIVES: dict[str, Callable[[List], List]] = {
    "rev": lambda xs: xs[::-1],
    "sort": lambda xs: tuple(sorted(xs)),
    "inc": lambda xs: tuple((x + 1) % 10 for x in xs),
    "dec": lambda xs: tuple((x - 1) % 10 for x in xs),
    "dbl": lambda xs: tuple(2 * x % 10 for x in xs),
    "neg": lambda xs: tuple(-x % 10 for x in xs),
    "tail": lambda xs: xs[1:] or xs,  # without the first; a single element stays
    "init": lambda xs: xs[:-1] or xs,  # without the last; a single element stays
    "rot": lambda xs: xs[1:] + xs[:1],  # the first goes to the end
    "swap": lambda xs: xs[1::-1] + xs[2:] if len(xs) > 1 else xs,  # the first two change places
    "cum": _cum,  # running sums
    "dup": lambda xs: (xs[:1] + xs)[:MAX_LIST],  # the first twice
}
NAMES = tuple(PRIMITIVES)

# Fixed probe inputs for behaviour keys: equal keys mean equal outputs on all of these.
PROBES: tuple[List, ...] = (
    (3, 1, 4), (2, 7), (5,), (9, 0, 8, 6), (1, 2, 3, 4, 5), (6, 6, 1, 0, 2), (7, 3, 9, 2, 8, 5),
    (0, 4, 4, 7), (8, 1, 5), (2, 0, 9, 9, 3, 6), (4, 8, 0, 3, 1), (5, 9, 7, 1),
)  # fmt: skip


def run(program: Sequence[str], xs: List) -> list[List]:
    """The list after each step of `program` on `xs`; empty for an empty program."""
    out = []
    for name in program:
        xs = PRIMITIVES[name](xs)
        out.append(xs)
    return out


def show(xs: Sequence[int]) -> str:
    return " ".join(map(str, xs))


def parse_digits(words: Sequence[str]) -> List | None:
    """A list of 1 to 6 single ASCII digits, or None."""
    if not 1 <= len(words) <= MAX_LIST or not all(len(w) == 1 and w in "0123456789" for w in words):
        return None
    return tuple(map(int, words))


@functools.lru_cache(maxsize=65536)
def behaviour_key(program: tuple[str, ...]) -> str:
    """Digest of the program's outputs on the probe inputs."""
    return digest(" | ".join(show(run(program, p)[-1]) if program else show(p) for p in PROBES))


IDENTITY = behaviour_key(())


def make_problem(words: Sequence[str], xs: List, expand: dict[str, tuple[str, ...]], domain: str) -> Problem:
    """Build a problem from program words (primitives, or names that `expand` maps to primitives) and an input."""
    program = tuple(p for w in words for p in expand.get(w, (w,)))
    text = f"{' '.join(words)} | {show(xs)}"
    key = " ".join(words) if len(program) >= HELDOUT_BY_PROGRAM_FROM else text
    names = tuple(dict.fromkeys(w for w in words if w in expand))
    return Problem(
        domain, text, len(program), show(run(program, xs)[-1]), digest(text), digest(key), behaviour_key(program), names
    )


def split_problem(text: str) -> tuple[list[str], List] | Rejection:
    """Program words and input of a problem text, or why it has none. Words are not looked up here."""
    head, bar, rest = text.partition("|")
    words, xs = head.split(), parse_digits(rest.split())
    if not bar or not words or xs is None:
        return Rejection("malformed", f"expected 'program | digits', got {text[:60]!r}")
    return words, xs


def verify_trace(program: Sequence[str], xs: List, text: str) -> Verdict:
    """Check a solution text step by step against `program` run on `xs`."""
    expected = run(program, xs)
    body, said, tail = text.partition(" answer ")
    answer = parse_digits(tail.split()) if said else None
    right = answer is not None and answer == expected[-1]
    shown = show(answer) if answer is not None else None
    if answer is None:
        reason = "no answer" if not said else "answer is not a list of digits"
        return Verdict(False, False, reason, None, None)
    steps = [s.split() for s in body.split(" ; ")]
    for i, (name, want) in enumerate(zip(program, expected, strict=True), start=1):
        if i > len(steps):
            return Verdict(False, right, "step missing", i, shown)
        step = steps[i - 1]
        if not step or step[0] != name:
            return Verdict(False, right, "step names the wrong operation", i, shown)
        if parse_digits(step[1:]) != want:
            return Verdict(False, right, "step has the wrong value", i, shown)
    if len(steps) > len(program):
        return Verdict(False, right, "step too many", len(program) + 1, shown)
    return Verdict(right, right, "ok" if right else "answer differs from the last step", None, shown)


class ListPrograms:
    """Deduction: a program and an input are given, the output is asked for, with every step shown."""

    name = "list_programs"
    depths = DEPTHS
    reasons = ("malformed", "too long", "unknown name", "no-op", "held-out")

    def __init__(self) -> None:
        self._heldout_keys = frozenset(
            p.heldout_key for split in SPLITS for depth in range(1, MAX_DEPTH + 1) for p in self.heldout(split, depth)
        )

    def propose_prompt(self, parent: str | None) -> str:
        return f"propose {parent.partition('|')[0].strip()} ->" if parent else "propose"

    def parse_proposal(self, text: str) -> Problem | Rejection:
        parts = split_problem(text)
        if isinstance(parts, Rejection):
            return parts
        words, xs = parts
        if len(words) > MAX_DEPTH:
            return Rejection("too long", f"{len(words)} primitives, at most {MAX_DEPTH}")
        for word in words:
            if word not in PRIMITIVES:
                return Rejection("unknown name", word)
        problem = make_problem(words, xs, {}, self.name)
        if problem.behaviour_key == IDENTITY or problem.answer == show(xs):
            return Rejection("no-op", problem.text)
        if self.is_heldout(problem):
            return Rejection("held-out", problem.text)
        return problem

    def problem(self, text: str) -> Problem:
        parts = split_problem(text)
        if isinstance(parts, Rejection):
            raise ValueError(f"not a {self.name} problem: {parts.detail}")
        for word in parts[0]:
            if word not in PRIMITIVES:
                raise ValueError(f"unknown primitive {word!r} in {text!r}")
        return make_problem(parts[0], parts[1], {}, self.name)

    def solve_prompt(self, problem: Problem, notes: Sequence[str]) -> str:
        return solve_prompt(problem.text, notes)

    def solution(self, problem: Problem) -> str:
        words, xs = split_problem(problem.text)  # type: ignore[misc]
        return solution(words, xs)

    def verify(self, problem: Problem, text: str) -> Verdict:
        words, xs = split_problem(problem.text)  # type: ignore[misc]
        return verify_trace(words, xs, text)

    def features(self, problem: Problem) -> dict[str, float]:
        return features(problem.text.partition("|")[0].split(), problem)

    def heldout(self, split: str, depth: int) -> Sequence[Problem]:
        return _heldout(split, depth)

    def is_heldout(self, problem: Problem) -> bool:
        return problem.heldout_key in self._heldout_keys

    def random_problem(self, rng: random.Random, depth: int | None = None) -> Problem:
        while True:
            words = random_program(rng, depth or rng.randint(1, 8))
            found = self.parse_proposal(f"{' '.join(words)} | {show(random_list(rng))}")
            if isinstance(found, Problem):
                return found

    def mutate(self, parent: str, rng: random.Random) -> str:
        return mutate(parent, rng)


def solve_prompt(text: str, notes: Sequence[str]) -> str:
    # a name stands right before its body, as in a solver's recall: "w7 rev inc" is copied where "w7 = rev inc" is not
    lib = f"lib {' , '.join(n.replace(' = ', ' ') for n in notes)} ; " if notes else ""
    return f"{lib}solve {text} think"


def solution(program: Sequence[str], xs: List) -> str:
    steps = run(program, xs)
    shown = " ; ".join(f"{name} {show(s)}" for name, s in zip(program, steps, strict=True))
    return f"{shown} answer {show(steps[-1])}"


def features(program: Sequence[str], problem: Problem) -> dict[str, float]:
    return {
        "depth": float(problem.depth),
        "input_length": float(len(problem.text.partition("|")[2].split())),
        "distinct_primitives": float(len(set(program))),
        "reordering": float(sum(w in ("sort", "rot", "swap", "rev") for w in program)),
        "arithmetic": float(sum(w in ("cum", "dbl", "neg", "inc", "dec") for w in program)),
    }


def random_program(rng: random.Random, depth: int) -> list[str]:
    return [rng.choice(NAMES) for _ in range(depth)]


def random_list(rng: random.Random) -> List:
    return tuple(rng.randrange(10) for _ in range(rng.randint(2, 5)))


def mutate(parent: str, rng: random.Random) -> str:
    """Insert one random primitive at a random place of the parent's program; draw a new input."""
    words = parent.partition("|")[0].split()
    words.insert(rng.randint(0, len(words)), rng.choice(NAMES))
    return f"{' '.join(words)} | {show(random_list(rng))}"


@functools.cache
def _heldout(split: str, depth: int) -> tuple[Problem, ...]:
    """Dev and test are cut from one list, so that they share no held-out key."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    if not 1 <= depth <= MAX_DEPTH:
        raise ValueError(f"depth must be 1 to {MAX_DEPTH}, got {depth}")
    rng = random.Random(f"ratchet/list_programs/heldout/{depth}")
    found: dict[str, Problem] = {}
    while len(found) < 2 * HELDOUT_PER_DEPTH:
        xs = tuple(rng.randrange(10) for _ in range(rng.randint(3, 5)))
        problem = make_problem(random_program(rng, depth), xs, {}, ListPrograms.name)
        if problem.behaviour_key != IDENTITY and problem.answer != show(xs):
            found.setdefault(problem.heldout_key, problem)
    problems = tuple(found.values())
    return problems[:HELDOUT_PER_DEPTH] if split == "dev" else problems[HELDOUT_PER_DEPTH:]
