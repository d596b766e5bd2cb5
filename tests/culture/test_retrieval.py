"""Retrieval: limit and budget, shuffled order, propensities equal to observed frequencies."""

import random
from collections import Counter

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from culture.library import Library
from culture.posts import Post, sign_post
from culture.retrieval import Retrieved, render, retrieve
from culture.scope import Scope
from culture.uplift import Trial, contrast

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def definition(name: str, body: str, author: str = "ada") -> Post:
    return Post("definition", author, 0, name, body)


def library_of(*posts: Post) -> Library:
    db = Database(memory=True)
    Library.create_tables(db)
    public = KEY.public_key().public_bytes_raw().hex()  # several names may share a key
    results = Library(db).add([sign_post(post, public, KEY.sign) for post in posts], lambda post: None)
    assert all(reason is None for _, reason in results)
    return Library(db)


def words_in(text: str) -> int:
    return len(text.split())


SIX = library_of(
    *[definition(name, "one two three") for name in ("a", "b", "c", "d", "e")], definition("long", "w " * 50)
)


def retrieved(library: Library, seed: int = 0, **options) -> list[Retrieved]:
    options = {"names": [], "budget": 1000, "count_tokens": words_in, **options}
    return retrieve(library, rng=random.Random(f"seed {seed}"), **options)


def titles(library: Library = SIX, seed: int = 0, **options) -> list[str]:
    options = {"names": [], "budget": 1000, "count_tokens": words_in, **options}
    return [item.post.title for item in retrieve(library, rng=random.Random(seed), **options)]


def test_definitions_before_word_matches():
    library = library_of(definition("sort", "orders a list"), Post("lesson", "ada", 0, "tip", "reverse a list"))
    assert titles(library, names=["sort"], words="reverse list", limit=1) == ["sort"]
    assert sorted(titles(library, names=["sort"], words="reverse list", limit=2)) == ["sort", "tip"]
    assert titles(library, names=["nothing"], words="reverse", limit=2) == ["tip"]
    assert titles(library, names=[], words="") == []


def test_limit_and_no_repeats():
    assert sorted(titles(names=["a", "b", "c", "d"], limit=2)) == ["a", "b"]
    assert sorted(titles(names=["a", "a", "b"], words="one two three")) == ["a", "b", "c"]
    assert titles(names=["a"], limit=0) == []


def test_posts_that_do_not_fit_are_skipped():
    assert sorted(titles(names=["long", "b", "a"], budget=8)) == ["a", "b"]
    assert titles(names=["a"], budget=3) == []
    assert titles(names=["a"], budget=4) == ["a"]
    assert titles(names=["a"], budget=0) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 70), st.integers(0, 4), st.integers(0, 6), st.integers(0, 99), st.booleans())
def test_budget_is_never_exceeded(budget, limit, distractors, seed, words):
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


def test_same_rng_same_result():
    options = {"names": ["a", "b"], "words": "three", "distractors": 2}
    assert titles(seed=5, **options) == titles(seed=5, **options)
    assert len({tuple(titles(seed=seed, **options)) for seed in range(20)}) > 1


def test_order_is_shuffled():
    assert {tuple(titles(seed=seed, names=["a", "b"])) for seed in range(20)} == {("a", "b"), ("b", "a")}


def test_distractor_propensity():
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


def test_distractor_propensity_with_tight_budget():
    drawn: Counter[str] = Counter()
    for seed in range(600):
        found = retrieve(SIX, names=["a"], budget=12, count_tokens=words_in, rng=random.Random(seed), distractors=2)
        assert all(item.propensity == 2 / 5 for item in found if item.post.title != "a")
        drawn.update(item.post.title for item in found)
    assert drawn["long"] == 0
    assert all(abs(drawn[name] / 600 - 2 / 5) < 0.1 for name in "bcde")


def test_distractors_are_limited_by_definitions():
    found = retrieve(SIX, names=["a"], budget=1000, count_tokens=words_in, rng=random.Random(0), distractors=50)
    assert sorted(item.post.title for item in found) == ["a", "b", "c", "d", "e", "long"]
    assert {item.propensity for item in found} == {1.0}


