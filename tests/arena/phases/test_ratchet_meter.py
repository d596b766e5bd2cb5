"""The ratchet meter: what each library shows, that problems are paired, what a reading costs, that runs survive it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.engine import Completion, Request
from arena.config.schema import load_config
from arena.library.admission import admit, sign
from arena.loop import play
from arena.phases.birth import birth, fold_birth
from arena.phases.measure.heldout import measure
from arena.phases.measure.ratchet_meter import (
    BOTH,
    FOUND,
    LIBRARIES,
    Libraries,
    answer_by,
    cells,
    cost,
    definitions,
    parts,
    ratchet,
    reading_due,
    shuffled_bodies,
)
from arena.run.fold import Generation
from arena.run.state import Arena
from arena.run.store import Store
from culture.posts import Post
from curricula.hidden_world import spelled_out
from tests.helpers.crashes import Crash, die_inside_every_transaction, play_through

WRITTEN = {1: ("w0", "w1"), 2: ("w2",), 4: ("w3", "w4")}
"""Names defined in a generation; w0, w2 and w4 by the first agent, the others by the second."""


def start(folder: Path, *overrides: str) -> Arena:
    given = [f"run.folder={folder}", "run.name=meter", "measure.ratchet.every=1", "measure.ratchet.stale=2", *overrides]
    return Arena.create(load_config("configs/tiny.yaml", given))


def write(arena: Arena, generation: int, author: str, *names: str) -> None:
    words = arena.state.words_domain()
    assert words is not None
    with arena.store.transaction():
        posts = [
            Post("definition", author, generation, n, words.definition(n, words.world.bodies[n]), (), "hidden_words")
            for n in names
        ]
        results = arena.state.library.add([sign(arena.keys, p) for p in posts], lambda p: admit(arena.state, p))
        assert [reason for _, reason in results] == [None] * len(names)


def shelf_of(arena: Arena) -> Libraries:
    return Libraries(arena.state, arena.models.engine.count_tokens, by_words=False)


def cost_of(arena: Arena) -> int:
    return cost(cells(arena.state, arena.models), arena.models.engine.count_tokens)


def begin(arena: Arena, generation: int) -> Arena:
    fold_birth(arena, birth(arena))
    for g, names in WRITTEN.items():
        for name in names:
            write(arena, g, arena.state.living[int(name[1:]) % 2], name)
    arena.state.generation = Generation(generation)
    return arena


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    """Three newborn agents in generation 5, with a library written by hand."""
    with start(tmp_path) as made:
        yield begin(made, 5)


def named(arena: Arena) -> Any:
    words = arena.state.words_domain()
    assert words is not None
    return words


# -- what is shown -----------------------------------------------------------------------------------------------


def test_each_library_condition_has_its_content(arena: Arena) -> None:
    shelf = shelf_of(arena)
    assert set(shelf.held["none"]) == set()
    assert set(shelf.held["first"]) == {"w0", "w1"}
    assert set(shelf.held["stale"]) == {"w0", "w1", "w2"}  # as of generation 3
    assert set(shelf.held["own"]) == set(shelf.held["shuffled"]) == {"w0", "w1", "w2", "w3", "w4"}
    assert all(named(arena).check_definition(body) is None for body in shelf.held["own"].values())
    assert all(named(arena).check_definition(body) is not None for body in shelf.held["shuffled"].values())


def test_empty_library_shows_no_notes(tmp_path: Path) -> None:
    with start(tmp_path) as arena:
        fold_birth(arena, birth(arena))
        arena.state.generation = Generation(1)
        shelf = shelf_of(arena)
        problem = named(arena).heldout("dev", 1)[0]
        assert all(shelf.notes(problem, library) == () for library in LIBRARIES)


def test_posts_found_by_words_and_their_controls(arena: Arena) -> None:
    """Without names: the best match, another example, and the match with another's solution; earlier libraries hold
    what there was then."""
    held = {"rev inc | 3 1 4": 1, "sort dbl dec | 9 7": 2, "sort dbl | 1 2 2": 5, "neg | 5 5 1": 5}
    domain = arena.state.domains["list_programs"]
    examples = [
        Post(
            "worked_example",
            arena.state.living[0],
            g,
            text,
            domain.solution(domain.problem(text)),
            (),
            f"{domain.name}/r",
        )
        for text, g in held.items()
    ]
    with arena.store.transaction():
        added = arena.state.library.add([sign(arena.keys, p) for p in examples], lambda p: None)
    assert [reason for _, reason in added] == [None] * len(held)
    problem = domain.problem("sort dbl dec | 4 4 6")
    shelf = Libraries(arena.state, arena.models.engine.count_tokens, by_words=True)
    shelf.config = arena.config.library.model_copy(update={"limit": 1, "budget": 999})
    found = {library: shelf.notes(problem, library) for library in FOUND}
    solutions = [p.body for p in examples]
    assert found["none"] == ()
    assert all(
        len(notes) == 1 and notes[0].startswith("worked example by ") for lib, notes in found.items() if lib != "none"
    )
    head, _, body = found["own"][0].partition("\n")
    assert head.endswith("sort dbl dec | 9 7") and body == solutions[1]
    assert found["shuffled"][0].partition("\n")[0] == head
    assert found["shuffled"][0].partition("\n")[2] in set(solutions) - {body}
    assert found["filler"][0].partition("\n")[2] in set(solutions) - {body}
    assert "sort" not in found["first"][0] and found["stale"] == found["own"]
    asked = [c for c in cells(arena.state, arena.models) if c.domain is domain]
    assert {c.needs for c in asked} == {0}, "no chat: nothing is looked up"


def test_shuffled_bodies_are_a_derangement() -> None:
    held = {"w0": "w0 = rev inc", "w1": "w1 = dbl inc", "w8": "w8 = rev inc dbl"}
    found = shuffled_bodies(held, "0")
    assert {n: body.partition(" = ")[0] for n, body in found.items()} == {n: n for n in held}
    after = {n: body.partition(" = ")[2] for n, body in found.items()}
    before = {n: body.partition(" = ")[2] for n, body in held.items()}
    assert sorted(after.values()) == sorted(before.values()) and all(after[n] != before[n] for n in held)
    assert shuffled_bodies({"w0": "w0 = rev inc"}, "0") == {}


def test_author_permutation_keeps_counts(arena: Arena) -> None:
    own = definitions(arena.state, 5)
    wrote = Counter(p.author for p in own.values())
    assert sorted(wrote.values()) == [2, 3]
    seen = set()
    for seed in range(20):
        found = parts(own, arena.state.rng("test", seed))
        assert sorted(len(part) for part in found) == [2, 3]
        assert sorted(name for part in found for name in part) == sorted(own)
        seen.add(tuple(sorted(found[0])))
    assert len(seen) > 5  # who wrote what is another each time


def test_author_parts_are_smaller_than_the_library(arena: Arena) -> None:
    shelf, problems = shelf_of(arena), [p for p in named(arena).heldout("dev", 1) if p.names[0] in ("w0", "w1", "w2")]
    body = shelf.held["own"]
    known = [body[p.names[0]] in shelf.notes(p, "authors") for p in problems]
    assert all(body[p.names[0]] in shelf.notes(p, "own") for p in problems)
    assert 0 < sum(known) < len(problems)


def test_filler_matches_tokens_and_avoids_names(arena: Arena) -> None:
    shelf, count = shelf_of(arena), arena.models.engine.count_tokens
    for problem in named(arena).heldout("dev", 1):
        own, filler = shelf.notes(problem, "own"), shelf.notes(problem, "filler")
        assert [count(n) for n in filler] == [count(n) for n in own]
        said = {note.partition(" = ")[0] for note in filler}
        assert not said & set(problem.names) and not said & {n.partition(" = ")[0] for n in own}
        assert said.isdisjoint(named(arena).words)  # a world of one level leaves names unissued
        assert "unk" not in arena.state.domains["hidden_words"].solve_prompt(problem, filler)
        arena.models.engine.generate(
            [Request("x", arena.state.domains["hidden_words"].solve_prompt(problem, filler), None, 1, 0.0)]
        )


def test_wrong_library_replaces_needed_bodies(arena: Arena) -> None:
    shelf, words, met = shelf_of(arena), named(arena), 0
    for problem in words.heldout("dev", 1):
        own, wrong = shelf.notes(problem, "own"), shelf.notes(problem, "wrong")
        assert len(own) == len(wrong)
        for said, instead in zip(own, wrong, strict=True):
            name = said.partition(" = ")[0]
            if name in problem.names:
                met += 1
                assert instead == words.definition(name, words.wrong_body(name)) != said
                assert words.check_definition(instead) is not None
                assert arena.models.engine.count_tokens(instead) == arena.models.engine.count_tokens(said)
            else:
                assert instead == said
    assert met == 5 * 6  # five names are known, each of which six problems use


@pytest.mark.parametrize(
    ("notes", "answer"),
    [
        (("w0 = rev inc",), "8 2 3"),
        (("w1 = neg", "w0 = rev inc"), "8 2 3"),
        (("w0 = tail",), "1 7"),
        (("w1 = rev inc",), None),
        (("w0 = w1 inc", "w1 = rev"), None),
        (("w0 = nothing nothing",), None),
        ((), None),
    ],
)
def test_answer_by_runs_the_shown_definitions(arena: Arena, notes: tuple[str, ...], answer: str | None) -> None:
    assert answer_by(named(arena).problem("w0 | 2 1 7"), notes) == answer
    twice = answer_by(named(arena).problem("w0 dbl w0 | 2 1 7"), notes)
    assert twice == {"8 2 3": "7 5 7", "1 7": "4", None: None}[answer]
    assert answer_by(arena.state.domains["list_programs"].problem("rev inc | 2 1 7"), notes) is None


def answering(arena: Arena, monkeypatch: pytest.MonkeyPatch, how: str) -> list[dict[str, Any]]:
    """A reading of minds that do what they read (`reads`), or know the truth and read nothing (`knows`), with names;
    where there is nothing to go by they say so."""
    words = named(arena)

    def answer(prompt: str) -> str:
        head, _, text = prompt.removesuffix(" think").rpartition("solve ")
        problem = (words if " w" in f" {text}" else arena.state.domains["list_programs"]).problem(text)
        if how == "knows" or not problem.names:
            return str(arena.state.domains[problem.domain].solution(problem))
        notes = [n.split() for n in head.removeprefix("lib ").removesuffix(" ; ").split(" , ") if n]
        shown = {name: body for name, *body in notes if name in problem.names}
        program, _, xs = text.partition(" | ")
        if not shown:
            return f"unknown {problem.names[0]}"
        return spelled_out(shown, program.split(), tuple(map(int, xs.split())))

    def generate(requests: Any) -> list[Completion]:
        return [Completion(r.key, answer(r.prompt), "stop", 1, 1, 0.0) for r in requests]

    monkeypatch.setattr(arena.models, "generate", generate)
    return ratchet(arena.state, arena.models)


def test_reader_follows_wrong_definitions(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = answering(arena, monkeypatch, "reads")
    told = [r for r in rows if r["follows"] is not None]
    assert {r["library"] for r in told} >= {"own", "wrong", "shuffled", "first"} and not any(
        r["follows"] is not None for r in rows if r["library"] in ("none", "filler") or not r["needs"]
    )
    assert all(r["follows"] == 1 for r in told)
    assert {r["answer_correct"] for r in told if r["library"] in ("wrong", "shuffled")} == {0}
    assert {r["answer_correct"] for r in told if r["library"] in ("own", "first", "stale", "authors")} == {1}
    own = [r for r in rows if (r["mind"], r["library"], r["needs"]) == ("newborn", "own", 1)]
    assert [r["follows"] for r in own].count(1) == sum(r["answer_correct"] for r in own) == 5


def test_knower_does_not_follow_wrong_definitions(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = answering(arena, monkeypatch, "knows")
    assert all(r["correct"] for r in rows)
    assert {r["follows"] for r in rows if r["library"] == "wrong"} == {0, None}
    assert {r["follows"] for r in rows if r["library"] == "own"} == {1, None}


def test_accidentally_right_definitions_are_null(tmp_path: Path) -> None:
    with start(tmp_path, "measure.ratchet.per_depth=48") as arena:
        shelf = shelf_of(begin(arena, 5))
        found = [
            c
            for c in cells(arena.state, arena.models)
            if c.library == "wrong" and c.problem.names[0] in shelf.held["own"]
        ]
        made = [answer_by(c.problem, shelf.notes(c.problem, "wrong")) for c in found]
        assert [c.made for c in found] == [
            None if m == c.problem.answer else m for m, c in zip(made, found, strict=True)
        ]
        assert None not in made and len(found) == 30 and 0 < [c.made for c in found].count(None) < 5
        own = [
            c
            for c in cells(arena.state, arena.models)
            if (c.mind, c.library) == ("newborn", "own") and c.needs and c.made
        ]
        assert len(own) == 30 and all(c.made == c.problem.answer for c in own)


def test_notes_have_distractors_in_random_order(arena: Arena) -> None:
    shelf, first = shelf_of(arena), 0
    known = [p for p in named(arena).heldout("dev", 1) if p.names[0] in shelf.held["own"]]
    for problem in known:
        notes = shelf.notes(problem, "own")
        assert len(notes) == 2 and sum(map(arena.models.engine.count_tokens, notes)) <= arena.config.library.budget
        first += notes[0] == shelf.held["own"][problem.names[0]]
    assert 0 < first < len(known)


def test_equal_libraries_show_equal_notes(arena: Arena) -> None:
    shelf = shelf_of(arena)
    arena.state.generation = Generation(4)
    earlier = shelf_of(arena)
    assert earlier.held["own"] == shelf.held["own"]
    for problem in named(arena).heldout("dev", 1):
        assert earlier.notes(problem, "own") == shelf.notes(problem, "own")
        assert earlier.notes(problem, "filler") == shelf.notes(problem, "filler")


# -- what is asked -----------------------------------------------------------------------------------------------


def test_problems_are_the_same_in_all_conditions(arena: Arena) -> None:
    asked = cells(arena.state, arena.models)
    arena.state.generation = Generation(9)
    later = cells(arena.state, arena.models)
    for library in LIBRARIES:
        texts = [c.problem.text for c in asked if (c.mind, c.library) == ("newborn", library) and c.needs]
        assert texts == [c.problem.text for c in later if (c.mind, c.library) == ("newborn", library) and c.needs]
        assert texts == [c.problem.text for c in asked if (c.mind, c.library) == ("living", "own") and c.needs]
        assert len(texts) == len(set(texts)) == 8
    names = [c.problem.names for c in asked if (c.mind, c.library) == ("newborn", "own") and c.needs]
    assert sorted(names) == sorted((f"w{i}",) for i in range(8))  # one a name of the level
    assert all(arena.state.domains[c.problem.domain].is_heldout(c.problem) for c in asked)
    plain = [c for c in asked if not c.needs]
    assert {c.library for c in plain} == set(BOTH) and len(plain) == 8 * 8 * 4
    assert all(c.prompt == f"solve {c.problem.text} think" for c in plain)


def test_newborn_is_the_base_model(arena: Arena) -> None:
    asked = cells(arena.state, arena.models)
    assert {c.adapter for c in asked if c.mind == "newborn"} == {None}
    turns = Counter(c.adapter for c in asked if c.mind == "living")
    assert set(turns) == set(arena.state.living) and max(turns.values()) - min(turns.values()) <= len(asked) / 8
    for library in BOTH:  # both cells of a problem are asked of one agent
        who = [c.adapter for c in asked if (c.mind, c.library) == ("living", library)]
        assert who == [c.adapter for c in asked if (c.mind, c.library) == ("living", "none")]


def test_equal_prompts_are_asked_once(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Request] = []
    real = arena.models.engine.generate

    def counting(requests: Any) -> list[Completion]:
        sent.extend(requests)
        return real(requests)

    monkeypatch.setattr(arena.models.engine, "generate", counting)
    rows = ratchet(arena.state, arena.models)
    assert len({(r.adapter, r.prompt) for r in sent}) == len({r.key for r in sent}) == len(sent) < 0.75 * len(rows)
    assert all(r.temperature == 0 for r in sent)
    assert len({r["id"] for r in rows}) == len(rows) == len(cells(arena.state, arena.models))
    used = arena.models.tokens
    assert 0.75 < cost_of(arena) / (used.prompt + used.generated) < 1.33

    def solved(mind: str, library: str, needs: int = 1) -> int:
        return sum(r["correct"] for r in rows if (r["mind"], r["library"], r["needs"]) == (mind, library, needs))

    assert solved("newborn", "own") > solved("newborn", "first") > 0  # five names known, and two of them at first
    right = [r["answer_correct"] for r in rows if (r["mind"], r["library"], r["needs"]) == ("newborn", "own", 1)]
    follows = [r["follows"] for r in rows if (r["mind"], r["library"], r["needs"]) == ("newborn", "own", 1)]
    assert [f or 0 for f in follows] == right and follows.count(None) == 3  # of eight names five are known
    assert solved("newborn", "none") == solved("newborn", "filler") == solved("newborn", "shuffled") == 0
    assert solved("newborn", "own", 0) == solved("newborn", "none", 0) > 0
    assert ratchet(arena.state, arena.models) == rows


def test_without_learner_living_equals_newborn(tmp_path: Path) -> None:
    with start(tmp_path, "sleep.enabled=false") as arena:
        asked = cells(begin(arena, 5).state, arena.models)
        assert {c.adapter for c in asked} == {None}
        by_mind = [{(c.prompt) for c in asked if c.mind == m and c.library in BOTH} for m in ("newborn", "living")]
        assert by_mind[0] == by_mind[1]


# -- when --------------------------------------------------------------------------------------------------------


def phase(g: int, units: int, counted: int = 1) -> dict[str, Any]:
    return {"generation": g, "phase": f"p{counted}", "prompt_tokens": units, "generated_tokens": 0, "trained_tokens": 0,
            "counted": counted}  # fmt: skip


def test_reading_waits_for_its_compute_share(arena: Arena) -> None:
    price, share = (
        cost_of(arena),
        arena.config.measure.ratchet.share,
    )
    assert not reading_due(arena.state, arena.models)  # nothing was played
    with arena.store.transaction():
        arena.store.insert({"phases": [phase(4, int(0.6 * price / share)), phase(4, 10**9, counted=0)]})
    assert not reading_due(arena.state, arena.models) and "ratchet" not in measure(arena)
    with arena.store.transaction():
        arena.store.insert({"phases": [phase(5, int(0.6 * price / share))]})
    assert reading_due(arena.state, arena.models)
    found = measure(arena)
    assert len(found["ratchet"]) == len(cells(arena.state, arena.models)) and found["evaluations"]
    with arena.store.transaction():
        arena.store.insert({"ratchet": found["ratchet"]})
    assert reading_due(arena.state, arena.models)  # played again after a crash, the same generation decides alike
    arena.state.generation = Generation(6)
    assert not reading_due(arena.state, arena.models)  # what was played before the last reading has been used up


def test_readings_follow_the_every_key(tmp_path: Path) -> None:
    for name, every, due in (("never", 0, []), ("third", 3, [3, 6])):
        with start(tmp_path, f"run.name={name}", f"measure.ratchet.every={every}", "measure.ratchet.share=9") as arena:
            begin(arena, 1)
            with arena.store.transaction():
                arena.store.insert({"phases": [phase(g, 10**6) for g in range(1, 8)]})
            found = []
            for g in range(1, 8):
                arena.state.generation = Generation(g)
                found += [g] if reading_due(arena.state, arena.models) else []
            assert found == due


def test_meter_off_writes_no_rows(undisturbed: Path) -> None:
    assert not Store(undisturbed / "run.db").query("SELECT 1 FROM ratchet LIMIT 1")


# -- survival ----------------------------------------------------------------------------------------------------

SMALL = ["generations=3", "measure.ratchet.share=0.5", "measure.ratchet.per_depth=3", "turnover.every=1"]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a run with readings that nothing disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    with start(folder, *SMALL) as arena:
        play(arena)
        taken = arena.store.query("SELECT DISTINCT generation FROM ratchet")
        assert 1 <= len(taken) < 3  # the first generation is too cheap for a reading
        return arena.store.digest()


@pytest.mark.slow
def test_metered_run_stopped_after_every_phase(calm: str, tmp_path: Path) -> None:
    def crash(event: str, data: dict[str, object]) -> None:
        if event == "done":
            raise Crash

    assert play_through(start(tmp_path, *SMALL), crash) == calm


@pytest.mark.slow
def test_metered_run_killed_in_every_transaction(calm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    die_inside_every_transaction(monkeypatch)
    assert play_through(start(tmp_path, *SMALL)) == calm
