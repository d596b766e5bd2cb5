"""The kinds of posts: one table with the properties of each kind.

A row of `POST_KINDS` is the only place that lists a built-in kind; apart from it, kinds differ in the code
that writes a post from the events of a generation (`arena.phases.post`) and the code that checks one
(`curricula.post_forms`). A user-defined kind provides both functions and is named in `library.kinds` by import path.

Left out: display of a kind. Not guaranteed: that a run whose config names a user-defined kind can be read where that
kind cannot be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class PostKind:
    """One kind of post.

    name: stored with posts; lower-case letters and underscores.
    chapter: introduction of its chapter in an exported library.
    position: order of the chapters.
    written: agents write it from the events of a generation, if `library.kinds` names it.
    default: `library.kinds` names it by default.
    most: default of the maximum number per author and generation; None: no maximum.
    free_text: description for authors of free text; empty: it cannot be written in free text.
    outcome: what the author of a free text must have done with the problem: solved (True), failed (False), tried
        (None).
    migrates: islands send it to each other.
    retrieved: it can be shown to readers that did not request it by name.
    checked: a domain checks its content on admission. Otherwise the library's own rules suffice.
    shown: part of the post that a list shows: "title", "body" or "both".
    relation: how it relates to the post that its `about` names.
    write: function `(state, shelves) -> iterable of posts` (`arena.run.fold.RunState`,
        `arena.library.definitions.Shelves`); None for built-in kinds.
    check: function `(post, domain) -> reason for refusal or None`; None for built-in kinds.
    """

    name: str
    chapter: str = ""
    position: int = 100
    written: bool = True
    default: bool = False
    most: int | None = None
    free_text: str = ""
    outcome: bool | None = None
    migrates: bool = False
    retrieved: bool = True
    checked: bool = True
    shown: Literal["title", "body", "both"] = "both"
    relation: str = "is about"
    write: Callable[[Any, Any], Iterable[Any]] | None = None
    check: Callable[[Any, Any], str | None] | None = None

    def __post_init__(self) -> None:
        if not self.name or not set(self.name) <= set("abcdefghijklmnopqrstuvwxyz_"):
            raise ValueError(f"name of a kind of post must be lower-case letters and underscores: {self.name!r}")


POST_KINDS: dict[str, PostKind] = {
    kind.name: kind
    for kind in (
        PostKind(
            "definition",
            "What a hidden name stands for. An agent guessed it from examples, and execution found it right.",
            position=0,
            default=True,
            migrates=True,
            shown="body",
        ),
        PostKind(
            "worked_example",
            "Each problem is a heading, with a solution under it. Some of the attempts at it succeeded and"
            " some failed; the solution shown was executed and found right, step by step.",
            position=6,
            default=True,
            migrates=True,
            shown="title",
        ),
        PostKind(
            "lesson",
            "What an agent thought worth telling others.",
            position=2,
            default=True,
            most=2,
            free_text="something true that was learned here",
            migrates=True,
            shown="body",
        ),
        PostKind(
            "failure",
            "What was tried and does not work, and when.",
            position=4,
            default=True,
            most=2,
            free_text="what went wrong, and how to tell",
            outcome=False,
            migrates=True,
            shown="body",
        ),
        PostKind(
            "recipe",
            "Steps that worked for their author, in its own words.",
            position=3,
            written=False,
            free_text="steps that worked, for problems of a kind",
            outcome=True,
        ),
        PostKind("question", "What was asked and not known.", position=5, most=1, retrieved=False, shown="body"),
        PostKind(
            "review",
            "What an agent found when it tried what another had posted.",
            position=7,
            default=True,
            most=2,
            retrieved=False,
            checked=False,
            relation="reviews",
        ),
        PostKind(
            "book",
            "What a book compiles, in its order; what it cites it may have taken the place of.",
            position=1,
            free_text="the best of your own earlier posts, put together; it takes their place (cites their numbers)",
        ),
        PostKind(
            "retraction",
            "Posts that their authors took back, and why. What was retracted still stands in its chapter.",
            position=8,
            written=False,
            retrieved=False,
            checked=False,
            relation="retracts",
        ),
    )
}
"""All kinds by name: the built-in ones, in the order in which they are written in a generation, then added ones."""

UNKNOWN = PostKind("unknown", written=False)

KINDS = tuple(POST_KINDS)
"""Names of the built-in kinds."""


def add_kind(kind: PostKind) -> None:
    """Add a kind that a config names. Raises ValueError if there is another one of the same name."""
    if kind.write is None or kind.check is None:
        raise ValueError(f"kind of post {kind.name!r} needs the functions `write` and `check`")
    if POST_KINDS.setdefault(kind.name, kind) != kind:
        raise ValueError(f"there is another kind of post with the name {kind.name!r}")


def kind_of(name: str) -> PostKind:
    """The kind of a stored post. A damaged run may hold names of no kind; they get default properties."""
    return POST_KINDS.get(name, UNKNOWN)


def free_text_kinds() -> list[PostKind]:
    """The kinds that agents may write in free text."""
    return [kind for kind in POST_KINDS.values() if kind.free_text]
