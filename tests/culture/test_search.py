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


def defined() -> Library:
    """Definitions among posts that repeat their words, which BM25 alone ranks higher."""
    found = [
        Post("definition", "ada", 1, f"w{i}", f"w{i} = {body}") for i, body in enumerate(("dbl rev", "rev", "inc"))
    ]
    for i in range(30):
        words = ("rev dbl", "dbl rev", "dbl inc rev")[i % 3]
        found.append(
            Post("worked_example", AUTHORS[i % 3], 1 + i // 10, words, f"{words} {i} : {words} {i + 1} ; {words}")
        )
    found += [
        Post("failure", "bo", 2, "w3", "w3 | rev dbl fails"),
        Post("definition", "cy", 4, "w3", "w3 = rev dbl"),
        Post("definition", "cy", 5, "w4", "w4 = rev dbl inc"),
        Post("lesson", "bo", 6, "rev rev", "rev rev = nothing"),
    ]
    return filled(*found)


def test_lookup_lists_definitions_of_the_words_first() -> None:
    library = defined()
    assert "w3 = rev dbl" not in [p.body for p in library.search("rev dbl", limit=5)]  # which is why there is `lookup`
    found = library.lookup("rev dbl", limit=99)
    assert found[0].body == "w3 = rev dbl"
    near = ["rev dbl" in f"{p.title} {p.body}" for p in found]
    assert near == sorted(near, reverse=True) and not all(near)  # phrases first, then posts with any of the words
    assert {p.id for p in found} == {p.id for p in library.search("rev dbl", limit=99)}


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("w3", "w3 = rev dbl"),
        ("W3", "w3 = rev dbl"),
        ("  rev   dbl ", "w3 = rev dbl"),
        ("w3 = rev dbl", "w3 = rev dbl"),
        ("dbl rev", "w0 = dbl rev"),
        ("rev", "w1 = rev"),
        ("rev dbl inc", "w4 = rev dbl inc"),
        ("rev rev", "rev rev = nothing"),
    ],
)
def test_lookup_finds_what_is_named(words: str, first: str) -> None:
    assert defined().lookup(words, limit=5)[0].body == first


def test_lookup_stays_in_its_view() -> None:
    library = defined()
    assert "w3 = rev dbl" not in [p.body for p in library.as_of(3).lookup("rev dbl", limit=99)]
    assert {p.kind for p in library.lookup("rev dbl", "worked_example")} == {"worked_example"}
    assert library.lookup("%", limit=5) == library.lookup('" OR *', limit=0) == library.lookup(" ", limit=5) == []
    assert [p.id for p in library.lookup("rev dbl", limit=7)] == [p.id for p in library.lookup("rev dbl", limit=9)][:7]
