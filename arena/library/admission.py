"""What is admitted to the library: posts are signed by their authors and checked before they are added.

The check executes what a post claims, by the domain it is about. Posts in free text are checked for what is on record
(`arena.library.free_text`). Left out: quotas and references between posts, which `culture.library` checks.
"""

from __future__ import annotations

from agents.identity import KeyRing
from arena.library.free_text import check as check_free_text
from arena.library.free_text import is_free_text
from arena.run.fold import RunState
from culture.kinds import POST_KINDS
from culture.posts import Post, SignedPost, sign_post
from curricula.post_forms import PostDomain, check_worked_example


def sign(keys: KeyRing, post: Post) -> SignedPost:
    return sign_post(post, keys.public_key(post.author), lambda data: keys.sign(post.author, data))


def admit(state: RunState, post: Post) -> str | None:
    """Why a post is refused, or None. Reviews and retractions claim nothing that can be executed: the library's own
    rules are all that they have to meet."""
    kind = POST_KINDS[post.kind]
    if not kind.checked:
        return None
    if is_free_text(post):
        return check_free_text(state, post)
    name = post.about.partition("/")[0]
    domain = state.domains.get(name)
    if domain is None:
        return f"speaks of no domain of this run: {post.about!r}"
    if kind.check is not None:
        return kind.check(post, domain)
    if isinstance(domain, PostDomain):
        return domain.check_post(post.kind, post.title, post.body, post.about)
    if post.kind == "worked_example":
        return check_worked_example(domain, post.title, post.body, post.about)
    return f"{name} cannot check posts of kind {post.kind!r}"
