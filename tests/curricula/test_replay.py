"""The bank of learnable problems: filters and weights of draws."""

import random
from collections import Counter

from curricula.replay import Bank, Entry, Readable


def entry(
    post: str, solve_rate: float = 0.5, generation: int = 0, domain: str = "list_programs", author: str = "ada"
) -> Entry:
    return Entry(post, domain, author, f"rev | {post}", "rev 1 answer 1", solve_rate, generation)


def bank(*entries: Entry) -> Bank:
    made = Bank()
    made.add(entries)
    return made


def test_entries_accumulate_in_order():
    made = bank(entry("a"))
    made.add([entry("b"), entry("c")])
    made.add([])
    assert [e.post for e in made.entries] == ["a", "b", "c"]


def test_sample_without_replacement():
    made = bank(*(entry(str(i)) for i in range(5)))
    assert len({e.post for e in made.sample(random.Random(0), 3, now=0)}) == 3
    assert sorted(e.post for e in made.sample(random.Random(0), 9, now=0)) == list("01234")
    assert made.sample(random.Random(0), 0, now=0) == []
    assert Bank().sample(random.Random(0), 3, now=0) == []


def by(author: str) -> Readable:
    return lambda e: e.author == author


def test_sample_is_deterministic():
    made = bank(*(entry(str(i), i / 10) for i in range(10)))
    assert made.sample(random.Random(3), 4, now=2) == made.sample(random.Random(3), 4, now=2)
    again = [made.parents(random.Random(3), 4, 2, 0.9, "list_programs") for _ in range(2)]
    assert again[0] == again[1]


def test_sample_filters():
    made = bank(
        entry("a"),
        entry("b", domain="hidden_words"),
        entry("c", author="bob"),
        entry("d", generation=3),
    )

    def posts(**filters: object) -> list[str]:
        return sorted(e.post for e in made.sample(random.Random(0), 9, 3, **filters))  # type: ignore[arg-type]

    assert posts(domain="hidden_words") == ["b"]
    assert posts(readable=by("bob")) == ["c"]
    assert posts(born=range(3, 4)) == ["d"]
    assert posts(born=range(3), readable=by("ada"), domain="list_programs") == ["a"]


def test_hard_entries_are_drawn_more_often():
    made, rng = bank(entry("hard", 0.1), entry("easy", 0.9)), random.Random(0)
    first = Counter(made.sample(rng, 1, now=0)[0].post for _ in range(1000))
    assert 850 < first["hard"] < 950  # expected 900
    drawn = Counter(e.post for e in made.parents(rng, 1000, 0, 1.0, "list_programs"))
    assert 850 < drawn["hard"] < 950


def test_recent_entries_are_drawn_more_often():
    made, rng = bank(entry("old", generation=0), entry("new", generation=2)), random.Random(0)
    faded = Counter(made.sample(rng, 1, now=2, fade=0.5)[0].post for _ in range(1000))
    assert 750 < faded["new"] < 850  # expected 800
    plain = Counter(made.sample(rng, 1, now=2)[0].post for _ in range(1000))
    assert 450 < plain["new"] < 550


def test_solved_entries_can_be_drawn():
    made = bank(entry("solved", 1.0))
    assert [e.post for e in made.sample(random.Random(0), 1, now=0)] == ["solved"]
    assert len(made.parents(random.Random(0), 2, 0, 1.0, "list_programs")) == 2


def test_parents():
    """Parents are drawn with replacement from readable entries of one domain."""
    made = bank(entry("a"), entry("b", author="bob"), entry("c", domain="hidden_words"))
    drawn = made.parents(random.Random(0), 50, 0, 1.0, "list_programs")
    assert len(drawn) == 50 and {e.post for e in drawn} == {"a", "b"}
    assert {e.post for e in made.parents(random.Random(0), 5, 0, 1.0, "list_programs", by("bob"))} == {"b"}
    assert made.parents(random.Random(0), 5, 0, 1.0, "list_programs", by("cy")) == []
