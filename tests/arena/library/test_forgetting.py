"""What is forgotten is the old and useless, or what there is no room for, and always the same."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from culture.forgetting import DECAY_BELOW, POLICIES, Indexed, forgotten, score


def item(seq: int, generation: int = 10, tokens: int = 10, worth: float = 0.5) -> Indexed:
    return Indexed(f"p{seq}", seq, generation, tokens, worth)


items = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 40), st.sampled_from([-0.3, 0.0, 0.05, 0.2, 0.9])), max_size=12
).map(lambda rows: [Indexed(f"p{i}", i, *row) for i, row in enumerate(rows)])


def test_score_halves_every_half_life() -> None:
    assert [score(item(1, 10, worth=0.8), now, 4) for now in (10, 14, 18)] == [0.8, 0.4, 0.2]
    assert score(item(1, worth=-0.5), 10, 4) == 0


def test_keep_forgets_nothing() -> None:
    assert forgotten("keep", [item(1, 0, worth=-1)], 100, 1.0, 0) == []


def test_decay_forgets_old_posts_with_low_utility() -> None:
    useful, harmful, new, used = item(1, 0, worth=0.2), item(2, 0, worth=-1), item(3, 8, worth=0), item(4, 7, worth=0)
    assert DECAY_BELOW == 0.05
    assert forgotten("decay", [useful, harmful, new, used], 8, 4) == ["p2"]
    assert forgotten("decay", [useful, harmful, new, used], 9, 4) == ["p1", "p2"]
    assert forgotten("decay", [useful, harmful, new, used], 12, 4) == ["p1", "p2", "p4"]


def test_budget_keeps_the_best_that_fit() -> None:
    best, long, short, worst = item(1, worth=0.9), item(2, tokens=50, worth=0.8), item(3, worth=0.3), item(4, worth=0.1)
    assert forgotten("budget", [worst, short, long, best], 10, 8, 25) == ["p2", "p4"]
    assert forgotten("budget", [best, long, short, worst], 10, 8, 80) == []
    assert forgotten("books", [best, long, short, worst], 10, 8, 0) == ["p1", "p2", "p3", "p4"]


def test_ties_keep_the_fresher_then_the_earlier() -> None:
    assert forgotten("budget", [item(1, 3, worth=0), item(2, 9, worth=0)], 10, 8, 10) == ["p1"]
    assert forgotten("budget", [item(1), item(2), item(3)], 10, 8, 20) == ["p3"]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(POLICIES), items, st.integers(20, 40), st.integers(0, 200), st.integers(0, 9))
def test_budget_holds_in_any_item_order(policy, found, now, budget, seed) -> None:  # type: ignore[no-untyped-def]
    gone = forgotten(policy, found, now, 4.0, budget)
    mixed = list(found)
    random.Random(seed).shuffle(mixed)
    assert forgotten(policy, mixed, now, 4.0, budget) == gone == sorted(gone, key=lambda p: int(p[1:]))
    kept = [i for i in found if i.post_id not in gone]
    if policy in ("budget", "books"):
        assert sum(i.tokens for i in kept) <= budget
        assert forgotten(policy, kept, now, 4.0, budget) == []


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown policy of forgetting 'forget'"):
        forgotten("forget", [], 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="half_life must be positive"):
        forgotten("decay", [item(1)], 10, 0)
    with pytest.raises(ValueError, match="which is after 9"):
        forgotten("budget", [item(1, 10)], 9)
    with pytest.raises(ValueError, match="index_tokens"):
        forgotten("budget", [], 1, 8, -1)
    with pytest.raises(ValueError, match="worth a number"):
        replace(item(1), worth=float("nan"))