def test_later_definition_is_never_shown():
    library = library_of(definition("twice", "x plus x"), definition("twice", "wrong wrong"), definition("z", "zed"))
    assert titles(library, words="wrong") == []
    for seed in range(20):
        found = retrieve(library, names=[], budget=99, count_tokens=words_in, rng=random.Random(seed), distractors=9)
        assert sorted(item.post.body for item in found) == ["x plus x", "zed"]


def test_skipped_name_is_not_a_distractor():
    for seed in range(20):
        assert sorted(titles(seed=seed, names=["a"], limit=0, distractors=9)) == ["b", "c", "d", "e", "long"]


def test_tokens_are_counted_on_the_rendered_text():
    assert titles(names=["a"], budget=2, render=lambda post: post.title) == ["a"]


def test_earlier_view_retrieves_nothing_later():
    library = library_of(definition("old", "sort"), Post("definition", "ada", 3, "new", "sort"))
    assert titles(library.as_of(2), names=["new"], words="sort", distractors=3) == ["old"]


# -- choosing, withholding, and what says the same ------------------------------------------------------------------

THREE = library_of(
    definition("twice", "x plus x"),
    definition("twice", "two times x", "bo"),
    definition("twice", "x and x again", "cy"),
    definition("twice", "ada thought again", "ada"),
    definition("inc", "one more", "bo"),
)
WORTH = {post.id: w for post, w in zip(THREE.by_title(["twice"])["twice"], (0.1, 0.6, -0.2, 9.0), strict=True)}


def frequencies(runs: int, library: Library, **options) -> tuple[Counter[str], dict[str, float]]:
    """How often each body was chosen and shown, and the propensity with which it always was."""
    drawn: Counter[str] = Counter()
    said: dict[str, float] = {}
    for seed in range(runs):
        for item in retrieved(library, seed, **options):
            if item.shown:
                drawn[item.post.body] += 1
                assert said.setdefault(item.post.body, item.propensity) == item.propensity
    return drawn, said


def test_most_useful_definition_is_preferred():
    drawn, said = frequencies(900, THREE, names=["twice", "inc"], worth=WORTH, explore=0.3)
    assert said == pytest.approx({"two times x": 0.8, "x plus x": 0.1, "x and x again": 0.1, "one more": 1.0})
    assert all(abs(drawn[body] / 900 - p) < 0.05 for body, p in said.items())


def test_choice_without_exploring():
    for seed in range(9):
        assert [(i.post.body, i.propensity) for i in retrieved(THREE, seed, names=["twice"], worth=WORTH)] == [
            ("two times x", 1.0)
        ]
        assert [i.post.body for i in retrieved(THREE, seed, names=["twice"], worth={})] == ["x plus x"]
        assert [i.post.body for i in retrieved(THREE, seed, names=["twice"])] == ["x plus x"]
    drawn, said = frequencies(600, THREE, names=["twice"], explore=1.0)
    assert set(said.values()) == {1 / 3} and all(abs(n / 600 - 1 / 3) < 0.07 for n in drawn.values())


def test_posts_that_do_not_fit_are_no_candidates():
    for seed in range(9):
        (item,) = retrieved(THREE, seed, names=["twice"], worth=WORTH, explore=0.3, render=lambda p: p.body, budget=3)
        assert item.propensity == pytest.approx(0.85 if item.post.body == "two times x" else 0.15)
    assert retrieved(THREE, names=["twice"], worth=WORTH, explore=0.5, budget=2) == []


def test_most_useful_word_match_is_preferred():
    posts = [Post("lesson", "ada", 0, f"l{i}", f"sort and body{i}") for i in range(4)]
    library = library_of(*posts)
    worth = {posts[2].id: 0.5, posts[3].id: 0.4}
    assert sorted(titles(library, words="sort", limit=2)) == ["l0", "l1"]
    assert sorted(titles(library, words="sort", limit=2, worth=worth)) == ["l2", "l3"]
    drawn, said = frequencies(900, library, words="sort", limit=1, worth=worth, explore=0.4)
    assert said["sort and body2"] == pytest.approx(0.7) and said["sort and body0"] == pytest.approx(0.1)
    assert all(abs(drawn[body] / 900 - p) < 0.05 for body, p in said.items())


