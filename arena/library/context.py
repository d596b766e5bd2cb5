"""The notes that a reader gets with a problem: retrieved posts, their log entries, and what was withheld at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from arena.library.definitions import PROSE, DefinitionIndex
from arena.library.free_text import note
from arena.library.utility import utilities
from arena.library.visibility import scope
from arena.run.fold import RunState
from culture.library import Read
from culture.posts import Post
from culture.retrieval import retrieve
from curricula.domain import Domain, Named, Problem

DISTRACTOR = "beside"
"""Phase under which reads of distractors are logged; they are no trials of a post's utility."""


@dataclass(frozen=True)
class Notes:
    """Texts shown to a reader, the reads to log, and the posts that were chosen but withheld at random."""

    texts: tuple[str, ...] = ()
    reads: tuple[Read, ...] = ()
    withheld: tuple[Read, ...] = ()


def notes(
    state: RunState,
    index: DefinitionIndex,
    problem: Problem,
    agent: str,
    place: str,
    phase: str,
    *,
    count_tokens: Callable[[str], int],
    chat: bool,
    withhold: float = 0.0,
) -> Notes:
    """The posts that `agent` is shown with a problem: definitions of the names in it, posts found by words where
    `library.by_words` is set, and distractors.

    `place` keys what is drawn at random, `phase` is what the reads are logged under, `count_tokens` measures the token
    budget, `chat` says whether posts are quoted as in a chat. `withhold`: probability of leaving a found post out.
    """
    config = state.config.library
    if not config.reading or not config.limit or not (problem.names or config.by_words):
        return Notes()
    shelf = index.shown(agent)
    pages = {name: shown.page for name, shown in shelf.items()}
    source = {shown.page.id: shown.post for shown in shelf.values()}
    render = partial(quoted, state) if chat else body_of
    domain = state.domains.get(problem.domain)
    spoken_of = (problem.domain, *(domain.kin if isinstance(domain, Named) else ()))
    found = retrieve(
        state.library.within(scope(state, agent)),
        names=problem.names,
        words=problem.shown if config.by_words else "",
        budget=config.budget,
        limit=config.limit,
        count_tokens=count_tokens,
        rng=state.rng(place, "read"),
        distractors=config.distractors,
        render=render,
        definitions=pages,
        worth=utilities(state) if config.by_words else None,  # a name has one definition: there is nothing to rank
        explore=config.explore,
        withhold=withhold,
        accept=lambda post: speaks_of(post) in spoken_of,
    )
    g = state.generation.index
    log = [
        (
            f.shown,
            Read(g, phase if f.asked else DISTRACTOR, agent, place, source.get(f.post.id, f.post.id), f.propensity),
        )
        for f in found
    ]
    return Notes(
        tuple(render(f.post) for f in found if f.shown),
        tuple({read.id: read for shown, read in log if shown}.values()),  # two definitions of one book are one read
        tuple({read.id: read for shown, read in log if not shown}.values()),
    )


def speaks_of(post: Post) -> str:
    """The domain that a post is about."""
    return post.about.removeprefix(PROSE).partition("/")[0]


def quoted(state: RunState, post: Post) -> str:
    """A post as readers see it in a chat. Of the problem of a worked example they see what its solvers saw: readers
    shown a setter's program copy its lines instead of working them out (docs/measurements.md)."""
    domain = state.domains.get(speaks_of(post))
    if post.kind == "worked_example" and domain is not None:
        post = replace(post, title=_shown(domain, post.title))  # type: ignore[arg-type]  # a domain is hashed by identity
    return note(post)


@lru_cache(maxsize=4096)
def _shown(domain: Domain, text: str) -> str:
    return domain.problem(text).shown


def body_of(post: Post) -> str:
    return post.body
