"""Retrieval gives few posts, within the budget, in an order that says nothing, with honest propensities."""

import random
from collections import Counter

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from culture.library import Library
from culture.posts import Post, sign_post
from culture.retrieval import render, retrieve

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def definition(name: str, body: str) -> Post:
    return Post("definition", "ada", 0, name, body)


def library_of(*posts: Post) -> Library:
    db = Database(memory=True)
    Library.create_tables(db)
    public = KEY.public_key().public_bytes_raw().hex()
    results = Library(db).add([sign_post(post, public, KEY.sign) for post in posts], lambda post: None)
    assert all(reason is None for _, reason in results)
    return Library(db)


def words_in(text: str) -> int:
    return len(text.split())


SIX = library_of(
    *[definition(name, "one two three") for name in ("a", "b", "c", "d", "e")], definition("long", "w " * 50)
)


def titles(library: Library = SIX, seed: int = 0, **options) -> list[str]:
    options = {"names": [], "budget": 1000, "count_tokens": words_in, **options}
    return [item.post.title for item in retrieve(library, rng=random.Random(seed), **options)]


def test_named_definitions_come_before_matches_of_words():
    library = library_of(definition("sort", "orders a list"), Post("lesson", "ada", 0, "tip", "reverse a list"))
    assert titles(library, names=["sort"], words="reverse list", limit=1) == ["sort"]
    assert sorted(titles(library, names=["sort"], words="reverse list", limit=2)) == ["sort", "tip"]
    assert titles(library, names=["nothing"], words="reverse", limit=2) == ["tip"]
    assert titles(library, names=[], words="") == []


def test_at_most_limit_items_and_each_once():
    assert sorted(titles(names=["a", "b", "c", "d"], limit=2)) == ["a", "b"]
    assert sorted(titles(names=["a", "a", "b"], words="one two three")) == ["a", "b", "c"]
    assert titles(names=["a"], limit=0) == []


def test_what_does_not_fit_is_passed_over_for_what_does():
    assert sorted(titles(names=["long", "b", "a"], budget=8)) == ["a", "b"]
    assert titles(names=["a"], budget=3) == []
    assert titles(names=["a"], budget=4) == ["a"]
    assert titles(names=["a"], budget=0) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 70), st.integers(0, 4), st.integers(0, 6), st.integers(0, 99), st.booleans())
def test_the_budget_is_never_exceeded(budget, limit, distractors, seed, words):
    found = retrieve(
        SIX,
        names=["long", "a"],
        words="three w" if words else "",
        budget=budget,
        limit=limit,
        count_tokens=words_in,
        rng=random.Random(seed),
        distractors=distractors,
    )
    assert sum(words_in(render(item.post)) for item in found) <= budget
    assert len(found) <= limit + distractors
    assert len({item.post.id for item in found}) == len(found)
    assert all(0 < item.propensity <= 1 for item in found)


def test_the_same_rng_gives_the_same_answer():
    options = {"names": ["a", "b"], "words": "three", "distractors": 2}
    assert titles(seed=5, **options) == titles(seed=5, **options)
    assert len({tuple(titles(seed=seed, **options)) for seed in range(20)}) > 1


def test_order_is_shuffled():
    assert {tuple(titles(seed=seed, names=["a", "b"])) for seed in range(20)} == {("a", "b"), ("b", "a")}


def test_distractors_are_other_definitions_chosen_with_the_stated_propensity():
    drawn: Counter[str] = Counter()
    runs = 600
    for seed in range(runs):
        found = retrieve(SIX, names=["a"], budget=1000, count_tokens=words_in, rng=random.Random(seed), distractors=2)
        assert {item.propensity for item in found if item.post.title == "a"} == {1.0}
        others = [item for item in found if item.post.title != "a"]
        assert [item.propensity for item in others] == [2 / 5, 2 / 5]
        drawn.update(item.post.title for item in others)
    assert set(drawn) == {"b", "c", "d", "e", "long"}
    assert all(abs(count / runs - 2 / 5) < 0.1 for count in drawn.values())


def test_a_tight_budget_keeps_the_propensity_of_short_distractors():
    drawn: Counter[str] = Counter()
    for seed in range(600):
        found = retrieve(SIX, names=["a"], budget=12, count_tokens=words_in, rng=random.Random(seed), distractors=2)
        assert all(item.propensity == 2 / 5 for item in found if item.post.title != "a")
        drawn.update(item.post.title for item in found)
    assert drawn["long"] == 0
    assert all(abs(drawn[name] / 600 - 2 / 5) < 0.1 for name in "bcde")


def test_more_distractors_than_definitions_are_all_of_them():
    found = retrieve(SIX, names=["a"], budget=1000, count_tokens=words_in, rng=random.Random(0), distractors=50)
    assert sorted(item.post.title for item in found) == ["a", "b", "c", "d", "e", "long"]
    assert {item.propensity for item in found} == {1.0}


def test_a_later_definition_of_a_taken_name_is_never_shown():
    library = library_of(definition("twice", "x plus x"), definition("twice", "wrong wrong"), definition("z", "zed"))
    assert titles(library, words="wrong") == []
    for seed in range(20):
        found = retrieve(library, names=[], budget=99, count_tokens=words_in, rng=random.Random(seed), distractors=9)
        assert sorted(item.post.body for item in found) == ["x plus x", "zed"]


def test_a_name_asked_for_but_passed_over_is_not_a_distractor():
    for seed in range(20):
        assert sorted(titles(seed=seed, names=["a"], limit=0, distractors=9)) == ["b", "c", "d", "e", "long"]


def test_what_is_counted_is_what_the_given_render_shows():
    assert titles(names=["a"], budget=2, render=lambda post: post.title) == ["a"]


def test_a_view_of_an_earlier_generation_retrieves_nothing_later():
    library = library_of(definition("old", "sort"), Post("definition", "ada", 3, "new", "sort"))
    assert titles(library.as_of(2), names=["new"], words="sort", distractors=3) == ["old"]


@pytest.mark.parametrize("option", ["budget", "limit", "distractors"])
def test_negative_numbers_are_refused(option):
    with pytest.raises(ValueError, match="negative"):
        titles(**{option: -1})
