"""TODO."""

from __future__ import annotations

from arena.library.free_text import check as check_prose
from arena.library.free_text import is_prose
from arena.run.state import Arena
from culture.posts import Post, SignedPost, sign_post
from curricula.post_forms import PostDomain, check_worked_example


def sign(arena: Arena, post_: Post) -> SignedPost:
    return sign_post(post_, arena.keys.public_key(post_.author), lambda data: arena.keys.sign(post_.author, data))


def admit(arena: Arena, post_: Post) -> str | None:
    """The library's admission check: what a post says is executed by the domain it speaks of.

    Reviews and retractions say nothing that can be executed; the library holds them to its own rules.
    """
    if post_.kind in ("review", "retraction"):
        return None
    if is_prose(post_):
        return check_prose(arena, post_)
    name = post_.about.partition("/")[0]
    domain = arena.domains.get(name)
    if domain is None:
        return f"speaks of no domain of this run: {post_.about!r}"
    if isinstance(domain, PostDomain):
        return domain.check_post(post_.kind, post_.title, post_.body, post_.about)
    if post_.kind == "worked_example":
        return check_worked_example(domain, post_.title, post_.body, post_.about)
    return f"{name} cannot check posts of kind {post_.kind!r}"
