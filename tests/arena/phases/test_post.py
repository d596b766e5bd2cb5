"""What agents write down: every kind from what makes it true, within its limits, and let in; what leaves the index."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from arena.config.schema import Config
from arena.library.context import DISTRACTOR
from arena.library.definitions import DefinitionIndex
from arena.library.forgetting import forget
from arena.library.utility import trials, utilities
from arena.phases.grade import review_rewards
from arena.phases.post import post
from arena.rounds.round import Round
from arena.run.state import Arena
from culture.library import Read
from culture.posts import Post
from culture.removals import verdict
from curricula.definitions import pages
from tests.helpers.culture_runs import define, meaning, peopled, publish, run_phase, store

ALL = "library.kinds=[definition,worked_example,lesson,failure,question,review,book]"
WORDS = ("domains.list_programs.share=0.5", "domains.hidden_words.share=0.5", "domains.hidden_words.levels=2", ALL)
RIGHT, WRONG, NONSENSE = "rev 4 1 3 answer 4 1 3", "rev 4 1 4 answer 4 1 4", "and so on"


@contextmanager
def press(folder: Path, *overrides: str, generation: int = 5) -> Iterator[Arena]:
    with peopled(folder, "press", *WORDS, *overrides, generation=generation) as arena:
        yield arena


def play_round(
    arena: Arena, author: str, proposal: str, *texts: str, parent: str | None = None, domain: str = "list_programs"
) -> Round:
    """A round of the generation in progress: the first other agent tries once a text."""
    g = arena.state.generation
    id = f"g{g.index:04d}r{len(g.rounds):04d}"
    solver = next(a for a in arena.state.living if a != author)
    made = Round(id, arena.state.domains[domain], author, (solver,), max(1, len(texts)), parent="w0")
    made.take([proposal])
    if made.problem and texts:
        made.take(texts)
    g.rounds.append(made)
    g.plan[id] = {"parent_post": parent}
    g.outcomes[id] = {"solve_rate": made.solve_rate}
    return made


def posted(arena: Arena, kind: str | None = None) -> list[Post]:
    """What the phase writes, all of which has to be let in."""
    records = run_phase(arena, "post")
    assert records.get("refusals", []) == []
    written = list(arena.state.library.iterate())
    ids = {row["id"] for row in records["posts"]}
    return [p for p in written if p.id in ids and kind in (None, p.kind)]


def seen(arena: Arena, agent: str, post_id: str, right: Sequence[int], phase: str = "solve", p: float = 0.9) -> None:
    """`agent` was shown a post for as many problems as there are outcomes, one attempt at each."""
    shown(arena, "reads", agent, post_id, right, phase, p)


def shown(
    arena: Arena, table: str, agent: str, post_id: str, right: Sequence[int], phase: str = "solve", p: float = 0.9
) -> None:
    g = arena.state.generation.index
    with arena.store.transaction():
        for correct in right:
            n = arena.store.query("SELECT COUNT(*) AS n FROM attempts")[0]["n"]
            place = f"x{n}"
            row = {"id": f"{place}/s/0", "generation": g, "round": place, "agent": agent, "seat": "s", "number": 0}
            arena.store.insert({"attempts": [{**row, "text": "", "correct": correct}]})
            log = arena.state.library.log_reads if table == "reads" else arena.state.library.log_withheld
            log([Read(g, phase, agent, f"{place}/s", post_id, p)])


# -- what is written -----------------------------------------------------------------------------------------------


def test_right_guess_becomes_one_definition(tmp_path: Path) -> None:
    with press(tmp_path, "library.network=line") as arena:
        ada, bo, cy = arena.state.living
        define(arena, 1, ada, "w0")
        w0, w1 = (" ".join(meaning(arena, n)) for n in ("w0", "w1"))
        arena.state.generation.right_guesses = [(ada, "w0", w0), (bo, "w0", w0), (bo, "w0", w0), (ada, "w1", w1)]
        found = posted(arena, "definition")
        assert [(p.author, p.title, p.body) for p in found] == [(bo, "w0", f"w0 = {w0}"), (ada, "w1", f"w1 = {w1}")]
        assert set(DefinitionIndex(arena.state).stored(bo)) == {"w0"} and DefinitionIndex(arena.state).stored(cy) == {}


def test_first_right_guess_defines_the_name(tmp_path: Path) -> None:
    with press(tmp_path) as arena:
        ada, bo, _ = arena.state.living
        w0 = " ".join(meaning(arena, "w0"))
        arena.state.generation.right_guesses = [(bo, "w0", w0), (ada, "w0", w0)]
        assert [p.author for p in posted(arena, "definition")] == [bo]


def test_burned_names_are_defined_again(tmp_path: Path) -> None:
    with press(tmp_path, "library.burn=4") as arena:
        ada = arena.state.living[0]
        define(arena, 3, ada, "w0")
        arena.state.generation.right_guesses = [(ada, "w0", " ".join(meaning(arena, "w0")))]
        assert [(p.generation, p.title) for p in posted(arena, "definition")] == [(5, "w0")]


def test_learnable_problem_becomes_worked_example(tmp_path: Path) -> None:
    with press(tmp_path) as arena:
        ada, bo, _ = arena.state.living
        (w0,) = define(arena, 1, ada, "w0")
        (parent,) = define(arena, 2, bo, "w1")
        hard = play_round(arena, ada, "rev | 3 1 4", WRONG, RIGHT, parent=parent)
        play_round(arena, ada, "rev | 5 1 4", "rev 4 1 5 answer 4 1 5")  # everybody can
        play_round(arena, ada, "rev | 6 1 4", WRONG)  # nobody could
        words = arena.state.words_domain()
        assert words is not None
        solution = words.solution(words.problem("w0 | 3 1 4"))
        play_round(arena, ada, "w0 | 3 1 4", solution, NONSENSE, parent=w0, domain="hidden_words")
        plain, named = posted(arena, "worked_example")
        assert (plain.author, plain.title, plain.body, plain.cites) == (bo, "rev | 3 1 4", RIGHT, (parent,))
        assert plain.about == f"list_programs/{hard.id}"
        assert (named.title, named.body, named.cites) == ("w0 | 3 1 4", solution, (w0,))
        assert [(e.author, e.text, e.solve_rate) for e in arena.state.bank.entries] == [
            (bo, "rev | 3 1 4", 0.5),
            (bo, "w0 | 3 1 4", 0.5),
        ]


def test_no_op_proposal_becomes_a_lesson(tmp_path: Path) -> None:
    with press(tmp_path) as arena:
        ada, bo, _ = arena.state.living
        for proposal in ("rev rev | 3 1 4", "rev rev | 1 2", "inc dec | 3 1 4", "neg neg | 3 1 4", "no program"):
            play_round(arena, ada, proposal)
        play_round(arena, bo, "inc dec | 5 6")
        play_round(arena, bo, "sort | 1 2 3")  # which changes nothing here and something elsewhere
        found = posted(arena, "lesson")
        assert [(p.author, p.body) for p in found] == [(ada, "rev rev = nothing"), (ada, "inc dec = nothing")]
        arena.state.generation.index, arena.state.generation.rounds = 6, []
        play_round(arena, bo, "rev rev | 3 3 4")
        play_round(arena, bo, "neg neg | 3 3 4")
        assert [p.body for p in posted(arena, "lesson")] == ["neg neg = nothing"]


def test_wrong_guesses_and_attempts_become_failures(tmp_path: Path) -> None:
    with press(tmp_path) as arena:
        ada, bo, _ = arena.state.living
        words = arena.state.words_domain()
        assert words is not None
        define(arena, 1, ada, "w0")
        bad = {n: " ".join(words.wrong_body(n)) for n in ("w0", "w1", "w2")}
        arena.state.generation.wrong_guesses = [
            (bo, "w0", bad["w0"]),  # who can read what it means would not be told
            (bo, "w1", "what is this"),  # no guess at all
            (bo, "w1", bad["w1"]),
            (bo, "w2", bad["w2"]),
        ]
        for i in (4, 5, 6):
            play_round(arena, ada, f"rev | 3 1 {i}", f"rev {i} 1 {i} answer {i} 1 {i}")
        play_round(arena, bo, "rev | 3 1 7", "rev 7 1 3 answer 7 1 3")  # ada is right
        found = posted(arena, "failure")
        assert [(p.author, p.title) for p in found] == [(bo, "w1"), (bo, "rev | 3 1 4")]
        assert found[0].body == f"w1 | {bad['w1']} fails"
        assert found[1].body == "rev | 3 1 4 fails 1 because rev 4 1 4"
        arena.state.generation.index, arena.state.generation.rounds = 6, []
        assert [p.title for p in posted(arena, "failure")] == ["w2"]  # what was told is not told again


def test_unsolved_problem_becomes_a_question(tmp_path: Path) -> None:
    with press(tmp_path) as arena:
        ada, bo, _ = arena.state.living
        play_round(arena, ada, "rev | 3 1 4", RIGHT, WRONG)
        play_round(arena, ada, "rev | 3 1 5", NONSENSE)
        play_round(arena, ada, "rev | 3 1 6", NONSENSE)
        play_round(arena, bo, "rev | 3 1 7", NONSENSE)
        found = [(p.author, p.title, p.body) for p in posted(arena, "question")]
        assert found == [(a, f"rev | 3 1 {i}", f"question rev | 3 1 {i}") for a, i in ((ada, 5), (bo, 7))]


def test_readers_review_a_post_once_by_outcome(tmp_path: Path) -> None:
    with press(tmp_path) as arena:
        ada, bo, cy = arena.state.living
        good, bad, third, own, aside = define(arena, 1, ada, "w0", "w1", "w2", "w3", "w4")
        seen(arena, bo, good, [1, 0])
        seen(arena, bo, bad, [0, 1, 0])
        seen(arena, bo, third, [1])  # beyond what one reviews in a generation
        seen(arena, ada, own, [1])  # its own
        seen(arena, cy, aside, [1], DISTRACTOR)  # nobody asked for it
        found = {p.about: p for p in posted(arena, "review")}
        assert {id: (p.author, p.body) for id, p in found.items()} == {
            good: (bo, "helps"),
            bad: (bo, "fails because 2 of 3"),
        }
        assert {verdict(p) for p in found.values()} == {"helps", "fails"}
        assert found[good].cites == (good,) and found[good].title == "w0"
        arena.state.generation.index = 6
        seen(arena, bo, good, [0, 0])
        seen(arena, bo, third, [0])
        assert [(p.about, p.body) for p in posted(arena, "review")] == [(third, "fails because 1 of 1")]


# -- books ---------------------------------------------------------------------------------------------------------


def test_book_replaces_its_sources(tmp_path: Path) -> None:
    with press(tmp_path, generation=4) as arena:
        ada, bo, cy = arena.state.living
        old = [*define(arena, 1, ada, "w0", "w8"), *define(arena, 2, bo, "w1")]
        (first,) = posted(arena, "book")
        assert first.author == ada and first.title == "book 4" and set(first.cites) == set(old)
        assert pages(first.body) == {n: meaning(arena, n) for n in ("w0", "w1", "w8")}
        left = {r["post"]: (r["state"], r["cause"]) for r in arena.store.query("SELECT * FROM removals")}
        assert left == dict.fromkeys(old, ("compiled", first.id))
        assert {n: h.post for n, h in DefinitionIndex(arena.state).stored(cy).items()} == dict.fromkeys(
            ("w0", "w1", "w8"), first.id
        )
        arena.state.generation.index = 8
        define(arena, 6, cy, "w2")
        assert posted(arena, "book") == []  # of one that no book holds there is none
        new = define(arena, 7, cy, "w3")
        arena.state.generation.index = 12
        (second,) = posted(arena, "book")
        assert second.title == "book 1 2" and {first.id, *new} < set(second.cites)
        assert set(DefinitionIndex(arena.state).stored(bo)) == {"w0", "w1", "w8", "w2", "w3"}
        assert arena.state.library.verify() == []


def test_books_are_written_when_due(tmp_path: Path) -> None:
    few = "library.kinds=[definition]"
    for i, (g, given, n) in enumerate([(5, [], 0), (4, [few], 0), (4, [few, "library.forget=books"], 1)]):
        with press(tmp_path / str(i), *given, generation=g) as arena:
            define(arena, 1, arena.state.living[0], "w0", "w1")
            assert len(posted(arena, "book")) == n


def test_book_holds_definitions_its_group_reads(tmp_path: Path) -> None:
    with press(tmp_path, "library.network=line", generation=4) as arena:
        ada, bo, cy = arena.state.living
        define(arena, 1, ada, "w0", "w1")
        define(arena, 2, bo, "w0", "w2", "w3")  # another definition of the same name
        (kept,) = define(arena, 3, cy, "w0")
        found = {p.author: set(pages(p.body)) for p in posted(arena, "book")}
        assert found == {ada: {"w0", "w1"}, bo: {"w0", "w2", "w3"}}
        assert DefinitionIndex(arena.state).stored(cy)["w0"].post == kept


def test_book_compiles_the_definition_in_force(tmp_path: Path) -> None:
    with press(tmp_path, generation=4) as arena:
        ada, bo, _ = arena.state.living
        mine = define(arena, 1, ada, "w0", "w1")
        (other,) = define(arena, 2, bo, "w0")
        (found,) = posted(arena, "book")
        assert set(found.cites) == set(mine)
        assert DefinitionIndex(arena.state).stored(bo)["w0"].post == other
        assert set(DefinitionIndex(arena.state).stored(bo)) == {"w0", "w1"}


@pytest.mark.parametrize("network", ["all", "line", "ring", "islands", "self"])
def test_no_reader_loses_a_name_to_a_book(network: str, tmp_path: Path) -> None:
    """Circles of a ring overlap: what one compiles leaves the index of its neighbour too."""
    with press(tmp_path, f"library.network={network}", "population.agents=4", generation=4) as arena:
        for i, agent in enumerate(arena.state.living[:2]):
            define(arena, 1 + i, agent, f"w{i}")
        before = {a: dict.fromkeys(DefinitionIndex(arena.state).stored(a)) for a in arena.state.living}
        posted(arena)
        after = {a: DefinitionIndex(arena.state).stored(a) for a in arena.state.living}
        assert {a: set(names) for a, names in before.items() if not set(names) <= set(after[a])} == {}
        define(arena, 5, arena.state.living[2], "w2", "w3")
        before = {a: dict.fromkeys(DefinitionIndex(arena.state).stored(a)) for a in arena.state.living}
        arena.state.generation.index = 8
        posted(arena)
        assert all(set(names) <= set(DefinitionIndex(arena.state).stored(a)) for a, names in before.items())
        assert all(
            h.body == meaning(arena, n)
            for a in arena.state.living
            for n, h in DefinitionIndex(arena.state).stored(a).items()
        )


# -- what is let in --------------------------------------------------------------------------------------------------


def everything_happens(arena: Arena) -> None:
    ada, bo, _ = arena.state.living
    ids = define(arena, 1, ada, "w0", "w1")
    arena.state.generation.right_guesses = [(bo, "w2", " ".join(meaning(arena, "w2")))]
    arena.state.generation.wrong_guesses = [(bo, "w3", " ".join(meaning(arena, "w2")))]
    play_round(arena, ada, "rev | 3 1 4", WRONG, RIGHT)
    play_round(arena, ada, "rev rev | 3 1 4")
    play_round(arena, ada, "rev | 3 1 5", NONSENSE)
    seen(arena, bo, ids[0], [1])


@pytest.mark.parametrize("kinds", [["definition", "review"], ["lesson", "failure", "question"], ["worked_example"], []])
def test_only_configured_kinds_are_written(kinds: list[str], tmp_path: Path) -> None:
    with press(tmp_path, f"library.kinds={json.dumps(kinds)}", generation=4) as arena:
        everything_happens(arena)
        assert {p.kind for p in posted(arena)} == set(kinds)


def test_every_kind_is_signed_and_admitted(tmp_path: Path) -> None:
    with press(tmp_path, generation=4) as arena:
        everything_happens(arena)
        found = posted(arena)
        count = Counter(p.kind for p in found)
        assert set(count) == {"definition", "worked_example", "lesson", "failure", "question", "review", "book"}
        assert len({p.id for p in found}) == len(found)
        assert arena.state.library.verify() == []


def test_posts_over_the_quota_are_refused(tmp_path: Path) -> None:
    with press(tmp_path, "library.quota=1", generation=4) as arena:
        everything_happens(arena)
        records = store(arena, "post", post(arena))
        authors = Counter(row["author"] for row in records["posts"])
        assert authors and max(authors.values()) == 1
        assert {r["reason"] for r in records["refusals"]} == {"over the quota of 1 post"}


def test_gate_makes_all_posts_wait(tmp_path: Path) -> None:
    with press(tmp_path, "review=gate", generation=4) as arena:
        everything_happens(arena)
        records = store(arena, "post", post(arena))
        assert records["posts"] == []
        assert {r["kind"] for r in records["waiting"]} >= {"definition", "lesson", "book", "review"}


# -- worth, and what is forgotten --------------------------------------------------------------------------------------


def test_utility_compares_shown_with_withheld(tmp_path: Path) -> None:
    with press(tmp_path) as arena:
        ada, bo, _ = arena.state.living
        good, bad, sure = define(arena, 1, ada, "w0", "w1", "w2")
        for id, with_, without in ((good, 1, 0), (bad, 0, 1)):
            shown(arena, "reads", bo, id, [with_] * 8, p=0.5)
            shown(arena, "withheld", bo, id, [without] * 8, p=0.5)
        shown(arena, "reads", bo, sure, [1] * 8, p=1.0)  # could not have been left out
        shown(arena, "reads", bo, sure, [1] * 8, DISTRACTOR, p=0.5)
        found = trials(arena.store, 5, 5)
        assert len(found.rows) == 32 and set(found.kinds) == {good, bad} and set(found.authors.values()) == {ada}
        assert utilities(arena.state) == {}  # of this generation nothing is known in this generation
        arena.state.generation.index, arena.state.generation.utilities = 6, None
        known = utilities(arena.state)
        assert set(known) == {good, bad} and known[good] > 0 > known[bad]
        arena.state.generation.index, arena.state.generation.utilities = 6 + arena.config.library.uplift_window, None
        assert utilities(arena.state) == {}


def test_keep_policy_forgets_nothing(tmp_path: Path) -> None:
    with press(tmp_path, generation=400) as arena:
        define(arena, 1, arena.state.living[0], "w0", "w1")
        assert forget(arena.state, arena.models.engine.count_tokens) == []


def test_decay_keeps_recently_read_posts(tmp_path: Path) -> None:
    with press(tmp_path, "library.forget=decay", "library.half_life=2") as arena:
        ada, bo, _ = arena.state.living
        old, used = define(arena, 1, ada, "w0", "w1")
        define(arena, 4, ada, "w2")
        arena.state.generation.index = 4
        seen(arena, bo, used, [1])
        arena.state.generation.index = 5
        (row,) = forget(arena.state, arena.models.engine.count_tokens)
        assert (row["post"], row["state"], row["cause"], row["generation"]) == (old, "forgotten", "", 5)
        store(arena, "read", {"removals": [row]})
        assert set(DefinitionIndex(arena.state).stored(bo)) == {"w1", "w2"}
        assert forget(arena.state, arena.models.engine.count_tokens) == []


@pytest.mark.parametrize("policy", ["budget", "books"])
def test_full_index_forgets_the_stalest(policy: str, tmp_path: Path) -> None:
    with press(tmp_path, f"library.forget={policy}", "library.index=12") as arena:
        ada = arena.state.living[0]
        ids = [define(arena, 1 + i, ada, f"w{i}")[0] for i in range(4)]
        size = {
            i: arena.models.engine.count_tokens(f"w{k} = {' '.join(meaning(arena, f'w{k}'))}")
            for k, i in enumerate(ids)
        }
        gone = [r["post"] for r in forget(arena.state, arena.models.engine.count_tokens)]
        kept = [i for i in ids if i not in gone]
        assert gone and kept and sum(size[i] for i in kept) <= 12
        assert ids[-1] in kept and ids[0] in gone


def test_burned_posts_take_no_index_room(tmp_path: Path) -> None:
    """Old posts were of great use; what was found since the fire would have to make way for ash."""
    with press(tmp_path, "library.forget=budget", "library.index=6", "library.burn=4", "library.restore=7") as arena:
        ada = arena.state.living[0]
        (ash,) = define(arena, 3, ada, "w0")
        (new,) = define(arena, 4, ada, "w1")
        arena.state.generation.utilities = {ash: 0.9, new: 0.1}
        assert forget(arena.state, arena.models.engine.count_tokens) == []
        arena.state.generation.index = 7
        assert [r["post"] for r in forget(arena.state, arena.models.engine.count_tokens)] == [new]


def test_reviews_are_paid_by_later_utility(tmp_path: Path) -> None:
    with press(tmp_path, generation=5 + Config().rewards.review_lag) as arena:
        ada, bo, cy = arena.state.living
        good, bad, unread = define(arena, 1, ada, "w0", "w1", "w2")

        def review(author: str, about: str, body: str, generation: int = 5) -> None:
            publish(arena, Post("review", author, generation, "w", body, (about,), about))

        review(bo, good, "helps")
        review(bo, bad, "helps")
        review(cy, bad, "fails because 1 of 1")
        review(cy, good, "fails because 1 of 1")
        review(bo, unread, "helps")
        review(cy, unread, "helps", generation=6)
        arena.state.generation.utilities = {good: 0.4, bad: -0.1}
        assert review_rewards(arena.state) == [(bo, 0.5), (bo, -0.5), (cy, 0.5), (cy, -0.5)]
        arena.state.living.remove(cy)  # the dead are not paid
        assert review_rewards(arena.state) == [(bo, 0.5), (bo, -0.5)]
        arena.state.generation.index += 1
        assert review_rewards(arena.state) == []
