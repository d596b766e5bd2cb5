"""Scores of `eval`, compared with known values and values counted by hand."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from statistics import mean

import pytest

from arena.evals.contamination import POSTED, SET, TRAINED, met, plain
from arena.evals.dataset import Item, ItemSet
from arena.evals.participants import AGENTS, BASE, Participant
from arena.evals.sampling import Question, Reply
from arena.evals.scorers import ScoredReply
from arena.evals.scores import ALL, CLEAN, GREEDY, difference, estimate, ks, score
from culture.posts import Post
from curricula.list_programs import ListPrograms
from tests.helpers.culture_runs import peopled, publish

K = 4
LINES = (1, 2, 3)


def judged(player: Participant, verdicts: dict[int, list[bool]]) -> list[ScoredReply]:
    """A greedy verdict and K samples an item."""
    items = tuple(Item(line, str(line), "a" if line < 3 else "b", f"q{line}", answer="1") for line in LINES)
    s = ItemSet("set", Path("set.jsonl"), "d" * 64, len(items), items)
    return [
        ScoredReply(Reply(Question(s, item, player, "q"), None if j == 0 else j - 1, "", "stop", 1, 1), "", right, "ok")
        for item in items
        for j, right in enumerate(verdicts[item.line])
    ]


def test_pass_at_k_equals_mean_over_subsets() -> None:
    a = {1: [True, True, False, False, False], 2: [False] * 5, 3: [True] * 5}
    b = {1: [False, False, True, True, False], 2: [True, False, False, False, False], 3: [True] * 5}
    base = {line: [False, True, False, False, False] for line in LINES}
    found = [
        *judged(Participant(AGENTS, "a"), a),
        *judged(Participant(AGENTS, "b"), b),
        *judged(Participant(BASE, "a"), base),
    ]
    items = found[0].reply.question.set.items
    scores = score(items, ["a", "b"], found, {2}, K)
    assert scores.measures == (GREEDY, "1", "2", "4") and scores.arms == (AGENTS, BASE)

    def by_hand(verdicts: dict[int, list[bool]], k: int, lines: tuple[int, ...]) -> float:
        return mean(mean(any(some) for some in combinations(verdicts[line][1:], k)) for line in lines)

    for level, lines in ((ALL, LINES), (CLEAN, (1, 3)), ("level a", (1, 2)), ("level b", (3,))):
        for k in (1, 2, 4):
            expected = mean(by_hand(v, k, lines) for v in (a, b))
            assert scores.row(AGENTS, level)[str(k)]["mean"] == pytest.approx(expected)
            assert scores.row("b", level)[str(k)]["mean"] == pytest.approx(by_hand(b, k, lines))
            d = scores.difference(AGENTS, BASE, level)
            assert d and d[str(k)]["mean"] == pytest.approx(expected - by_hand(base, k, lines))
    assert scores.row(AGENTS)[GREEDY]["mean"] == pytest.approx(4 / 6)
    assert scores.row(AGENTS, CLEAN)["items"] == 2


def test_no_clean_items_no_clean_score() -> None:
    found = judged(Participant(BASE, "a"), {line: [True] * 5 for line in LINES})
    scores = score(found[0].reply.question.set.items, ["a"], found, set(LINES), K)
    assert scores.row(BASE, CLEAN)[GREEDY] is None and not scores.differences


def test_intervals_contain_estimate_and_have_width() -> None:
    for values in ([0.0] * 20, [1.0] * 20, [0.0, 1.0] * 10, [0.25, 0.5, 1.0, 0.0]):
        found = estimate(values)
        assert found and found["low"] <= found["mean"] <= found["high"] and found["low"] < found["high"]
    same = difference([1.0] * 20, [1.0] * 20)
    assert same and same["mean"] == 0 and same["low"] < -0.1 and same["high"] > 0.1
    apart = difference([1.0] * 15 + [0.0] * 5, [0.0] * 20)
    assert apart and apart["mean"] == 0.75 and 0.4 < apart["low"] < 0.75 < apart["high"] < 1
    assert estimate([]) is None and difference([], []) is None
    half = estimate([0.5])
    assert half and half["low"] < 0.2 and half["high"] > 0.8


def test_pass_at_k_for_powers_of_two_and_k() -> None:
    assert [ks(k) for k in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


def test_text_normalisation() -> None:
    assert plain("What  is\n(2+2)?") == "what is ( 2 + 2 ) ?"


def test_contamination(tmp_path: Path) -> None:
    long = "How many stones does it take to fill the old well by the mill to its brim?"
    with peopled(tmp_path, "met", generation=1) as arena:
        names = arena.state.living
        worked = "rev 4 1 3 ; inc 5 2 4 ; dbl 0 4 8 answer 0 4 8"
        post = Post("worked_example", names[0], 1, "rev inc dbl | 3 1 4", worked, (), "list_programs")
        (id_,) = publish(arena, post)
        worked = "dec 2 0 3 ; dup 2 2 0 3 answer 2 2 0 3"
        publish(arena, Post("worked_example", names[0], 3, "dec dup | 3 1 4", worked, (), "list_programs"))
        row = {"generation": 1, "domain": "list_programs", "valid": 1}
        problems = [("r1", "cum neg | 5 5"), ("r2", "rot swap | 1 2 3"), ("r3", f"Say: {long} Say it.")]
        with arena.store.transaction():
            arena.store.insert({"problems": [{**row, "round": r, "text": text} for r, text in problems]})
            arena.store.insert({"problems": [{**row, "round": "r4", "text": "dbl dbl | 7", "valid": 0}]})
            read = {"id": "x", "generation": 2, "phase": "sleep", "agent": names[1], "request": "g0002"}
            arena.store.insert({"reads": [{**read, "post": id_, "propensity": 1.0}]})

        def problem(text: str) -> Item:
            return Item(1, "1", "-", text, problem=ListPrograms().problem(text))

        items = [
            problem("rev inc dbl | 3 1 4"),
            problem("cum neg | 5 5"),
            problem("neg | 5 5"),  # part of one that was set, and another problem
            problem("dbl dbl | 7"),  # was refused
            problem("dec dup | 3 1 4"),  # posted later
            Item(6, "6", "-", "solve  Rot swap | 1 2 3 think"),
            Item(7, "7", "-", long),
            Item(8, "8", "-", "Say"),  # contained in a problem that was set, but too short to count
            Item(9, "9", "-", "solve dec rot swap | 1 2 3 think"),  # contains a problem that was set
        ]
        found = met(arena.store, arena.state.domains, items, 2)
        assert found == [{POSTED, TRAINED}, {SET}, set(), set(), set(), {SET}, {SET}, set(), set()]
        assert met(arena.store, arena.state.domains, items[:1], 1) == [{POSTED}]
        assert met(arena.store, arena.state.domains, items[4:5], 3) == [{POSTED}]
