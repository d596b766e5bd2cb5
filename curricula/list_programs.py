"""The domain `list_programs`: programs of primitives over short lists of digits, checked by an interpreter.

A problem is a program of 1 to 12 primitives and an input list, such as `rev inc | 3 1 4`. A solver writes one step per
primitive and then the answer, `rev 4 1 3 ; inc 5 2 4 answer 5 2 4`. Every step is checked by execution. All text is
word-level, one token per word. Primitives are total functions: lists have 1 to 6 digits, arithmetic is modulo 10.

Held-out sets are frozen (a test pins their digest): 100 dev and 100 sealed test problems per depth. From depth 3 on, a
held-out program is held out with every input; at depths 1 and 2, which have few programs, only with that input.
Lessons and failures are checked here too, for all domains whose programs consist of these primitives.

Not guaranteed: that a program has no shorter equivalent (about a third of the deep ones have one). `behaviour_key`
detects it.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable, Collection, Sequence

from curricula import list_prose, post_forms
from curricula.domain import SPLITS, Problem, Rejection, Span, Verdict, digest
from curricula.post_forms import FAILS, NOTHING, QUESTION, Bodies, Draft

MAX_DEPTH = 12
MAX_LIST = 6
HELDOUT_PER_DEPTH = 100
HELDOUT_BY_PROGRAM_FROM = 3
DEPTHS = tuple(range(1, 9))
RULES = list_prose.rules(MAX_LIST)

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
    "tail": lambda xs: xs[1:] or xs,  # drop the first element; a single element stays
    "init": lambda xs: xs[:-1] or xs,  # drop the last element; a single element stays
    "rot": lambda xs: xs[1:] + xs[:1],  # move the first element to the end
    "swap": lambda xs: xs[1::-1] + xs[2:] if len(xs) > 1 else xs,  # exchange the first two elements
    "cum": _cum,  # running sums
    "dup": lambda xs: (xs[:1] + xs)[:MAX_LIST],  # repeat the first element
}
NAMES = tuple(PRIMITIVES)

# Probe inputs of behaviour keys: equal keys mean equal outputs on all of them.
PROBES: tuple[List, ...] = (
    (3, 1, 4), (2, 7), (5,), (9, 0, 8, 6), (1, 2, 3, 4, 5), (6, 6, 1, 0, 2), (7, 3, 9, 2, 8, 5),
    (0, 4, 4, 7), (8, 1, 5), (2, 0, 9, 9, 3, 6), (4, 8, 0, 3, 1), (5, 9, 7, 1),
)  # fmt: skip


def run(program: Sequence[str], xs: List) -> list[List]:
    """Run a program. Returns the list after each step; empty for an empty program."""
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

# Lessons are checked on the probes, all lists of one and two digits, and this many random longer lists.
LESSON_LISTS = 100


@functools.cache
def lesson_checks() -> tuple[List, ...]:
    rng = random.Random("ratchet/list_programs/lessons")
    longer = [tuple(rng.randrange(10) for _ in range(rng.randint(3, MAX_LIST))) for _ in range(LESSON_LISTS)]
    short = [xs for n in (1, 2) for xs in itertools.product(range(10), repeat=n)]
    return (*PROBES, *short, *longer)


def last(program: Sequence[str], xs: List) -> List:
    """The output of a program, which may be empty, for the list `xs`."""
    for name in program:
        xs = PRIMITIVES[name](xs)
    return xs


@functools.lru_cache(maxsize=65536)
def differs_on(left: tuple[str, ...], right: tuple[str, ...]) -> List | None:
    """The first check input of lessons on which two programs differ; None if they agree on all."""
    return next((xs for xs in lesson_checks() if last(left, xs) != last(right, xs)), None)


def make_problem(words: Sequence[str], xs: List, expand: dict[str, tuple[str, ...]], domain: str) -> Problem:
    """Build a problem.

    Args:
        words: the program; primitives, or names that `expand` maps to primitives.
        xs: the input list.
        expand: bodies in primitives by name.
        domain: name of the domain that the problem belongs to.
    """
    program = tuple(p for w in words for p in expand.get(w, (w,)))
    text = f"{' '.join(words)} | {show(xs)}"
    key = " ".join(words) if len(program) >= HELDOUT_BY_PROGRAM_FROM else text
    names = tuple(dict.fromkeys(w for w in words if w in expand))
    return Problem(
        domain, text, len(program), show(run(program, xs)[-1]), digest(text), digest(key), behaviour_key(program), names
    )


def split_problem(text: str) -> tuple[list[str], List] | Rejection:
    """Split a problem text into program words and input list. Words are not looked up."""
    head, bar, rest = text.partition("|")
    words, xs = head.split(), parse_digits(rest.split())
    if not bar or not words or xs is None:
        return Rejection("malformed", f"expected 'program | digits', got {text[:60]!r}")
    return words, xs


def verify_trace(program: Sequence[str], xs: List, text: str) -> Verdict:
    """Check a solution text step by step against running `program` on `xs`. Total: any text gets a verdict."""
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


def credit_trace(program: Sequence[str], xs: List, text: str, at: int = 0) -> list[Span]:
    """Judge each step of a solution text, and its answer, against running `program` on `xs`. The text begins at
    character `at` of the attempt. A separator belongs to the step before it; that before a step too many belongs to
    that step, since going on is the mistake."""
    expected, found, right = run(program, xs), list[Span](), True
    body, said, tail = text.partition(" answer ")
    steps = body.split(" ; ")
    for i, step in enumerate(steps):
        words, start = step.split(), at
        extra, more_due = i >= len(program), i + 1 < min(len(steps), len(program))
        at += len(step) + len(" ; ") * (extra + more_due)
        good = i < len(program) and words[:1] == [program[i]] and parse_digits(words[1:]) == expected[i]
        found.append(Span(start, at, good if right else None))
        right = right and good
    if said:
        good = len(steps) == len(program) and parse_digits(tail.split()) == expected[-1]
        found.append(Span(at, at + len(said) + len(tail), good if right else None))
    return found


class ListPrograms:
    """Deduction: given a program and an input, write every step and the output."""

    name = "list_programs"
    depths = DEPTHS
    deeper = tuple(range(DEPTHS[-1] + 1, MAX_DEPTH + 1))
    mark = ";"
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
                raise ValueError(f"unknown primitive {word[:60]!r} in {text[:200]!r}")
        return make_problem(parts[0], parts[1], {}, self.name)

    def solve_prompt(self, problem: Problem, notes: Sequence[str]) -> str:
        return solve_prompt(problem.text, notes)

    def setting(self, parent: str | None) -> str:
        return list_prose.setting(RULES, MAX_DEPTH, parent, names=False)

    def asking(self, problem: Problem) -> str:
        return list_prose.asking(RULES, problem)

    def short_setting(self, parent: str | None) -> str:
        return list_prose.short_setting(parent)

    def short_asking(self, problem: Problem) -> str:
        return list_prose.short_asking(problem)

    def solution(self, problem: Problem) -> str:
        words, xs = split_problem(problem.text)  # type: ignore[misc]
        return solution(words, xs)

    def verify(self, problem: Problem, text: str) -> Verdict:
        words, xs = split_problem(problem.text)  # type: ignore[misc]
        return verify_trace(words, xs, text)

    def credit(self, problem: Problem, text: str) -> list[Span]:
        words, xs = split_problem(problem.text)  # type: ignore[misc]
        return credit_trace(words, xs, text)

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

    # -- posts ---------------------------------------------------------------------------------------------------

    def check_definition(self, text: str, known: Bodies | None = None) -> str | None:
        return f"{self.name} has no names to define"

    def check_book(self, title: str, body: str) -> str | None:
        return f"{self.name} has no names to write a book of"

    def lesson_from(self, program: str, other: str | None = None) -> str | None:
        left = tuple(program.partition("|")[0].split())
        right = tuple((other or "").partition("|")[0].split())
        if not set(left + right) <= set(NAMES) or max(len(left), len(right)) > MAX_DEPTH:
            return None
        left, right = sorted((left, right), key=len, reverse=True)
        if len(left) == len(right) or differs_on(left, right) is not None:
            return None
        text = lesson(*shortest(left, right))
        return None if self.check_lesson(text) else text

    def check_lesson(self, body: str) -> str | None:
        sides = [tuple(s.split()) for s in body.split(" = ")]
        if len(sides) != 2 or not post_forms.plain(body):
            return f"not a lesson: expected 'program = shorter program' or '= {NOTHING}', got {body[:60]!r}"
        left, right = sides[0], () if sides[1] == (NOTHING,) else sides[1]
        for word in left + right:
            if word not in PRIMITIVES:
                return f"unknown word in a lesson: {word[:60]!r}"
        if len(left) <= len(right):
            return f"left side has {len(left)} primitives, right side {len(right)}: the left must be longer"
        if len(left) > MAX_DEPTH:
            return f"left side has {len(left)} primitives, at most {MAX_DEPTH}"
        for side in (left, right):
            # six digits, longer than any held-out input, so that programs held out by input are accepted
            if side and self.is_heldout(make_problem(side, (3, 1, 4, 1, 5, 9), {}, self.name)):
                return f"held-out program: {' '.join(side)}"
        xs = differs_on(left, right)
        return None if xs is None else f"not true: the sides differ on {show(xs)}"

    def failure_from_attempt(self, problem: Problem, verdict: Verdict, text: str) -> Draft | None:
        words, xs = split_problem(problem.text)  # type: ignore[misc]
        clause = None if verdict.correct else describe_error(words, xs, text)
        if clause is None:
            return None
        draft = problem.text, f"{problem.text}{FAILS} {clause}"
        return None if self.check_failure(*draft) else draft

    def check_failure(self, title: str, body: str) -> str | None:
        text, fails, clause = body.partition(FAILS)
        if not fails or not post_forms.plain(body):
            return f"not a failure: expected 'problem fails step because text', got {body[:60]!r}"
        if title != text:
            return f"title {title[:60]!r} is not what fails: {text[:60]!r}"
        try:
            problem = self.problem(text)
        except ValueError as error:
            return str(error)
        if problem.text != text:
            return f"write the problem as {problem.text[:60]!r}"
        if problem.depth > MAX_DEPTH:
            return f"{problem.depth} primitives, at most {MAX_DEPTH}"
        if self.is_heldout(problem):
            return "held-out problem"
        words, xs = split_problem(text)  # type: ignore[misc]
        return check_error(words, xs, clause.split())

    def question_about(self, about: str) -> Draft:
        return about, f"{QUESTION} {about}"

    def check_question(self, title: str, body: str, known: Collection[str] = ()) -> str | None:
        asked = body.removeprefix(f"{QUESTION} ")
        if asked == body or not post_forms.plain(body):
            return f"not a question: expected '{QUESTION} problem', got {body[:60]!r}"
        if title != asked:
            return f"title {title[:60]!r} is not what is asked: {asked[:60]!r}"
        return post_forms.check_open(self.parse_proposal(asked), asked)

    def check_post(self, kind: str, title: str, body: str, about: str = "", known: Bodies | None = None) -> str | None:
        return post_forms.check_post(self, kind, title, body, about, known)


def solve_prompt(text: str, notes: Sequence[str]) -> str:
    # written as in a solver's recall: models copy "w7 rev inc", but not "w7 = rev inc"
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
    """Insert one random primitive at a random position of the parent's program and draw a new input."""
    words = parent.partition("|")[0].split()
    words.insert(rng.randint(0, len(words)), rng.choice(NAMES))
    return f"{' '.join(words)} | {show(random_list(rng))}"


