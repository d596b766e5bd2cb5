"""Scoring of answers: by the domain of the problem, by the user's reference answer, or by the user's checker.

An answer matches a reference if it has the same words, ignoring white space, or the same value. A checker is a program
`def check(answer)` that returns True or False; it runs in the sandbox only. If it raises or returns anything else, the
answer counts as wrong and the reason is kept. A checker that cannot run at all is an error in the set, raised before
the first request.
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
"""Sandbox reasons that do not depend on the program's input."""


@dataclass(frozen=True)
class ScoredReply:
    """A reply with the answer parsed from it. `reason` is "ok" or says what was wrong."""

    reply: Reply
    answer: str
    correct: bool
    reason: str


class Scorer:
    """Scores the replies of participants."""

    def __init__(self, voice: Voice, domains: Mapping[str, Domain], sandbox: Sandbox | None) -> None:
        """`sandbox` may be None if no item has a checker."""
        self.voice, self.domains, self.sandbox = voice, domains, sandbox

    def check_checkers(self, s: ItemSet) -> None:
        """Raises ValueError, naming the line, if a checker does not run."""
        for item in s.items:
            if item.checker is None:
                continue
            assert self.sandbox is not None
            (ran,) = self.sandbox.call(item.checker, CHECK, [("",)])
            if not ran.ok and ran.reason in BROKEN:
                raise ValueError(f"{s.where(item)}: the checker does not run: {ran.reason}: {ran.detail}")
            if not ran.ok and CHECK not in item.checker:
                raise ValueError(f"{s.where(item)}: the checker has no function check(answer)")

    def score(self, replies: Sequence[Reply]) -> list[ScoredReply]:
        """Score replies to one item; all of `replies` must belong to it."""
        item = replies[0].question.item
        if item.problem:
            domain = self.domains[item.problem.domain]
            texts = [solver.read(self.voice, r.text) for r in replies]
            verdicts = [domain.verify(item.problem, text) for text in texts]
            return [ScoredReply(r, v.answer or "", v.correct, v.reason) for r, v in zip(replies, verdicts, strict=True)]
        answers = [examinee.read(self.voice, r.text) for r in replies]
        found = (
            self._checked(item.checker, answers) if item.checker else [matches(a, item.answer or "") for a in answers]
        )
        return [ScoredReply(r, a, *verdict) for r, a, verdict in zip(replies, answers, found, strict=True)]

    def _checked(self, checker: str, answers: Sequence[str]) -> list[tuple[bool, str]]:
        """Verdicts on answers; the checker runs once per distinct answer."""
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
    """(correct, reason) for an answer compared with a reference; reason is "ok" if correct."""
    if said.split() == reference.split():
        return True, "ok"
    if not said.strip():
        return False, "no answer"
    same = same_answer(said, reference)
    if same:
        return True, "ok"
    return False, "another answer" if same is False else "no such value found in it"
