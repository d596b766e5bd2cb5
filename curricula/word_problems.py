"""The domain `word_problems`: a question in prose, and a program that computes its answer.

The text of a problem is the question on one line, a line `---`, and a function `answer()`. Solvers see only the
question and reply in prose; their final answer is compared with the program's result by value (`curricula/answers.py`).
The program runs twice in the sandbox and returns a number, a fraction as text, a few words, or a list of numbers.

Execution cannot verify that the program computes what the question asks. Three checks reduce such errors: the program
may only use numbers of the question (`word_question.foreign_numbers`), the question may not contain the answer, and
`doubt` evaluates the answers of solvers and graders (see there for its errors).

Held-out problems come from templates (`curricula/word_data.py`). They are identified by their numbers and answer, in
any order and wording, so that rewording does not reveal one. Unrelated problems with the same numbers and the same
answer are rejected too.
"""

from __future__ import annotations

import functools
import math
import random
import re
import textwrap
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from curricula import word_data, word_program, word_question, word_request
from curricula.answers import right_side, same_answer, same_value
from curricula.domain import SPLITS, Judged, Problem, Rejection, Span, Verdict, digest, lines_of, quoted
from curricula.final_answer import final_answers
from curricula.plain_numbers import numbers_in, read_number
from curricula.sandbox import REASONS as RUN_REASONS
from curricula.sandbox import Limits
from curricula.sandboxes import make_sandbox
from curricula.word_program import FUNCTION, Program, read_program
from curricula.word_question import (
    foreign_numbers,
    format_number,
    key_numbers,
    read_question,
    reused_number,
    reveals_answer,
)
from curricula.word_solution import worked_solution
from curricula.word_working import equations, follows, is_sound, with_true_results, wrong_step

DEPTHS = (0, 1, 2, 3, 4, 5)
LEVELS = (1, 2, 4, 6)  # maximum effort of depths 1 to 4
SMALL = 20  # largest number of depth 0
HELDOUT_PER_DEPTH = 40
LONGEST = 2000
LARGEST = 10**15
LONGEST_ANSWER = 40
MOST_ITEMS = 20
LINE = "---"
LIMITS = Limits(time=0.5, memory=32 * 2**20, recursion=200, output=2000)
EXAMPLE = f"""Nadia buys 3 packs of 12 pencils and gives 7 pencils to her brother. How many pencils does she keep?
{LINE}
def {FUNCTION}():
    pencils = 3 * 12
    return pencils - 7"""
