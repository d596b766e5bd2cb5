"""What an agent knows of names: by reading its shelf of the library, and by recalling what its weights hold.

A shelf holds, by name, the definition in force among what the agent may read (`arena.library.visibility`), from a post
of its own or from a page of a book, as its reader sees it. `library.content` is where a control shows something else in
its place; what is stored is never changed. Guessers take what is on their shelf, and with `rounds.recall` what they say
from memory, for what they know: right or wrong, they build on it.

Left out: doubt. A reader believes what it reads before what it remembers, and does not weigh two sources.
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
"""How the `about` of a post in its author's own words begins; the domain and the round that it comes from follow."""

Body = tuple[str, ...]


@dataclass(frozen=True)
class StoredDefinition:
    """A definition in the library: the post it stands in (its own, or a book), and its body in primitives."""

    post: str
    author: str
    body: Body


@dataclass(frozen=True)
class ShownDefinition:
    """A definition as its reader sees it: where it stands, what is shown, and its body if that reads as one."""

    post: str
    page: Post
    body: Body | None

    @property
    def text(self) -> str:
        return self.page.body


class DefinitionIndex:
    """The shelves of one phase, each made once; posts that are added while it lives are not on them."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self._held: dict[frozenset[str] | None, dict[str, StoredDefinition]] = {}
        self._seen: dict[frozenset[str] | None, dict[str, ShownDefinition]] = {}

    def stored(self, agent: str) -> dict[str, StoredDefinition]:
        """What the library holds for `agent` to read, by name, oldest first, as it was written."""
        key = visible_authors(self.state, agent)
        if key not in self._held:
            self._held[key] = definitions_in(self.state.library.within(scope(self.state, agent)))
        return self._held[key]

    def shown(self, agent: str, training: bool = False) -> dict[str, ShownDefinition]:
        """The same as a reader sees it. Empty where nobody reads, unless it is asked for what is slept on."""
        if not (self.state.config.library.reading or training):
            return {}
        key = visible_authors(self.state, agent)
        if key not in self._seen:
            self._seen[key] = apply_content(self.state, self.stored(agent))
        return self._seen[key]


def definitions_in(view: Library) -> dict[str, StoredDefinition]:
    """Definitions in force by name, oldest first: posts of their own before pages of books."""
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
    """What `library.content` makes of a shelf. A single definition has no other whose body it could have: it is not
    shown where they are shuffled."""
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
