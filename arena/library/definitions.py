"""Definitions of hidden names that an agent can read.

For each name this is the definition in force among the posts that the agent may read (`arena.library.visibility`): a
post of its own, or a page of a book. The controls of `library.content` show something else in its place; what is stored
never changes. Guessers build on the definitions they read and, with `rounds.recall`, on those they recall
(`arena.library.recall`), right or wrong.

Left out: weighing two sources. A definition that is read takes precedence over a recalled one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arena.library.visibility import scope, visible_authors
from arena.run.fold import RunState
from culture.library import Library
from culture.posts import Post
from curricula.definitions import expand, pages
from curricula.list_programs import PRIMITIVES

FILLER = "nothing"
PROSE = "prose/"
"""Prefix of `about` of posts in free text, before the domain and the round they come from."""

Body = tuple[str, ...]


@dataclass(frozen=True)
class StoredDefinition:
    """A definition in the library: the post that holds it (a definition or a book) and its body in primitives."""

    post: str
    author: str
    body: Body


@dataclass(frozen=True)
class ShownDefinition:
    """A definition as its reader sees it: the stored post, the page that is shown, and its body if it parses."""

    post: str
    page: Post
    body: Body | None

    @property
    def text(self) -> str:
        return self.page.body


class DefinitionIndex:
    """Definitions by agent, computed once per phase; posts added later are not in it."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self._held: dict[frozenset[str] | None, dict[str, StoredDefinition]] = {}
        self._seen: dict[frozenset[str] | None, dict[str, ShownDefinition]] = {}

    def stored(self, agent: str) -> dict[str, StoredDefinition]:
        """Definitions that `agent` may read, by name, oldest first, as stored."""
        key = visible_authors(self.state, agent)
        if key not in self._held:
            self._held[key] = definitions_in(self.state.library.within(scope(self.state, agent)))
        return self._held[key]

    def shown(self, agent: str, training: bool = False) -> dict[str, ShownDefinition]:
        """The same as a reader sees them. Empty if `library.reading` is off, except for `training`."""
        if not (self.state.config.library.reading or training):
            return {}
        key = visible_authors(self.state, agent)
        if key not in self._seen:
            self._seen[key] = apply_content(self.state, self.stored(agent))
        return self._seen[key]


def definitions_in(view: Library) -> dict[str, StoredDefinition]:
    """Definitions in force by name, oldest first: definition posts before pages of books."""
    found: dict[str, StoredDefinition] = {}
    for name, post in view.definitions(list(view.definition_ids())).items():
        found[name] = StoredDefinition(post.id, post.author, expand(post.body, {n: h.body for n, h in found.items()}))
    for book in view.iterate("book"):
        if book.about.startswith(PROSE):
            continue
        for name, body in pages(book.body).items():
            found.setdefault(name, StoredDefinition(book.id, book.author, body))
    return found


def apply_content(state: RunState, found: Mapping[str, StoredDefinition]) -> dict[str, ShownDefinition]:
    """Stored definitions as `library.content` shows them. With `shuffled`, each has the body of another; a single
    definition has none to take and is not shown."""
    words, content, names = state.words_domain(), state.config.library.content, list(found)
    shown = dict[str, ShownDefinition]()
    if content == "shuffled" and len(names) < 2:
        return shown
    for i, (name, held) in enumerate(found.items()):
        assert words is not None
        body = held.body
        if content == "another_world":
            body = words.wrong_body(name)
        elif content == "shuffled":
            body = found[names[(i + 1) % len(names)]].body
        elif content == "filler":
            body = (FILLER,) * len(body)
        readable = body if all(w in PRIMITIVES for w in body) else None
        post = Post("definition", "reader", 0, name, words.definition(name, body))
        shown[name] = ShownDefinition(held.post, post, readable)
    return shown
