"""The text forms of posts, and the protocol of a domain that writes posts from rounds and checks them by execution.

| kind | title | body |
|---|---|---|
| definition | `w20` | `w20 = w7 inc`; names stand for their bodies |
| lesson | `rev rev`, or the body | `rev rev = nothing`, `rev sort = sort`: a program is equivalent to a shorter one |
| failure | `w7` | `w7 | rev dec fails`: a wrong guess |
| failure | `dbl init sort | 2 2 0` | `dbl init sort | 2 2 0 fails 2 because init 2 2 2`: a wrong step 2 |
| question | `w7`, or a problem that uses it | `question w7` |
| question | a problem | `question`, then the problem |
| book | `book`, then digits or names | one definition per line, after the definitions that it uses |
| worked_example | a problem | a solution |

Texts use only words of the seed model's vocabulary (curricula/list_school.py); books also have line breaks.

Left out: reviews and retractions, which the library checks itself; authorship and timing, which the arena decides.
Not guaranteed: that a post which is true on all check inputs is true on every input, or that a true post is useful.
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
"""Title and body of a post that is not published yet."""
Bodies = Mapping[str, Sequence[str]]
"""Bodies by name, as words: primitives, and names where documented. A string is split at its spaces."""


@runtime_checkable
class PostDomain(Protocol):
    """A domain whose agents write posts of more kinds than worked examples.

    Checks return None if the post is correct, and otherwise the reason for refusing it. A domain that does not
    implement this protocol has worked examples only (`check_worked_example` works for any domain).
    """

    name: str

    def problem(self, text: str) -> Problem: ...

    def verify(self, problem: Problem, text: str) -> Verdict: ...

    def is_heldout(self, problem: Problem) -> bool: ...

    def check_definition(self, text: str, known: Bodies | None = None) -> str | None:
        """Check the text of a definition. Names have their bodies in `known`; if it is None, their true bodies."""

    def lesson_from(self, program: str, other: str | None = None) -> str | None:
        """A lesson from a program or problem that does nothing, or from two equivalent ones; None if neither
        holds."""

    def check_lesson(self, body: str) -> str | None:
        """Check the body of a lesson."""

    def failure_from_attempt(self, problem: Problem, verdict: Verdict, text: str) -> Draft | None:
        """A failure post about a failed attempt at `problem`; None if the attempt has no checkable error."""

    def check_failure(self, title: str, body: str) -> str | None:
        """Check a failure: its claim must actually be wrong."""

    def question_about(self, about: str) -> Draft:
        """A question about a problem text or a name."""

    def check_question(self, title: str, body: str, known: Collection[str] = ()) -> str | None:
        """Check a question. Names in `known` may not be asked about."""

    def check_book(self, title: str, body: str) -> str | None:
        """Check every page of a book."""

    def check_post(self, kind: str, title: str, body: str, about: str = "", known: Bodies | None = None) -> str | None:
        """Check a post of any kind except review and retraction."""


class Checkable(Protocol):
    """The methods that `check_worked_example` needs; every domain has them."""

    name: str

    def problem(self, text: str) -> Problem: ...

    def verify(self, problem: Problem, text: str) -> Verdict: ...

    def is_heldout(self, problem: Problem) -> bool: ...


def check_worked_example(domain: Checkable, title: str, body: str, about: str = "") -> str | None:
    """Check that `body` solves the problem `title`, which may not be held out. Returns None, or the reason."""
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
    domain: PostDomain, kind: str, title: str, body: str, about: str = "", known: Bodies | None = None
) -> str | None:
    """Check a post of any kind except review and retraction.

    Args:
        domain: the domain that the post belongs to.
        kind, title, body, about: fields of the post.
        known: definitions in the library, which definitions may use and questions may not ask about.

    Returns:
        None if the post is correct, else the reason for refusing it.
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
    """Check that `text`, parsed as `found`, is a problem that is not held out and in canonical form."""
    if isinstance(found, Rejection):
        return f"{found.reason}: {found.detail}"
    return None if found.text == text else f"write the problem as {found.text[:60]!r}"


def plain(text: str) -> bool:
    """Whether a text consists of words separated by single spaces, as all texts of posts do."""
    return bool(text) and text == " ".join(text.split())


def definition_name(text: str) -> str:
    """The name that the text of a definition defines; empty if the text is not a definition."""
    name, equals, _ = text.partition(" = ")
    return name.strip() if equals else ""