def lesson(left: Sequence[str], right: Sequence[str]) -> str:
    return f"{' '.join(left)} = {' '.join(right) or NOTHING}"


def shortest(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Strip the common prefix and suffix from two equivalent programs while the remainders stay equivalent.

    If nothing of `right` remains, `left` does nothing; then the first of its shortest parts that do nothing.
    """
    for front in (True, False):
        while left and right and (left[0] == right[0] if front else left[-1] == right[-1]):
            a, b = (left[1:], right[1:]) if front else (left[:-1], right[:-1])
            if differs_on(a, b) is not None:
                break
            left, right = a, b
    if right:
        return left, right
    stretches = (left[i : i + n] for n in range(1, len(left) + 1) for i in range(len(left) - n + 1))
    return next(s for s in stretches if differs_on(s, ()) is None), ()


def describe_error(program: Sequence[str], xs: List, text: str) -> str | None:
    """Describe the first error of a solution: `2 because init 2 2 2` for a step, `because answer 2 2` for an answer.

    The digits of the step's number are separated by spaces. None if the text is correct, or if the text at the wrong
    step is neither empty nor a primitive with a list.
    """
    verdict = verify_trace(program, xs, text)
    if verdict.step is None:
        wrong = verdict.answer is not None and not verdict.correct
        return f"because answer {verdict.answer}" if wrong else None
    steps = text.partition(" answer ")[0].split(" ; ")
    said = steps[verdict.step - 1].split() if verdict.step <= len(steps) else [NOTHING]
    if said != [NOTHING] and (said[:1] == [] or said[0] not in PRIMITIVES or parse_digits(said[1:]) is None):
        return None
    return f"{' '.join(str(verdict.step))} because {' '.join(said)}"


def check_error(program: Sequence[str], xs: List, clause: Sequence[str]) -> str | None:
    """Check a description of the form of `describe_error`. Returns None if it is true, else the reason."""
    expected = run(program, xs)
    at = list(clause).index("because") if "because" in clause else len(clause)
    number, said = clause[:at], clause[at + 1 :]
    if not said or len(number) > 2 or not all(len(w) == 1 and w in "0123456789" for w in number):
        return f"expected 'fails step because text', got {' '.join(clause)[:60]!r}"
    if not number:
        answer = parse_digits(said[1:]) if said[0] == "answer" else None
        if answer is None:
            return f"expected 'because answer digits', got {' '.join(said)[:60]!r}"
        return "does not fail: that is the answer" if answer == expected[-1] else None
    step = int("".join(number))
    if str(step) != "".join(number):
        return f"the step's number begins with 0: {' '.join(number)}"
    if not 1 <= step <= len(expected) + 1:
        return f"there is no step {step}: the program has {len(expected)}"
    if list(said) == [NOTHING]:
        return None if step <= len(expected) else f"does not fail: there is nothing to do in step {step}"
    value = parse_digits(said[1:])
    if said[0] not in PRIMITIVES or value is None:
        return f"step {step} is neither a primitive with a list nor {NOTHING!r}: {' '.join(said)[:60]!r}"
    if step <= len(expected) and (said[0], value) == (program[step - 1], expected[step - 1]):
        return f"does not fail: step {step} is {' '.join(said)}"
    return None


@functools.cache
def _heldout(split: str, depth: int) -> tuple[Problem, ...]:
    """Dev and test are slices of one list, so that they have no held-out key in common."""
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