_SPLIT = re.compile(r"^[ \t]*(?:-{3,}|```(?:python|py)?)[ \t]*$|^(?=(?:def|import|from math) )", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:```(?:python|py)?|-{3,})[ \t]*$", re.MULTILINE)


class WordProblems:
    """Questions in prose with programs that compute the answers. `sandbox` is "monty", "monty_only" or "subprocess"."""

    name = "word_problems"
    depths = DEPTHS
    longest = 2 * LONGEST  # maximum length of a prompt or reply in a round, in characters
    mark = "\n"
    reasons = tuple(
        dict.fromkeys(
            (
                *word_question.REASONS,
                *word_program.REASONS,
                *RUN_REASONS,
                "not deterministic",
                "not an answer",
                "held-out",
            )
        )
    )

    def __init__(self, sandbox: str = "monty") -> None:
        make_sandbox(sandbox, LIMITS)  # raises ValueError for an unknown kind at start-up
        self.sandbox = sandbox
        self._heldout_keys = frozenset(p.heldout_key for s in SPLITS for d in DEPTHS for p in self.heldout(s, d))

    # -- problems ------------------------------------------------------------------------------------------------

    def propose_prompt(self, parent: str | None) -> str:
        return f"vary this word problem:\n{parent}\n" if parent else f"write a word problem like this:\n{EXAMPLE}\n"

    def setting(self, parent: str | None) -> str:
        asked = [
            "A problem is a question in prose, a line with three dashes, and a Python function that computes its "
            f"answer:\n{quoted(EXAMPLE)}",
            "The question tells all that is needed and has one answer; solvers see nothing but it. "
            f"{FUNCTION}() takes no arguments, computes with the numbers of the question, and returns a number, a list "
            "of numbers or a word. If the number does not come out even, the question says how to round it. The answer "
            "itself must not stand in the question. Write a new problem in just this form.",
        ]
        if parent:
            asked.append(f"Vary this one: other people and things, other numbers, or one step more:\n{quoted(parent)}")
        return "\n\n".join(asked)

    def parse_proposal(self, text: str) -> Problem | Rejection:
        parts = split(text)
        if isinstance(parts, Rejection):
            return parts
        question, program = parts
        wrong = foreign_numbers(question, program.constants)
        if wrong is not None:
            return wrong
        found = reference(program.text, self.sandbox)
        if isinstance(found, Rejection):
            return found
        number = read_number(found)
        if reveals_answer(question, number.value if number else found):
            return Rejection("answer given away", f"the question says {found}")
        problem = make_problem(question, program, found)
        return Rejection("held-out", problem.question) if self.is_heldout(problem) else problem

    def problem(self, text: str) -> Problem:
        parts = split(text)
        if isinstance(parts, Rejection):
            raise ValueError(f"not a {self.name} problem: {parts.reason}: {parts.detail}")
        found = reference(parts[1].text, self.sandbox)
        if isinstance(found, Rejection):
            raise ValueError(f"not a {self.name} problem: {found.reason}: {found.detail}")
        return make_problem(*parts, found)

    def features(self, problem: Problem) -> dict[str, float]:
        question, program = split(problem.text)  # type: ignore[misc]
        return {
            "depth": float(problem.depth),
            "operations": float(program.operations),
            "steps": float(program.steps),
            "loops": float(program.loops),
            "quantities": float(len(key_numbers(question))),
            "words": float(len(question.split())),
            "answer_length": float(len(problem.answer)),
            **{f"op {symbol}": float(n) for symbol, n in word_request.operation_counts(program.text).items()},
        }

    # -- requests ------------------------------------------------------------------------------------------------

    def request(self, rng: random.Random) -> str:
        return word_request.draw(rng)

    def request_for(self, problem: Problem, rng: random.Random) -> str | None:
        question, program = split(problem.text)  # type: ignore[misc]
        return word_request.describe(question, program.text, rng)

    def meets(self, problem: Problem, request: str) -> bool:
        return word_request.meets(problem.question, request)

    def short_setting(self, parent: str | None) -> str:
        if parent:
            return f"Vary this problem:\n{quoted(parent)}"
        return "Write a word problem, a line with three dashes, and its program."

    def short_asking(self, problem: Problem) -> str:
        return f"{quoted(problem.shown)}\n\nWork it out, a line for each step. Last line: answer: and the value."

    def sample_post(self, problem: Problem, rng: random.Random) -> tuple[str, str, str]:
        question, program = split(problem.text)  # type: ignore[misc]
        return word_request.post(question, program.text, self.solution(problem), rng)

    # -- attempts ------------------------------------------------------------------------------------------------

    def solve_prompt(self, problem: Problem, notes: Sequence[str]) -> str:
        read = "".join(f"note: {' '.join(note.split())}\n" for note in notes)
        return f"{read}question: {problem.shown}\nanswer:"

    def asking(self, problem: Problem) -> str:
        return (
            f"The question:\n{quoted(problem.shown)}\n\nWork it out step by step. Your answer is one value: a "
            "number in digits (or a fraction such as 3/4), a list of numbers with commas between, or a word."
        )

    def solution(self, problem: Problem) -> str:
        lines = worked_solution(problem.text.partition(f"\n{LINE}\n")[2])
        return "\n".join([*lines, f"answer: {problem.answer}"])

    def verify(self, problem: Problem, text: str) -> Verdict:
        said = final_answers(text)
        if not said:
            return Verdict(False, False, "no answer")
        right = same_answer(text, problem.answer)
        if right is None:
            several = len(said) > 1
            return Verdict(False, False, "more than one answer" if several else "no value in the answer")
        if not right:
            step = wrong_step(text)
            return Verdict(False, False, "wrong" if step is None else "wrong step", step, canonical(said[-1]))
        step, number = wrong_step(text), read_number(problem.answer)
        if step is not None:
            return Verdict(False, True, "wrong step", step, problem.answer)
        if number is not None and not follows(text, number.value):
            return Verdict(False, True, "answer does not follow", answer=problem.answer)
        return Verdict(True, True, "ok", answer=problem.answer)

    def credit(self, problem: Problem, text: str) -> list[Span]:
        """Lines: wrong with an equation that does not hold, right if all hold and one of them gives a value of the
        program's steps, in their order. The last line is also judged by its answer. Other lines are not judged: there
        may be other ways to the answer."""
        said, wanted = equations(text), [e.value for e in equations(self.solution(problem))]
        verdict, lines, found = self.verify(problem, text), lines_of(text), list[Span]()
        for number, (start, stop) in enumerate(lines, start=1):
            here = [e for e in said if e.line == number]
            right: bool | None = None
            if not all(e.holds for e in here):
                right = False
            elif values := [e.value for e in here if e.value in wanted]:
                right, wanted = True, wanted[wanted.index(values[-1]) + 1 :]
            elif number == len(lines) and verdict.answer is not None:
                right = verdict.correct
            found.append(Span(start, stop, right))
            if right is False:
                return [*found, *(Span(a, b, None) for a, b in lines[number:])]
        return found

    def confirms(self, problem: Problem, text: str) -> bool:
        """Whether an answer, its arithmetic put right, takes the program's steps: all of them, or the first ones before
        it stops, if the program uses the question's numbers one by one in their order."""
        corrected = with_true_results(text)
        if corrected is None or self.verify(problem, corrected).correct:
            return corrected is not None
        done, steps = ([e.value for e in equations(t)] for t in (corrected, self.solution(problem)))
        return 0 < len(done) < len(steps) and steps[: len(done)] == done and _one_by_one(problem, len(steps))

    def doubt(self, problem: Problem, answers: Sequence[Judged]) -> str | None:
        """Decide from the answers whether the program probably does not compute what the question asks.

        Args:
            problem: the problem.
            answers: answers of solvers and graders.

        Returns:
            "disputed" if two agents agree on another value: in answers with equations that all hold, and in more of
            them than give the program's value; or both agents are strong and no strong agent is correct. "unclear" if
            no strong agent is correct, and two strong agents call the question unclear, or any agent does and no answer
            at all is correct. "number used twice" if the program uses a number more often than the question says it,
            and no answer is correct. Else None. Answers with an equation that does not hold are not counted, nor are
            values after which the program still uses numbers of the question: who stops early disputes nothing.

        Not guaranteed: a valid hard problem is disputed if two agents misread it in the same way. An invalid one passes
        if no two agents agree, or if as many guess the setter's intention. A single grader cannot exclude a problem
        that anyone solves.
        """
        said = [a for a in answers if a.answer is not None and not a.unclear and a.sound is not False]
        on_the_way = _early_values(problem.shown, self.solution(problem))
        said = [a for a in said if a.answer not in on_the_way or a.correct]
        checked = [a for a in said if a.sound]
        if _agreed(checked, problem, more_than=sum(a.correct for a in checked)):
            return "disputed"
        if any(a.strong and a.correct for a in answers):
            return None
        unclear = {a.agent for a in answers if a.strong and a.unclear}
        if len(unclear) > 1 or (any(a.unclear for a in answers) and not any(a.correct for a in answers)):
            return "unclear"
        if _agreed([a for a in said if a.strong], problem):
            return "disputed"
        question, program = split(problem.text)  # type: ignore[misc]
        twice = reused_number(question, program.constants) is not None and not any(a.correct for a in answers)
        return "number used twice" if twice else None

    def sound(self, text: str) -> bool | None:
        return is_sound(text)

    # -- held-out sets and drawing -------------------------------------------------------------------------------

    def heldout(self, split: str, depth: int) -> Sequence[Problem]:
        if split not in SPLITS or depth not in DEPTHS:
            raise ValueError(f"no held-out set {split!r} of depth {depth}: depths are {DEPTHS[0]} to {DEPTHS[-1]}")
        return _heldout(depth)[SPLITS.index(split) :: len(SPLITS)]

    def is_heldout(self, problem: Problem) -> bool:
        return problem.heldout_key in self._heldout_keys

    def random_problem(self, rng: random.Random, depth: int | None = None) -> Problem:
        while True:
            problem = _draw(rng, rng.choice(DEPTHS) if depth is None else depth)
            if problem is not None and not self.is_heldout(problem):
                return problem

    def mutate(self, parent: str, rng: random.Random) -> str:
        parts = split(parent)
        if isinstance(parts, Rejection):
            return parent
        question, program = word_data.mutate(parts[0], parts[1].text, rng)
        return f"{question}\n{LINE}\n{program}"


def _one_by_one(problem: Problem, steps: int) -> bool:
    """Whether a program uses all numbers of its question in their order, one with each of its `steps`."""
    question, program = split(problem.text)  # type: ignore[misc]
    used = program.constants
    told = tuple(n for n in numbers_in(question, parts=False) if n in used)
    return told == used and set(key_numbers(question)) <= set(used) and program.operations == steps == len(used) - 1


def _early_values(question: str, solution: str) -> set[str]:
    """The values of a solution after which numbers of the question are still to be used, as canonical text."""
    lines, told, found = solution.splitlines(), set(key_numbers(question)), set[str]()
    for e in equations(solution):
        used, later = (set(numbers_in("\n".join(part))) for part in (lines[: e.line], lines[e.line : -1]))
        if told & (later - used):
            found.add(format_number(e.value))
    return found


def _agreed(answers: Sequence[Judged], problem: Problem, more_than: int = 0) -> bool:
    """Whether two agents give one value that is not the program's, in more than so many answers."""
    for a in answers:
        if a.answer is None or same_value(a.answer, problem.answer) is True:
            continue
        same = [b for b in answers if b.answer is not None and same_value(b.answer, a.answer)]
        if len({b.agent for b in same}) > 1 and len(same) > more_than:
            return True
    return False


@functools.lru_cache(maxsize=2048)
def split(text: str) -> tuple[str, Program] | Rejection:
    """Split a problem text into its canonical question and program; a Rejection says why it cannot be split."""
    if len(text) > 4 * LONGEST:
        return Rejection("too long", f"{len(text)} characters; the most is {LONGEST}")
    found = _SPLIT.search(text)
    if found is None:
        return Rejection("malformed", f"expected a question, a line {LINE} and a program, got {text[:60]!r}")
    question = read_question(text[: found.start()])
    if isinstance(question, Rejection):
        return question
    program = read_program(textwrap.dedent(_FENCE.sub("", text[found.end() :])).strip("\n") + "\n")
    if isinstance(program, Rejection):
        return program
    if len(question) + len(program.text) + len(LINE) + 2 > LONGEST:
        return Rejection("too long", f"more than {LONGEST} characters as it is written back")
    return question, program


def make_problem(question: str, program: Program, answer: str) -> Problem:
    text = f"{question}\n{LINE}\n{program.text}"
    numbers = " ".join(format_number(n) for n in key_numbers(question))
    return Problem(
        domain=WordProblems.name,
        text=text,
        depth=depth_of(question, program),
        answer=answer,
        text_key=digest(text),
        heldout_key=digest(f"{numbers} = {answer.casefold()}"),
        behaviour_key=digest(f"{program.shape} = {answer}"),
        question=question,
    )


def depth_of(question: str, program: Program) -> int:
    """Difficulty, 0 to 5, from the operations of the program, distractor numbers, and the length of the question.

    Depth 0: one operation, with numbers up to `SMALL`."""
    numbers = key_numbers(question)
    effort = program.operations + program.loops + max(0, len(numbers) - program.operations - 2)
    effort += len(question.split()) // 80
    if effort == 1 and all(n <= SMALL for n in numbers):
        return 0
    return 1 + sum(effort > most for most in LEVELS)


@functools.lru_cache(maxsize=8192)
def reference(program: str, sandbox: str) -> str | Rejection:
    """Run a program twice. Returns its answer in canonical form; a Rejection says why there is none."""
    first, second = make_sandbox(sandbox, LIMITS).call(program, FUNCTION, [(), ()])
    for ran in (first, second):
        if not ran.ok:
            return Rejection(ran.reason, ran.detail)
    answers = [as_answer(ran.value) for ran in (first, second)]
    if answers[0] != answers[1]:
        return Rejection("not deterministic", "the program gives one answer and then another")
    return answers[0] or Rejection(
        "not an answer", f"a value of type {type(first.value).__name__}, or too large or long"
    )


def as_answer(value: Any) -> str | None:
    """Write a value as an answer; None if it is not a number up to 10^15 (12 digits), a few words, or a list."""
    kind = type(value)
    if kind is int:
        return str(value) if abs(value) <= LARGEST else None
    if kind is float:
        if not math.isfinite(value) or abs(value) > LARGEST or 0 < abs(value) < 1e-6:
            return None
        return format_number(Fraction(f"{value:.12g}"))
    if kind is str:
        words = " ".join(value.split())
        plain = 0 < len(words) <= LONGEST_ANSWER and words.isprintable() and re.fullmatch(r"[\w\s:/.,'-]+", words)
        if not plain:
            return None
        number = read_number(words)
        return words if number is not None and number.unit else canonical(words)
    if kind in (list, tuple) and 1 <= len(value) <= MOST_ITEMS and all(type(v) in (int, float) for v in value):
        items = [as_answer(v) for v in value]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    return None


def canonical(said: str) -> str:
    """The canonical form of an answer: the number in digits, or the words, shortened."""
    number = read_number(right_side(said))
    return format_number(number.value) if number is not None else " ".join(said.split())[:LONGEST_ANSWER]


def _draw(rng: random.Random, depth: int) -> Problem | None:
    """Draw a problem from the templates; None if it has another depth."""
    question, program, answer = word_data.story(rng, depth)
    read = read_program(program)
    if isinstance(read, Rejection):
        raise AssertionError(f"a template wrote a program that is none: {read}")
    if depth_of(question, read) != depth or reveals_answer(question, Fraction(answer)):
        return None
    return make_problem(question, read, format_number(Fraction(answer)))


@functools.cache
def _heldout(depth: int) -> tuple[Problem, ...]:
    """Dev and test are slices of one list, so that they have no held-out key in common."""
    rng, found = random.Random(f"ratchet/word_problems/heldout/{depth}"), dict[str, Problem]()
    while len(found) < len(SPLITS) * HELDOUT_PER_DEPTH:
        problem = _draw(rng, depth)
        if problem is not None:
            found.setdefault(problem.heldout_key, problem)
    return tuple(found.values())
