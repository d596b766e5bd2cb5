"""Similar problems: what counts as a repetition, and how pay falls with it."""

import random

import pytest

from arena.rounds.diversity import factor, repeats, template
from curricula.word_problems import WordProblems

GIFT = "A {} has {} dollars. A gift of {} dollars is added. How many dollars are now?"
GIFTS = [GIFT.format(*x) for x in (("bakery", 122, 26), ("school", 31, 7), ("farm", 900, 45))]
OTHERS = [
    "Nadia buys 3 packs of 12 pencils and gives 7 to her brother. How many pencils does she keep?",
    "A tank holds 40 litres. It leaks 3 litres an hour for 5 hours. How much water is left?",
    "Felix is 12 years old and his aunt is three times as old. What is the age of the aunt?",
]


def test_one_template_is_found():
    texts = [*GIFTS, *OTHERS]
    counts = repeats([template(t, str(i)) for i, t in enumerate(texts)], [])
    assert counts == [2, 2, 2, 0, 0, 0]


def test_earlier_problems_count():
    assert repeats([template(GIFTS[0], "a")], [template(t, "b") for t in GIFTS[1:]]) == [2]


def test_names_and_numbers_do_not_matter():
    one, two = (template(f"{who} has {n} eggs and sells {m}. How many are left?", who) for who, n, m in
                (("Nadia", 3, "1,200"), ("Tomas", 77, "5.5")))  # fmt: skip
    assert one.trigrams == two.trigrams


def test_same_behaviour_is_similar():
    assert repeats([template("rev | 1 2", "k"), template("rot | 1 2 3", "k")], []) == [1, 1]


def test_school_texts_are_mostly_different():
    """Independent problems of the domain repeat each other less than a collapsed population does."""
    domain, rng = WordProblems(), random.Random(0)
    drawn = [domain.random_problem(rng, rng.choice((1, 2))) for _ in range(24)]
    counts = repeats([template(p.shown, p.behaviour_key) for p in drawn], [])
    assert sum(counts) / len(counts) < 3


@pytest.mark.parametrize(("count", "exponent", "pay"), [(0, 1.0, 1.0), (3, 1.0, 0.25), (3, 0.5, 0.5), (9, 0.0, 1.0)])
def test_pay_falls_with_repetition(count: int, exponent: float, pay: float):
    assert factor(count, exponent) == pay
