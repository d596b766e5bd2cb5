"""The domain `hidden_words`: list programs with names whose meaning agents must find out and pass on.

A world has 64 names, w0 to w63 (`curricula/hidden_world.py`). Name i has level i // 8 + 1. A name of level n has a
hidden body of n + 1 primitives that extends the body of a name one level below (level 1: two primitives). Bodies follow
a sparse grammar of the world, in which each primitive has three possible successors, so that worlds have learnable
regularities. Names do not reveal their bodies: a problem such as `w7 sort | 3 1 4` can only be solved with knowledge of
the body. A solver may first write the expanded program (`w7 rev inc ; means rev inc sort ; rev 4 1 3 ; ...`), which is
checked too. Agents can guess a body from examples; guesses are checked on inputs that the guesser has not seen.

Problems are held out by exact program. A problem whose expansion is a held-out list program is held out too.
Not guaranteed: that a guess that is correct on all check inputs is correct on every input. A trace that recalls such a
body still has to reach the true answer.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from curricula import list_programs as lp
from curricula import list_prose, post_forms
from curricula.definitions import body_words, expand, pages
from curricula.domain import SPLITS, Guess, Problem, Rejection, Span, Verdict
from curricula.hidden_practice import draw_examples, exercises
from curricula.hidden_world import (
    LEVELS,
    MEANS,
    PER_LEVEL,
    WORDS,
    World,
    draw_use,
    guess_prompt,
    level_of,
    spelled_out,
    split_recall,
)
from curricula.post_forms import BOOK, FAILS, QUESTION, Bodies, Draft

CHECKS = 8
RECALL_INPUT = "3 1 4"


class HiddenWords:
    """Deduction over list programs that use names of one world, and guesses at the bodies of names.

    Args:
        world: seed of the world.
        levels: number of levels of names in use, 1 to 8.
    """

    name = "hidden_words"
    kin = (lp.ListPrograms.name,)
    seed_option = "world"
    issued = words = WORDS
    mark = ";"
    reasons = (*lp.ListPrograms.reasons, "no issued name")

    def __init__(self, world: int = 0, levels: int = LEVELS) -> None:
        if not 1 <= levels <= LEVELS:
            raise ValueError(f"levels must be 1 to {LEVELS}, got {levels}")
        self.world, self.levels, self.depths = World(world), levels, tuple(range(1, levels + 1))
        self.words = WORDS[: levels * PER_LEVEL]
        self._expand = {w: self.world.bodies[w] for w in self.words}
        self._plain = lp.ListPrograms()
        rng = random.Random(f"ratchet/hidden_words/check/{world}")
        self._checks = [tuple(rng.randrange(10) for _ in range(rng.randint(3, 6))) for _ in range(CHECKS)]
        self._checks += [*lp.PROBES, (0, 1), (6, 9)]  # `swap init` and `init swap` differ only on two digits
        self._heldout = {(s, d): self._draw_heldout(s, d) for s in SPLITS for d in self.depths}
        self._heldout_keys = frozenset(p.heldout_key for ps in self._heldout.values() for p in ps)

    # -- problems ------------------------------------------------------------------------------------------------

    def propose_prompt(self, parent: str | None) -> str:
        if parent is None:
            raise ValueError("hidden_words needs a parent text or a name to build on")
        return self._plain.propose_prompt(parent)

    def parse_proposal(self, text: str) -> Problem | Rejection:
        parts = lp.split_problem(text)
        if isinstance(parts, Rejection):
            return parts
        words, xs = parts
        for word in words:
            if word not in lp.PRIMITIVES and word not in self._expand:
                return Rejection("unknown name", word)
        if not any(w in self._expand for w in words):
            return Rejection("no issued name", text[:60])
        depth = len(self._program(words))
        if depth > lp.MAX_DEPTH:
            return Rejection("too long", f"{depth} primitives, at most {lp.MAX_DEPTH}")
        problem = lp.make_problem(words, xs, self._expand, self.name)
        if problem.behaviour_key == lp.IDENTITY or problem.answer == lp.show(xs):
            return Rejection("no-op", problem.text)
        if self.is_heldout(problem):
            return Rejection("held-out", problem.text)
        return problem

    def problem(self, text: str) -> Problem:
        parts = lp.split_problem(text)
        if isinstance(parts, Rejection):
            raise ValueError(f"not a {self.name} problem: {parts.detail}")
        for word in parts[0]:
            if word not in lp.PRIMITIVES and word not in self._expand:
                raise ValueError(f"unknown word {word[:60]!r} in {text[:200]!r}")
        return lp.make_problem(parts[0], parts[1], self._expand, self.name)

    def solve_prompt(self, problem: Problem, notes: Sequence[str]) -> str:
        return lp.solve_prompt(problem.text, notes)

    def setting(self, parent: str | None) -> str:
        return list_prose.setting(lp.RULES, lp.MAX_DEPTH, parent, names=True)

    def asking(self, problem: Problem) -> str:
        return list_prose.asking(lp.RULES, problem)

    def short_setting(self, parent: str | None) -> str:
        return list_prose.short_setting(parent)

    def short_asking(self, problem: Problem) -> str:
        return list_prose.short_asking(problem)

    def solution(self, problem: Problem) -> str:
        words, xs = lp.split_problem(problem.text)  # type: ignore[misc]
        return spelled_out({w: self._expand[w] for w in problem.names}, words, xs)

    def verify(self, problem: Problem, text: str) -> Verdict:
        words, xs = lp.split_problem(problem.text)  # type: ignore[misc]
        recalled, meant, trace = split_recall(text)
        expand = dict(self._expand)
        for name, body in recalled:
            found = self.check_guess(name, body)
            if isinstance(found, Rejection):
                verdict = lp.verify_trace(self._program(words), xs, trace)
                return replace(verdict, correct=False, reason="recalls a wrong definition", step=0)
            expand[name] = found  # equivalent in this world, but possibly with other primitives
        program = tuple(p for w in words for p in expand.get(w, (w,)))
        verdict = lp.verify_trace(program, xs, trace)
        verdict = replace(verdict, answer_correct=verdict.answer == problem.answer)
        if lp.show(lp.run(program, xs)[-1]) != problem.answer:  # passed all check inputs, wrong on this one
            return replace(verdict, correct=False, reason="recalls a wrong definition", step=0)
        if meant is not None and tuple(meant.split()) != program:
            return replace(verdict, correct=False, reason="says the program means something else", step=0)
        return verdict

    def credit(self, problem: Problem, text: str) -> list[Span]:
        """The recalled definitions with the stated program are one step, before those of the trace."""
        words, xs = lp.split_problem(problem.text)  # type: ignore[misc]
        recalled, _, trace = split_recall(text)
        head = len(text) - len(trace)
        if self.verify(problem, text).step == 0:
            return [Span(0, head, False), Span(head, len(text), None)]
        checked = {name: self.check_guess(name, body) for name, body in recalled}
        expand = self._expand | {name: body for name, body in checked.items() if not isinstance(body, Rejection)}
        program = tuple(p for w in words for p in expand.get(w, (w,)))
        return [*([Span(0, head, True)] if head else []), *lp.credit_trace(program, xs, trace, head)]

    def features(self, problem: Problem) -> dict[str, float]:
        words = problem.text.partition("|")[0].split()
        level = max((level_of(w) for w in problem.names), default=0)
        return {**lp.features(self._program(words), problem), "level": float(level)}

    def heldout(self, split: str, depth: int) -> Sequence[Problem]:
        """The held-out problems of one split; `depth` is the level of their name."""
        if (split, depth) not in self._heldout:
            raise ValueError(f"no held-out set {split!r} of level {depth}: levels are 1 to {self.levels}")
        return self._heldout[split, depth]

    def is_heldout(self, problem: Problem) -> bool:
        if problem.heldout_key in self._heldout_keys:
            return True
        words, xs = lp.split_problem(problem.text)  # type: ignore[misc]
        return self._plain.is_heldout(lp.make_problem(self._program(words), xs, {}, lp.ListPrograms.name))

    def random_problem(self, rng: random.Random, depth: int | None = None) -> Problem:
        return self.random_use(rng, [w for w in self.words if depth is None or level_of(w) == depth])

    @staticmethod
    def level(name: str) -> int:
        """Level of a name, from 1; 0 for other words."""
        return level_of(name) if name in WORDS else 0

    def true_definition(self, name: str) -> str:
        """The definition of a name in this world."""
        return self.definition(name, self.world.bodies[name])

    def random_use(self, rng: random.Random, names: Sequence[str]) -> Problem:
        """Draw a problem that uses one of `names` and 0 to 2 primitives."""
        while True:
            found = self.parse_proposal(draw_use(rng, names))
            if isinstance(found, Problem):
                return found

    def mutate(self, parent: str, rng: random.Random) -> str:
        return lp.mutate(parent, rng)

    # -- guesses -------------------------------------------------------------------------------------------------

    def guess(self, name: str, known: Bodies | Sequence[str], rng: random.Random) -> Guess:
        """Draw the question for a guess at `name`: two examples and, from level 2 on, a hint.

        The hint is the body of a random known name of the level below; it may be unrelated to the body of `name`.

        Args:
            name: the name to guess.
            known: names, whose true bodies serve as hints, or a mapping from names to believed bodies (primitives).
                Both draw the same names if their order is the same.
            rng: source of the draws.
        """
        examples = draw_examples(self._expand[name], rng)
        parents = [w for w in known if level_of(w) == level_of(name) - 1]
        parent = rng.choice(parents) if parents else None
        bodies = known if isinstance(known, Mapping) else self._expand
        hint = body_words(bodies[parent]) if parent else ()
        return Guess(name, guess_prompt(hint, examples), (parent,) if parent else (), tuple(examples))

    def check_guess(self, name: str, text: str) -> tuple[str, ...] | Rejection:
        """Check a guessed body (`text`, primitives). Returns it if it is correct on every check input."""
        if name not in self._expand:
            return Rejection("unknown name", name)
        words = text.split()
        if not words or len(words) > lp.MAX_DEPTH:
            return Rejection("malformed", text[:60])
        for word in words:
            if word not in lp.PRIMITIVES:
                return Rejection("unknown name", word)
        found = self._differs(words, self._expand[name])
        return tuple(words) if found is None else Rejection("wrong", f"differs on {lp.show(found)}")

    def reachable(self, known: Collection[str]) -> list[str]:
        """Names not in `known` that are of level 1, or whose level below has a known name."""
        levels = {level_of(w) for w in known}
        return [w for w in self.words if w not in set(known) and (level_of(w) == 1 or level_of(w) - 1 in levels)]

    def another_world(self, name: str) -> World:
        """The first world, in the sequence of seeds derived from this one, in which `name` has another meaning."""
        return next(
            w for w in self.world.others() if isinstance(self.check_guess(name, " ".join(w.bodies[name])), Rejection)
        )

    def wrong_body(self, name: str) -> tuple[str, ...]:
        """A wrong body of `name` of the correct length: its body in another world. Raises ValueError if unknown."""
        if name not in self._expand:
            raise ValueError(f"unknown name {name!r}: this world has w0 to {self.words[-1]}")
        return self.another_world(name).bodies[name]

    # -- posts ---------------------------------------------------------------------------------------------------

    def definition(self, name: str, body: Sequence[str]) -> str:
        return f"{name} = {' '.join(body)}"

    def check_definition(self, text: str, known: Bodies | None = None) -> str | None:
        """Check the text of a definition, such as `w7 = rev inc` or `w20 = w7 inc`.

        Args:
            text: the definition.
            known: bodies of the names that it may use, which may use names too; None: the true bodies. A circle
                through other definitions is found only if they are in `known`.

        Returns:
            None if the definition is true in this world, else the reason for refusing it.
        """
        name, equals, body = text.partition(" = ")
        name = name.strip()
        if not equals:
            return f"not a definition: {text[:60]!r}"
        if name in body.split():
            return f"refers to itself: {name}"
        try:
            words = expand(f"{name} = {body}", self._expand if known is None else known)
        except ValueError as error:
            return str(error)
        found = self.check_guess(name, " ".join(words))
        return f"{found.reason}: {found.detail}" if isinstance(found, Rejection) else None

    def check_book(self, title: str, body: str) -> str | None:
        """Check that every page is true and uses only earlier pages."""
        words = title.split()
        if words[:1] != [BOOK] or not post_forms.plain(title):
            return f"the title of a book begins with {BOOK!r}: {title[:60]!r}"
        for word in words[1:]:
            if word not in self._expand and not (len(word) == 1 and word in "0123456789"):
                return f"the title of a book holds digits and names, not {word[:60]!r}"
        try:
            found = pages(body)
        except ValueError as error:
            return str(error)
        for number, (name, means) in enumerate(found.items(), start=1):
            checked = self.check_guess(name, " ".join(means))
            if isinstance(checked, Rejection):
                return f"page {number}, {name}: {checked.reason}: {checked.detail}"
        return None

    def lesson_from(self, program: str, other: str | None = None) -> str | None:
        """As in list programs. A lesson with names would be a definition that nobody guessed, so there are none."""
        text = self._plain.lesson_from(program, other)
        return None if text is None or self.check_lesson(text) else text

    def check_lesson(self, body: str) -> str | None:
        return self._plain.check_lesson(body)

    def failure_from_guess(self, name: str, guess: str) -> Draft | None:
        """A failure `w7 | rev dec fails` if the guess is wrong; None if it is correct or not a body."""
        draft = name, f"{name} | {' '.join(guess.split())}{FAILS}"
        return None if self.check_failure(*draft) else draft

    def failure_from_attempt(self, problem: Problem, verdict: Verdict, text: str) -> Draft | None:
        """A failure about the first error of an attempt: a wrong recall, a wrong expansion, or a wrong step.

        A wrong step becomes a failure of the program in primitives, as the attempt expanded it. None if the attempt
        did not recall all names, so that a post never reveals a body that the attempt did not contain.
        """
        if verdict.correct:
            return None
        recalled, meant, trace = split_recall(text)
        bodies = dict[str, tuple[str, ...]]()
        for name, body in recalled:
            found = self.check_guess(name, body)
            if isinstance(found, Rejection):
                return self.failure_from_guess(name, body)
            bodies[name] = found
        if self.is_heldout(problem) or not set(problem.names) <= set(bodies):
            return None
        words, xs = lp.split_problem(problem.text)  # type: ignore[misc]
        program = [p for w in words for p in bodies.get(w, (w,))]
        if meant is not None and meant.split() != program:
            draft = problem.text, f"{problem.text}{FAILS} because {MEANS}{' '.join(meant.split())}"
            return None if self.check_failure(*draft) else draft
        spelled = lp.make_problem(program, xs, {}, lp.ListPrograms.name)
        return self._plain.failure_from_attempt(spelled, lp.verify_trace(program, xs, trace), trace)

    def check_failure(self, title: str, body: str) -> str | None:
        """Check a failure: a wrong guess, `w7 | rev dec fails`, or a wrong expansion of a program with names. Programs
        without names are checked as list programs."""
        head, fails, clause = body.partition(FAILS)
        name, bar, guess = head.partition(" | ")
        if not fails or not post_forms.plain(body):
            return f"not a failure: expected 'name | body fails' or 'problem fails because', got {body[:60]!r}"
        if not clause and " " not in name:
            if title != name or not bar:
                return f"title {title[:60]!r} is not the name that was guessed at: {head[:60]!r}"
            found = self.check_guess(name, guess)
            if isinstance(found, Rejection):
                return None if found.reason == "wrong" else f"{found.reason}: {found.detail}"
            return f"does not fail: {name} means {guess}"
        if not any(w in self._expand for w in name.split()):
            return self._plain.check_failure(title, body)
        if title != head:
            return f"title {title[:60]!r} is not what fails: {head[:60]!r}"
        wrong = post_forms.check_open(self.parse_proposal(head), head)
        if wrong:
            return wrong
        meant = clause.removeprefix(f" because {MEANS}").split()
        if not clause.startswith(f" because {MEANS}") or not set(meant) <= set(lp.NAMES):
            return f"expected 'fails because {MEANS}primitives', got {clause[:60]!r}"
        if len(meant) > lp.MAX_DEPTH:
            return f"means {len(meant)} primitives, at most {lp.MAX_DEPTH}"
        same = self._differs(meant, self._program(name.split())) is None
        return f"does not fail: {name} means {' '.join(meant)}" if same else None

    def question_about(self, about: str) -> Draft:
        return about, f"{QUESTION} {about}"

    def check_question(self, title: str, body: str, known: Collection[str] = ()) -> str | None:
        """Check a question about a name that is not in `known` (its title is the name, or a problem that uses it), or
        about a problem that is not held out."""
        asked = body.removeprefix(f"{QUESTION} ")
        if asked == body or not post_forms.plain(body):
            return f"not a question: expected '{QUESTION} name' or '{QUESTION} problem', got {body[:60]!r}"
        if asked in known:
            return f"{asked} is known"
        if " " not in asked and asked not in self._expand:
            return f"unknown name: {asked[:60]}"
        if title == asked and asked in self._expand:
            return None
        found = self.parse_proposal(title)
        if asked in self._expand and isinstance(found, Problem) and asked not in found.names:
            return f"title {title[:60]!r} does not use {asked}"
        if asked not in self._expand and title != asked:
            return f"title {title[:60]!r} is not what is asked: {asked[:60]!r}"
        return post_forms.check_open(found, title)

    def check_post(self, kind: str, title: str, body: str, about: str = "", known: Bodies | None = None) -> str | None:
        return post_forms.check_post(self, kind, title, body, about, known)

    # -- practice ------------------------------------------------------------------------------------------------

    def practice(
        self,
        definitions: Bodies,
        rng: random.Random,
        n: int,
        *,
        guess: float = 0.3,
        dreams: float = 0.0,
        unknown: float = 1 / 3,
    ) -> list[tuple[str, str]]:
        """Make supervised examples that train definitions into the weights of an agent.

        Everything follows from `definitions`, true or false. Of the world, only its names and held-out problems are
        used. Examples that are neither guesses nor synthetic are problems to solve without notes, which requires
        recalling the name.

        Args:
            definitions: bodies by name; they may use each other's names.
            rng: source of the draws.
            n: number of examples.
            guess: share of guesses at a known body from examples, with a hint from three primitives on.
            dreams: share of guesses at synthetic bodies, recombined from the definitions and up to one primitive
                longer than the longest (`curricula.synthetic_names`).
            unknown: problems with an undefined name, whose solution is `unknown w7`, per problem with a defined name.

        Returns:
            (prompt, completion) pairs in random order; empty if there are no definitions.

        Raises:
            ValueError: a name is not in this world, or a body cannot be expanded.
        """
        bodies = {w: expand(body_words(b), definitions) for w, b in definitions.items()}
        for name in bodies:
            if name not in self._expand:
                raise ValueError(f"practice of {name!r}: this world has w0 to {self.words[-1]}")
        use = functools.partial(self._practise_use, bodies=bodies, rng=rng)
        return exercises(bodies, self.words, use, rng, n, guess=guess, dreams=dreams, unknown=unknown)

    def recall_prompts(self, names: Sequence[str], given: str = RECALL_INPUT) -> list[str]:
        """Prompts that test recall: for each name, the problem `name | given`, without notes."""
        return [lp.solve_prompt(f"{w} | {given}", ()) for w in names]

    def recalled(self, name: str, text: str) -> tuple[str, ...] | None:
        """The body that an answer recalls for `name`, correct or not; None if there is none."""
        body = next((b.split() for w, b in split_recall(text)[0] if w == name), [])
        return tuple(body) if 0 < len(body) <= lp.MAX_DEPTH and set(body) <= set(lp.NAMES) else None

    # -- helpers -------------------------------------------------------------------------------------------------

    def _program(self, words: Sequence[str]) -> tuple[str, ...]:
        return tuple(p for w in words for p in self._expand.get(w, (w,)))

    def _differs(self, left: Sequence[str], right: Sequence[str]) -> lp.List | None:
        """The first check input of the world on which two programs differ; None if they agree on all."""
        return next((xs for xs in self._checks if lp.last(left, xs) != lp.last(right, xs)), None)

    def _practise_use(
        self, name: str, bodies: Mapping[str, tuple[str, ...]], rng: random.Random
    ) -> tuple[str, str] | None:
        """A problem that uses `name`, with its solution by `bodies` or `unknown name`; None after 20 failed draws."""
        for _ in range(20):
            problem = self.problem(draw_use(rng, [name]))
            words, xs = lp.split_problem(problem.text)  # type: ignore[misc]
            program = [p for w in words for p in bodies.get(w, (w,))]
            if len(program) > lp.MAX_DEPTH or self.is_heldout(problem):
                continue
            if name not in bodies:
                return lp.solve_prompt(problem.text, ()), f"unknown {name}"
            if not self._plain.is_heldout(lp.make_problem(program, xs, {}, lp.ListPrograms.name)):
                return lp.solve_prompt(problem.text, ()), spelled_out({name: bodies[name]}, words, xs)
        return None

    def _draw_heldout(self, split: str, level: int) -> tuple[Problem, ...]:
        """48 problems per level, six for each name; dev has the even, test the odd draws of one stream."""
        rng = random.Random(f"ratchet/hidden_words/heldout/{self.world.seed}/{level}")
        names = [w for w in self.words if level_of(w) == level]
        found: dict[str, Problem] = {}
        count = dict.fromkeys(names, 0)
        while any(c < 12 for c in count.values()):
            name = next(n for n in names if count[n] < 12)
            text = draw_use(rng, [name])
            words, xs = lp.split_problem(text)  # type: ignore[misc]
            problem = lp.make_problem(words, xs, self._expand, self.name)
            if problem.depth > lp.MAX_DEPTH or problem.answer == lp.show(xs) or len(words) == 1:
                continue  # a bare name is never held out: held out by program, it would exclude all its inputs
            if problem.heldout_key not in found:
                found[problem.heldout_key] = problem
                count[name] += 1
        problems = tuple(found.values())
        return problems[SPLITS.index(split) :: 2]
