"""Duplicate posts: when reading, the earliest of several equal posts is kept; the log keeps them all.

Left out: paraphrases. Not guaranteed: that two texts with the same words in the same order mean the same.
"""

from collections.abc import Callable, Mapping, Sequence

from culture.posts import Post

Canonical = Callable[[Post], str]


def canonical_text(post: Post) -> str:
    """Text that is equal for duplicates: kind and body, without case and white space, and for definitions the name,
    since two names with one meaning are two definitions. Signs count: `-1` is not `1`."""
    name = [post.title] if post.kind == "definition" else []
    return "\n".join([post.kind, *name, " ".join(post.body.casefold().split())])


def collapse(posts: Sequence[Post], order: Mapping[str, int], canonical: Canonical = canonical_text) -> list[Post]:
    """One post per canonical text: the earliest by `order` (id to position in the ledger), at the place of the first
    duplicate in `posts`."""
    kept: dict[str, Post] = {}
    for post in posts:
        key = canonical(post)
        if key not in kept or order[post.id] < order[kept[key].id]:
            kept[key] = post
    return list(kept.values())
