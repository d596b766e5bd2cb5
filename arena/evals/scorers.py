"""Is an answer right: by the domain that the problem is of, by the answer that the user gave, or by the user's checker.

An answer is right if it has the words of the given one, whatever the white space, or is the same value. A checker is a
program `def check(answer)` that says True or False; it runs in the sandbox and nowhere else. What it raises on an
answer, or a value that is neither, is no right answer, and the reason is kept. One that cannot run at all is a mistake
of the set's, told before anybody is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arena.evals.dataset import ItemSet
from arena.evals.sampling import Reply
from arena.rounds.roles import examinee, solver
from arena.rounds.roles.voice import Voice
from curricula.answers import same_answer
from curricula.domain import Domain
from curricula.sandbox import Sandbox

CHECK = "check"
BROKEN = ("syntax", "unsupported")
"""Reasons of the sandbox that speak of the program, whatever it is given."""


@dataclass(frozen=True)
class Judged:
    """A reply with what was read in it. `reason` is "ok" or what was wrong."""

    reply: Reply
    answer: str
    correct: bool
    reason: str


class Judge:
    """Judges replies of a run's agents."""

    def __init__(self, voice: Voice, domains: Mapping[str, Domain], sandbox: Sandbox | None) -> None:
        """`sandbox` may be missing where no item has a checker."""
        self.voice, self.domains, self.sandbox = voice, domains, sandbox

    def try_checkers(self, s: ItemSet) -> None:
        """Raises ValueError, naming the line, for a checker that does not run."""
        for item in s.items:
            if item.checker is None:
                continue
            assert self.sandbox is not None
            (ran,) = self.sandbox.call(item.checker, CHECK, [("",)])
            if not ran.ok and ran.reason in BROKEN:
                raise ValueError(f"{s.where(item)}: the checker does not run: {ran.reason}: {ran.detail}")
            if not ran.ok and CHECK not in item.checker:
                raise ValueError(f"{s.where(item)}: the checker has no function check(answer)")

    def judge(self, replies: Sequence[Reply]) -> list[Judged]:
        """Verdicts on replies to one and the same item."""
        item = replies[0].question.item
        if item.problem:
            domain = self.domains[item.problem.domain]
            texts = [solver.read(self.voice, r.text) for r in replies]
            verdicts = [domain.verify(item.problem, text) for text in texts]
            return [Judged(r, v.answer or "", v.correct, v.reason) for r, v in zip(replies, verdicts, strict=True)]
        answers = [examinee.read(self.voice, r.text) for r in replies]
        found = (
            self._checked(item.checker, answers) if item.checker else [matches(a, item.answer or "") for a in answers]
        )
        return [Judged(r, a, *verdict) for r, a, verdict in zip(replies, answers, found, strict=True)]

    def _checked(self, checker: str, answers: Sequence[str]) -> list[tuple[bool, str]]:
        """The checker is asked once an answer, not once a reply."""
        assert self.sandbox is not None
        each = list(dict.fromkeys(answers))
        verdicts = dict[str, tuple[bool, str]]()
        for text, ran in zip(each, self.sandbox.call(checker, CHECK, [(text,) for text in each]), strict=True):
            if not ran.ok:
                verdicts[text] = False, f"checker: {ran.reason}{': ' if ran.detail else ''}{ran.detail}"
            elif not isinstance(ran.value, bool):
                verdicts[text] = False, f"checker: said {str(ran.value)[:60]!r}, neither True nor False"
            else:
                verdicts[text] = ran.value, "ok" if ran.value else "checker: False"
        return [verdicts[text] for text in answers]


def matches(said: str, reference: str) -> tuple[bool, str]:
    """Whether an answer is the reference, and "ok" or why it is not."""
    if said.split() == reference.split():
        return True, "ok"
    if not said.strip():
        return False, "no answer"
    same = same_answer(said, reference)
    if same:
        return True, "ok"
    return False, "another answer" if same is False else "no such value found in it"
