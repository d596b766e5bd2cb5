"""Search in a large library: rare words first, common words among the newest posts, only within the view."""

import random
from collections.abc import Iterator

import pytest

from culture import search
from culture.library import Library
from culture.posts import Post
from culture.scope import Scope
from tests.helpers.libraries import filled

COMMON = ("rev", "inc", "sort", "dbl")
AUTHORS = ("ada", "bo", "cy")


def posts(n: int = 400) -> list[Post]:
    """Posts that contain `all` and some common words; one in 40 contains a rare word."""
    rng = random.Random("posts")
    found = []
    for i in range(n):
        words = ["all", *rng.sample(COMMON, rng.randint(1, 3)), *([f"rare{i // 80}"] if i % 40 == 0 else [])]
        kind = "lesson" if i % 7 == 0 else "worked_example"
        found.append(Post(kind, AUTHORS[i % 3], i // 20, f"post {i}", " ".join(words)))
    return found


POSTS = posts()
LIBRARY = filled(*POSTS)


@pytest.fixture
def large() -> Iterator[Library]:
    """A library with limits so low that ten occurrences of a word are many and a hundred too many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "MATCHES", 10)
        patch.setattr(search, "WINDOW", 100)
        yield LIBRARY


def holding(*words: str) -> list[Post]:
    return [post for post in POSTS if set(words) & set(post.body.split())]


def test_small_library_uses_bm25_alone() -> None:
    query = (
        "SELECT p.id FROM posts_fts JOIN posts p ON p.seq = posts_fts.rowid WHERE posts_fts MATCH ?"
        " ORDER BY bm25(posts_fts), p.seq LIMIT 50"
    )
    ids = [row[0] for row in LIBRARY.db.conn.execute(query, ['"rare2" OR "sort" OR "inc"'])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "WINDOW", 0)
        assert [post.id for post in LIBRARY.search("rare2 sort inc", limit=50)] == ids


def test_rare_words_come_first(large: Library) -> None:
    found = large.search("sort all rare1 inc", limit=40)
    rare = holding("rare1")
    assert {p.id for p in found[: len(rare)]} == {p.id for p in rare} and len(rare) == 2
    assert {p.id for p in found[len(rare) :]} == {p.id for p in POSTS[-25:]}  # 100 occurrences of four words


def test_common_words_search_the_newest(large: Library) -> None:
    found = large.search("inc sort", limit=200)
    assert {p.id for p in found} == {p.id for p in POSTS[-50:] if p in holding("inc", "sort")}
    both = [p for p in found if {"inc", "sort"} <= set(p.body.split())]
    assert both and found[: len(both)] == both == sorted(both, key=POSTS.index)


def test_word_in_all_posts_has_no_weight(large: Library) -> None:
    with_all = large.search("inc all", limit=10)
    assert all("inc" in post.body for post in with_all)
    assert large.search("nowhere", limit=10) == [] and large.search("nowhere inc", limit=1)[0] in holding("inc")


def test_search_in_a_view(large: Library) -> None:
    """Results of a view do not depend on later posts."""
    early = large.as_of(9)
    found = early.search("inc sort", limit=200)
    assert {p.id for p in found} == {p.id for p in POSTS[150:200] if p in holding("inc", "sort")}
    fresh = filled(*POSTS[:200])
    assert [p.id for p in fresh.search("inc sort", limit=200)] == [p.id for p in found]
    few = large.within(Scope(frozenset(["ada"]), ((0, 4), (7, 7)), now=20)).search("inc rare0", "lesson", 50)
    assert few and all(p.author == "ada" and p.kind == "lesson" and p.generation in (0, 1, 2, 3, 4, 7) for p in few)
    assert large.within(Scope(frozenset(["nobody"]))).search("inc") == []
    assert large.within(Scope(generations=())).search("inc") == []


def test_search_is_deterministic(large: Library) -> None:
    for words in ("inc sort rev all", "rare1 rare3 dbl", "all"):
        assert large.search(words) == large.search(words) and len(large.search(words)) == 10


def test_limit_is_a_prefix(large: Library) -> None:
    for words in ("rev inc", "rare1 rare3 dbl"):
        whole = large.search(words, limit=60)
        assert [large.search(words, limit=n) for n in (0, 1, 5)] == [whole[:0], whole[:1], whole[:5]]


def test_many_words_cost_no_more(large: Library) -> None:
    assert len(large.search(" ".join(f"word{i}" for i in range(60)) + " inc", limit=3)) <= 3