def test_share_withheld():
    runs, out = 900, Counter()
    for seed in range(runs):
        items = retrieved(THREE, seed, names=["twice", "inc"], worth=WORTH, explore=0.3, withhold=0.2)
        assert len(items) == 2
        for item in items:
            chosen = {"one more": 1.0, "two times x": 0.8}.get(item.post.body, 0.1)
            assert item.propensity == pytest.approx(chosen * (0.8 if item.shown else 0.2))
            out[item.post.title] += not item.shown
    assert abs(out["twice"] / runs - 0.2) < 0.05 and abs(out["inc"] / runs - 0.2) < 0.05


def test_withholding_changes_only_what_is_shown():
    options = {"names": ["a", "b"], "words": "three", "limit": 3, "distractors": 2, "budget": 21}
    for seed in range(60):
        with_, without = (retrieved(SIX, seed, withhold=w, **options) for w in (0.5, 0.0))
        assert {i.post.id for i in with_} == {i.post.id for i in without}
        assert all(item.shown and item.propensity < 1 for item in with_ if not item.asked)
        assert all(item.shown for item in without)
    assert any(not i.shown for seed in range(9) for i in retrieved(SIX, seed, withhold=0.5, **options))


def test_uplift_is_unbiased_under_selection():
    """Readers of easy problems prefer bo's definition; it adds .4 to hard problems and nothing to easy ones."""
    good = THREE.by_title(["twice"])["twice"][1]
    found, raw = [], []
    for run in range(40):
        rng = random.Random(f"lucky {run}")
        trials = []
        for _ in range(400):
            easy = rng.random() < 0.5
            liked = {good.id: 1.0} if easy else {}
            items = retrieve(THREE, names=["twice"], budget=99, count_tokens=words_in, rng=rng, worth=liked,
                             explore=0.6, withhold=0.3)  # fmt: skip
            for item in items:
                if item.post == good:
                    passes = rng.random() < (0.9 if easy else 0.2 + 0.4 * item.shown)
                    trials.append(Trial(good.id, item.shown, item.propensity, float(passes)))
        found.append(contrast(trials).difference)
        raw.append(contrast([Trial(good.id, t.shown, 1.0, t.outcome) for t in trials]).difference)
    assert abs(sum(found) / 40 - 0.2) < 0.06
    assert sum(raw) / 40 < 0.14


def test_duplicates_are_read_once():
    library = library_of(
        Post("lesson", "bo", 0, "first", "Sort  the LIST"),
        Post("lesson", "ada", 0, "sort the list sort", "sort the list"),
        Post("failure", "ada", 0, "other kind", "sort the list"),
        Post("lesson", "ada", 0, "other", "sort the -list"),
        definition("one", "sort the list"),
        definition("two", "sort the list"),
        definition("two", "Sort the list", "bo"),
    )
    found = titles(library, words="sort the list", limit=9)
    assert sorted(found) == ["first", "one", "other", "other kind", "two"]
    assert sorted(titles(library, words="sort", limit=9, canonical=lambda post: post.kind)) == [
        "first", "one", "other kind",
    ]  # fmt: skip
    (two,) = retrieved(library, names=["two"], explore=1.0)
    assert (two.post.author, two.propensity) == ("ada", 1.0)


def test_words_add_no_second_definition():
    for seed in range(9):
        assert len(retrieved(THREE, seed, names=["twice"], words="x plus times", worth=WORTH, explore=0.5)) == 1


def test_choice_is_limited_to_the_scope():
    view = THREE.within(Scope(frozenset(["cy", "bo"])))
    drawn, said = frequencies(50, view, names=["twice"], words="x", worth=WORTH, explore=0.5)
    assert said == pytest.approx({"two times x": 0.75, "x and x again": 0.25}) and drawn.total() == 50


@pytest.mark.parametrize(
    ("option", "wrong"), [("explore", -0.1), ("explore", 1.1), ("withhold", -0.1), ("withhold", 1.0)]
)
def test_shares_out_of_range_are_refused(option, wrong):
    with pytest.raises(ValueError, match="explore must lie"):
        titles(**{option: wrong})


@pytest.mark.parametrize("option", ["budget", "limit", "distractors"])
def test_negative_numbers_are_refused(option):
    with pytest.raises(ValueError, match="negative"):
        titles(**{option: -1})
