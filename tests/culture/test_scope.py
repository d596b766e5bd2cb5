"""Every query of a view returns posts of its scope only."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from culture import library as module
from culture.library import Library
from culture.posts import Post
from culture.scope import EVERYTHING, Scope
from tests.helpers.libraries import admit_all, definition, filled, signed

AUTHORS = ("ada", "bo", "cy")
POSTS = [
    Post(kind, author, generation, title, f"some {author} word{generation}")
    for generation in range(4)
    for author in AUTHORS
    for kind, title in (("definition", "w0"), ("definition", f"w{generation}{author}"), ("lesson", "a lesson"))
]
GONE = {POSTS[0].id: 1, POSTS[5].id: 3, POSTS[-1].id: 0}
LIBRARY = filled(*POSTS)
LIBRARY.db.conn.executemany("INSERT INTO removals VALUES (?, ?, 'forgotten', '', 'old')", list(GONE.items()))

spans = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda s: (min(s), max(s)))
scopes = st.builds(
    Scope,
    st.none() | st.frozensets(st.sampled_from([*AUTHORS, "nobody'); --"]), max_size=3),
    st.none() | st.lists(spans, max_size=3).map(tuple),
    st.none() | st.integers(0, 4),
)


def inside(post: Post, scope: Scope) -> bool:
    return (
        (scope.authors is None or post.author in scope.authors)
        and (scope.generations is None or any(a <= post.generation <= b for a, b in scope.generations))
        and (scope.now is None or GONE.get(post.id, scope.now + 1) > scope.now)
    )


def check_view(view: Library, test: Callable[[Post], bool]) -> None:
    held = [post for post in POSTS if test(post)]
    definitions = [post for post in held if post.kind == "definition"]
    first = {post.title: post for post in reversed(definitions)}
    assert view.count() == len(held)
    assert view.by_kind() == {k: n for k in ("definition", "lesson") if (n := sum(p.kind == k for p in held))}
    assert view.by_author() == {a: n for a in AUTHORS if (n := sum(p.author == a for p in held))}
    assert list(view.iterate()) == held
    assert list(view.iterate("lesson", 2, "bo")) == [
        p for p in held if (p.kind, p.author) == ("lesson", "bo") and p.generation <= 2
    ]
    assert view.recent(5) == held[-5:]
    assert [view.get(post.id) for post in POSTS] == [post if test(post) else None for post in POSTS]
    assert view.definition_ids() == {title: post.id for title, post in first.items()}
    titles = ["w0", *first, "nope"]
    assert view.definitions(titles) == {t: first[t] for t in titles if t in first}
    assert view.by_title(titles) == {t: [p for p in definitions if p.title == t] for t in titles if t in first}
    assert {p.id for p in view.search("some", limit=99)} == {p.id for p in held}
    assert {p.id for p in view.search("word2", "lesson", 99)} == {
        p.id for p in held if p.generation == 2 and p.kind == "lesson"
    }


@settings(max_examples=100, deadline=None)
@given(scopes, st.none() | st.integers(0, 4))
def test_every_query_keeps_to_the_scope(scope: Scope, upto: int | None) -> None:
    for view in (LIBRARY.within(scope), LIBRARY.as_of(4).within(scope)):
        check_view(view, lambda p: inside(p, scope))
    if upto is not None:
        for view in (LIBRARY.within(scope).as_of(upto), LIBRARY.as_of(upto).within(scope)):
            check_view(view, lambda p: inside(p, scope) and p.generation <= upto)


@settings(max_examples=60, deadline=None)
@given(scopes, scopes)
def test_view_of_a_view_is_the_intersection(one: Scope, two: Scope) -> None:
    check_view(LIBRARY.within(one).within(two), lambda p: inside(p, one) and inside(p, two))


@pytest.mark.parametrize("few", [0, 5, 10**6])
def test_result_does_not_depend_on_the_index(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", few)
    monkeypatch.setattr(module, "MANY_AUTHORS", 2 * (few > 0))
    for authors in (None, frozenset(["bo"]), frozenset(AUTHORS)):
        for generations in (None, ((1, 1),), ((0, 0), (2, 3))):
            scope = Scope(authors, generations, 3)
            view = LIBRARY.within(scope)
            check_view(view, lambda p, scope=scope: inside(p, scope))  # type: ignore[misc]
            lessons = [p for p in POSTS if p.kind == "lesson" and inside(p, scope)]
            assert list(view.iterate("lesson")) == lessons
            for limit in (0, 2, 99):
                assert view.recent(limit, "lesson") == lessons[len(lessons) - min(limit, len(lessons)) :]
                assert view.recent(limit, "lesson", "cy") == [p for p in lessons if p.author == "cy"][-limit or 99 :]


def test_posts_admitted_late_are_found() -> None:
    late = definition("late", "some late word", generation=1)
    held = filled(*POSTS, late)
    for view in (held.as_of(1), held.as_of(9), held.within(Scope(frozenset(["ada"]), ((0, 1),), 9))):
        assert view.recent(1) == [late] == list(view.iterate())[-1:] and view.get(late.id) == late
        assert late in view.search("late") and view.by_title(["late"]) == {"late": [late]}


def test_later_view_of_an_earlier_view() -> None:
    assert LIBRARY.as_of(1).as_of(3).count() == LIBRARY.as_of(1).count()


def test_partial_view_is_read_only() -> None:
    for scope in (Scope(frozenset(["ada"])), Scope(generations=((0, 9),)), Scope(now=9)):
        with pytest.raises(ValueError, match="cannot be added to"):
            LIBRARY.within(scope).add([signed(definition("new"))], admit_all)
    assert LIBRARY.within(EVERYTHING).add([], admit_all) == []


def test_scope_of_many_authors() -> None:
    many = frozenset(f"agent{i}" for i in range(5_000)) | {"bo"}
    check_view(LIBRARY.within(Scope(many)), lambda p: p.author == "bo")


def test_reversed_span_is_refused() -> None:
    with pytest.raises(ValueError, match="4 to 2"):
        Scope(generations=((0, 1), (4, 2)))
