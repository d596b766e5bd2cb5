"""Posts that say the same: of several the earliest is kept, at reading time; the log keeps them all.

Left out: paraphrases. Not guaranteed: that two texts with the same words in the same order mean the same.
"""

from collections.abc import Callable, Mapping, Sequence

from culture.posts import Post

Canonical = Callable[[Post], str]


def canonical_text(post: Post) -> str:
    """Kind and words of the body, without case and white space; of a definition its name too, since two names with one
    meaning are two definitions. Signs count: `-1` is not `1`. Equal where two posts are taken for the same."""
    name = [post.title] if post.kind == "definition" else []
    return "\n".join([post.kind, *name, " ".join(post.body.casefold().split())])


def collapse(posts: Sequence[Post], order: Mapping[str, int], canonical: Canonical = canonical_text) -> list[Post]:
    """One post of each canonical text: the earliest by `order` (id to place of admission), where the first stood."""
    kept: dict[str, Post] = {}
    for post in posts:
        key = canonical(post)
        if key not in kept or order[post.id] < order[kept[key].id]:
            kept[key] = post
    return list(kept.values())
