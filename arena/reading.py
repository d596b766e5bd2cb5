"""Between the agents and the library: what a reader is given, how a post is signed, and what is let in."""

from __future__ import annotations

from arena.state import Arena
from culture.library import Read
from culture.posts import Post, SignedPost, sign_post
from culture.retrieval import retrieve
from curricula.domain import Problem


def notes(arena: Arena, problem: Problem, agent: str, place: str, phase: str) -> tuple[tuple[str, ...], list[Read]]:
    """What `agent` is given to read for a problem, and the log of it."""
    config = arena.config.library
    if not config.limit or not (problem.names or config.by_words):
        return (), []
    found = retrieve(
        arena.library,
        names=problem.names,
        words=problem.text if config.by_words else "",
        budget=config.budget,
        limit=config.limit,
        count_tokens=arena.engine.count_tokens,
        rng=arena.rng(place, "read"),
        distractors=config.distractors,
        render=body_of,
    )
    if config.network == "self":
        found = [f for f in found if f.post.author == agent]
    reads = [Read(arena.generation.index, phase, agent, place, f.post.id, f.propensity) for f in found]
    return tuple(f.post.body for f in found), reads


def body_of(post: Post) -> str:
    return post.body


def sign(arena: Arena, post_: Post) -> SignedPost:
    return sign_post(post_, arena.keys.public_key(post_.author), lambda data: arena.keys.sign(post_.author, data))


def admit(arena: Arena, post_: Post) -> str | None:
    """The library's admission check: definitions are executed, worked examples verified, held-out problems refused."""
    if post_.kind == "definition":
        words = arena.words_domain()
        return words.check_definition(post_.body) if words else "this run has no hidden words"
    if post_.kind == "worked_example":
        domain = arena.domains.get(post_.about.partition("/")[0])
        if domain is None:
            return f"speaks of no domain of this run: {post_.about!r}"
        try:
            problem = domain.problem(post_.title)
        except ValueError as error:
            return str(error)
        if domain.is_heldout(problem):
            return "held-out problem"
        verdict = domain.verify(problem, post_.body)
        return None if verdict.correct else verdict.reason
    return f"nothing checks posts of kind {post_.kind!r} yet"
