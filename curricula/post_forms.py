"""What a domain does for a library: it words posts from what happened in play, and checks every post by execution.

| kind | title | body |
|---|---|---|
| definition | `w20` | `w20 = w7 inc`, names in it stand for what they mean |
| lesson | `rev rev`, or the body | `rev rev = nothing`, `rev sort = sort`: a program does what a shorter one does |
| failure | `w7` | `w7 | rev dec fails`: a guess that is wrong |
| failure | `dbl init sort | 2 2 0` | `dbl init sort | 2 2 0 fails 2 because init 2 2 2`: what step 2 is not |
| question | `w7`, or a problem that uses it | `question w7` |
| question | a problem | `question`, then the problem |
| book | `book`, then digits or names | a definition a line, each after those that it uses |
| worked_example | a problem | a solution |

Texts hold only words that the seed model's tokenizer has (curricula/list_school.py), books line breaks besides. Left
out: reviews and retractions, which the library checks itself; who writes what when, which is the arena's. Not
guaranteed: that what is true on all check inputs is true on every input; that a true post is of use.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from curricula.domain import Problem, Rejection, Verdict

NOTHING = "nothing"
FAILS = " fails"
QUESTION = "question"
BOOK = "book"

Draft = tuple[str, str]
"""Title and body of a post to be."""
Bodies = Mapping[str, Sequence[str]]
"""Bodies by name, in words: primitives, and names where the place says so. A text is split at its spaces."""


@runtime_checkable
class Lore(Protocol):
    """What the arena asks of a domain whose agents write more than worked examples. A check gives None for right.

    A domain without it has worked examples alone (`check_worked_example` works for any domain).
    """

    name: str

    def problem(self, text: str) -> Problem: ...

    def verify(self, problem: Problem, text: str) -> Verdict: ...

    def is_heldout(self, problem: Problem) -> bool: ...

    def check_definition(self, text: str, known: Bodies | None = None) -> str | None:
        """What is wrong with a definition's text. Names in it mean what `known` says, or else the domain itself."""

    def lesson_from(self, program: str, other: str | None = None) -> str | None:
        """A lesson from a program (or problem) that does nothing, or from two that do the same; None if there is
        none."""

    def check_lesson(self, body: str) -> str | None:
        """What is wrong with a lesson."""

    def failure_from_attempt(self, problem: Problem, verdict: Verdict, text: str) -> Draft | None:
        """What a failed attempt at `problem` teaches, as a post; None where nothing that can be checked went wrong."""

    def check_failure(self, title: str, body: str) -> str | None:
        """What is wrong with a failure: what it says fails has to fail."""

    def question_about(self, about: str) -> Draft:
        """A question about a problem text or a name."""

    def check_question(self, title: str, body: str, known: Collection[str] = ()) -> str | None:
        """What is wrong with a question. What is `known` need not be asked."""

    def check_book(self, title: str, body: str) -> str | None:
        """What is wrong with a book: every page is checked."""

    def check_post(self, kind: str, title: str, body: str, about: str = "", known: Bodies | None = None) -> str | None:
        """What is wrong with a post of any kind but review and retraction."""


class Checkable(Protocol):
    """What a worked example is checked with: any domain."""

    name: str

    def problem(self, text: str) -> Problem: ...

    def verify(self, problem: Problem, text: str) -> Verdict: ...

    def is_heldout(self, problem: Problem) -> bool: ...


def check_worked_example(domain: Checkable, title: str, body: str, about: str = "") -> str | None:
    """None if `body` solves the problem `title`, which is not held out; else what is wrong."""
    if about and about.partition("/")[0] != domain.name:
        return f"speaks of {about[:60]!r}, not of {domain.name}"
    try:
        problem = domain.problem(title)
    except ValueError as error:
        return str(error)
    if domain.is_heldout(problem):
        return "held-out problem"
    verdict = domain.verify(problem, body)
    return None if verdict.correct else verdict.reason


def check_post(
    domain: Lore, kind: str, title: str, body: str, about: str = "", known: Bodies | None = None
) -> str | None:
    """One entry for all kinds: None if the post is right, else what is wrong with which part of it.

    `known` are the definitions that the library holds, for definitions that build on them and questions about them.
    """
    if kind == "worked_example":
        return check_worked_example(domain, title, body, about)
    if kind == "definition":
        if title != definition_name(body):
            return f"title {title[:60]!r} is not the name that the body defines: {body[:60]!r}"
        if not plain(body):
            return f"words of a definition are separated by single spaces: {body[:60]!r}"
        return domain.check_definition(body, known)
    if kind == "lesson":
        if title not in (body, body.partition(" = ")[0]):
            return f"title {title[:60]!r} is neither the lesson nor its left side: {body[:60]!r}"
        return domain.check_lesson(body)
    if kind == "failure":
        return domain.check_failure(title, body)
    if kind == "question":
        return domain.check_question(title, body, known or ())
    if kind == "book":
        return domain.check_book(title, body)
    return f"{domain.name} cannot check posts of kind {kind!r}"


def check_open(found: Problem | Rejection, text: str) -> str | None:
    """None if `text`, as parsed, is a problem that may be spoken of, in its canonical words."""
    if isinstance(found, Rejection):
        return f"{found.reason}: {found.detail}"
    return None if found.text == text else f"write the problem as {found.text[:60]!r}"


def plain(text: str) -> bool:
    """Whether a text is words separated by single spaces, as all texts of posts are."""
    return bool(text) and text == " ".join(text.split())


def definition_name(text: str) -> str:
    """The name that a definition's text defines, or an empty string."""
    name, equals, _ = text.partition(" = ")
    return name.strip() if equals else ""
