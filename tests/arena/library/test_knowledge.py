"""What is on whose shelf, what its reader sees of it, what agents recall and believe, and how programs guess."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents.engine import Completion, Request
from arena.library.context import Notes, notes
from arena.library.definitions import FILLER, DefinitionIndex, ShownDefinition, definitions_in
from arena.library.recall import RECALL_INPUTS, known_bodies, recall, recalled_bodies
from arena.phases.guess import Guessing
from arena.phases.sleep import exercises
from arena.run.state import Arena
from culture.posts import Post
from curricula.domain import Problem, Rejection
from curricula.hidden_words import HiddenWords
from curricula.hidden_world import level_of
from curricula.list_programs import NAMES
from tests.helpers.culture_runs import define, meaning, peopled, publish, run_phase

WORDS = ("domains.list_programs.share=0.5", "domains.hidden_words.share=0.5", "domains.hidden_words.levels=2",
         "rounds.guesser=search")  # fmt: skip


@contextmanager
def school(folder: Path, *overrides: str, generation: int = 5) -> Iterator[Arena]:
    with peopled(folder, "school", *WORDS, *overrides, generation=generation) as arena:
        yield arena


def world(arena: Arena) -> HiddenWords:
    words = arena.state.words_domain()
    assert words is not None
    return words


def shown(arena: Arena, problem: Problem, agent: str, place: str) -> Notes:
    count = arena.models.engine.count_tokens
    return notes(
        arena.state, DefinitionIndex(arena.state), problem, agent, place, "solve", count_tokens=count, chat=False
    )


def book(arena: Arena, author: str, generation: int, *names: str, cites: Sequence[str]) -> str:
    """A book of the named definitions; its id."""
    body = "\n".join(f"{n} = {' '.join(meaning(arena, n))}" for n in names)
    post = Post("book", author, generation, f"book {generation}", body, tuple(cites), "hidden_words")
    return publish(arena, post)[0]


def says(arena: Arena, answers: dict[tuple[str, str], str]) -> list[Request]:
    """Let agents say that names mean this, in place of the model; what they are asked is in the list. A body `a/b` is
    said as a on the first input and as b on the second."""
    asked: list[Request] = []

    def generate(requests: Sequence[Request]) -> list[Completion]:
        asked.extend(requests)
        done = []
        for r in requests:
            name = r.prompt.split()[1]
            body = answers.get((r.adapter or "", name), "")
            body = body.split("/")[-1 if RECALL_INPUTS[1] in r.prompt else 0]
            text = f"{name} {body} ; {body.split()[0]} 1 2 answer 1 2" if body else ""
            done.append(Completion(r.key, text, "stop", 1, 1, 0.0))
        return done

    arena.models.engine.generate = generate  # type: ignore[method-assign]
    return asked


# -- shelves -----------------------------------------------------------------------------------------------------


def test_oldest_visible_definition_is_in_force(tmp_path: Path) -> None:
    with school(tmp_path, "library.network=line") as arena:
        ada, bo, _ = arena.state.living
        first, again, other = (define(arena, g, a, "w0")[0] for g, a in ((1, ada), (2, ada), (3, bo)))
        index = DefinitionIndex(arena.state)
        assert [index.stored(a)["w0"].post for a in (ada, bo)] == [first, other]
        publish(arena, Post("retraction", ada, 4, "w0", "as it was not mine", (), first))
        assert index.stored(ada)["w0"].post == first  # a shelf is as it was when it was made
        assert DefinitionIndex(arena.state).stored(ada)["w0"].post == again


def test_book_pages_replace_compiled_posts(tmp_path: Path) -> None:
    with school(tmp_path) as arena:
        ada, bo, _ = arena.state.living
        old = define(arena, 1, ada, "w0", "w1")
        own = define(arena, 2, bo, "w2")
        volume = book(arena, ada, 4, "w0", "w1", cites=old)
        held = DefinitionIndex(arena.state).stored(bo)
        assert {n: h.post for n, h in held.items()} == {"w2": own[0], "w0": volume, "w1": volume}
        assert all(h.body == meaning(arena, n) for n, h in held.items())
        again = define(arena, 5, bo, "w0")
        assert DefinitionIndex(arena.state).stored(bo)["w0"].post == again[0]  # a post of its own before a page
        assert set(definitions_in(arena.state.library.as_of(2))) == {"w0", "w1", "w2"}


def test_reading_pages_is_one_read_of_the_book(tmp_path: Path) -> None:
    with school(tmp_path, "library.distractors=0", "library.limit=3") as arena:
        ada, bo, _ = arena.state.living
        volume = book(arena, ada, 4, "w0", "w1", cites=define(arena, 1, ada, "w0", "w1"))
        problem = world(arena).problem("w0 w1 | 3 1 4")
        found = shown(arena, problem, bo, "g0005r0000/solver_0")
        assert sorted(found.texts) == [f"{n} = {' '.join(meaning(arena, n))}" for n in ("w0", "w1")]
        assert [r.post for r in found.reads] == [volume]


def test_without_reading_definitions_are_trained_on(tmp_path: Path) -> None:
    with school(tmp_path, "library.reading=false", "sleep.lore=6") as arena:
        ada = arena.state.living[0]
        (post,) = define(arena, 1, ada, "w0")
        index = DefinitionIndex(arena.state)
        assert index.shown(ada) == {} and set(index.shown(ada, training=True)) == {"w0"} == set(index.stored(ada))
        assert shown(arena, world(arena).problem("w0 | 3 1 4"), ada, "x").texts == ()
        drawn: list = []
        assert [r.post for r in exercises(arena.state, index, ada, {}, drawn).reads] == [post]
        assert len(drawn) == 6 and any("w0" in e.prompt + e.completion for e in drawn)


# -- the lens ----------------------------------------------------------------------------------------------------


def test_content_controls_do_not_change_the_store(tmp_path: Path) -> None:
    names = ("w0", "w1", "w2")
    shown: dict[str, dict[str, ShownDefinition]] = {}
    for content in ("own", "another_world", "shuffled", "filler"):
        with school(tmp_path / content, f"library.content={content}") as arena:
            ada = arena.state.living[0]
            define(arena, 1, ada, *names)
            before = arena.store.digest()
            index = DefinitionIndex(arena.state)
            shown[content] = index.shown(ada)
            assert list(shown[content]) == list(names)
            assert {n: h.post for n, h in index.stored(ada).items()} == {n: s.post for n, s in shown[content].items()}
            assert all(h.body == meaning(arena, n) for n, h in index.stored(ada).items())
            assert arena.store.digest() == before
            for name, s in shown[content].items():
                assert s.text.partition(" = ")[0] == name and len(s.text.split()) == 2 + len(meaning(arena, name))
                right = not isinstance(world(arena).check_guess(name, s.text.partition(" = ")[2]), Rejection)
                assert right == (content == "own"), (content, name)
    own = {n: s.body for n, s in shown["own"].items()}
    assert sorted(s.body or () for s in shown["shuffled"].values()) == sorted(b or () for b in own.values())
    assert all(s.body is None and set(s.text.split()[2:]) == {FILLER} for s in shown["filler"].values())
    assert all(s.body and set(s.body) <= set(NAMES) for s in shown["another_world"].values())


def test_single_definition_is_not_shown_when_shuffled(tmp_path: Path) -> None:
    with school(tmp_path, "library.content=shuffled") as arena:
        ada = arena.state.living[0]
        define(arena, 1, ada, "w0")
        assert DefinitionIndex(arena.state).shown(ada) == {}
        define(arena, 1, ada, "w1")
        assert set(DefinitionIndex(arena.state).shown(ada)) == {"w0", "w1"}


# -- recall ------------------------------------------------------------------------------------------------------


def test_recall_asks_for_unreadable_names(tmp_path: Path) -> None:
    with school(tmp_path, "rounds.recall=true", "library.burn=4", "library.network=line") as arena:
        ada, bo, cy = arena.state.living
        define(arena, 1, ada, "w0", "w1")
        define(arena, 4, ada, "w1")
        (gone,) = define(arena, 4, ada, "w2")
        publish(arena, Post("retraction", ada, 5, "w2", "was no use", (), gone))
        define(arena, 1, bo, "w3")
        asked = says(arena, {(ada, "w0"): "rev inc", (ada, "w2"): "dec dec", (bo, "w0"): "rev rev"})
        found = recall(arena.state, arena.models, DefinitionIndex(arena.state))
        assert {(r.adapter, r.prompt.split()[1]) for r in asked} == {(ada, "w0"), (ada, "w2"), (bo, "w3")}
        assert len(asked) == 2 * 3 == len({r.key for r in asked})
        assert all(r.temperature == 0.0 for r in asked)
        assert found == {ada: {"w0": ("rev", "inc"), "w2": ("dec", "dec")}, bo: {}, cy: {}}


def test_recall_needs_two_equal_answers(tmp_path: Path) -> None:
    with school(tmp_path, "rounds.recall=true", "library.reading=false") as arena:
        ada = arena.state.living[0]
        define(arena, 1, ada, "w0", "w1", "w2")
        says(arena, {(ada, "w0"): "rev inc/rev dec", (ada, "w1"): "no such", (ada, "w2"): "rev inc"})
        assert recall(arena.state, arena.models, DefinitionIndex(arena.state))[ada] == {"w2": ("rev", "inc")}


def test_recall_off_makes_no_requests(tmp_path: Path) -> None:
    with school(tmp_path, "library.burn=4") as arena:
        define(arena, 1, arena.state.living[0], "w0")
        asked = says(arena, {})
        assert recall(arena.state, arena.models, DefinitionIndex(arena.state)) == {} and asked == []


def test_read_definition_overrides_recalled_one() -> None:
    def shown(*body: str) -> ShownDefinition:
        post = Post("definition", "reader", 0, "w0", "w0 = " + " ".join(body))
        return ShownDefinition("id", post, body if set(body) <= set(NAMES) else None)

    shelf = {"w0": shown("rev", "inc"), "w1": shown(FILLER, FILLER)}
    recalled = {"w0": ("dec", "dec"), "w1": ("rev", "dec"), "w2": ("inc", "inc")}
    assert known_bodies(shelf, recalled) == {"w0": ("rev", "inc"), "w1": ("rev", "dec"), "w2": ("inc", "inc")}


def test_knowledge_is_stored_per_generation(tmp_path: Path) -> None:
    with school(tmp_path, "rounds.recall=true", "library.burn=4") as arena:
        ada, bo, cy = arena.state.living
        define(arena, 1, ada, "w0", "w8")
        define(arena, 4, ada, "w1")
        right, wrong = meaning(arena, "w0"), world(arena).wrong_body("w8")
        says(arena, {(ada, "w0"): " ".join(right), (ada, "w8"): " ".join(wrong)})
        rows = {r["agent"]: r for r in Guessing(arena.state, arena.models).knowledge}
        counts = ("read", "recalled", "known", "wrong", "level")
        assert [rows[ada][c] for c in counts] == [1, 2, 2, 1, 1]  # a wrong belief counts for no level
        assert [rows[bo][c] for c in counts] == [1, 0, 1, 0, 1]
        with arena.store.transaction():
            arena.store.insert({"knowledge": list(rows.values())})
        assert recalled_bodies(arena.state, ada) == {"w0": right, "w8": wrong}
        assert recalled_bodies(arena.state, cy) == recalled_bodies(arena.state, "a newborn") == {}
        arena.state.generation.index = 6
        assert recalled_bodies(arena.state, ada) == {}


def test_recalled_definitions_are_rehearsed(tmp_path: Path) -> None:
    with school(tmp_path, "sleep.lore=40") as arena:
        ada = arena.state.living[0]
        define(arena, 1, ada, "w0")
        truth, memory = meaning(arena, "w0"), {"w0": ("dec", "dec"), "w1": ("rev", "inc")}
        drawn: list = []
        lessons = exercises(arena.state, DefinitionIndex(arena.state), ada, memory, drawn)
        texts = [f"{e.prompt} {e.completion}" for e in drawn]
        assert len(lessons.reads) == 1
        assert any(f"w0 {' '.join(truth)}" in t for t in texts) and any("w1 rev inc" in t for t in texts)
        assert not any("w0 dec dec" in t for t in texts)


# -- guessing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guesser", ["self", "program", "search"])
def test_guesses_target_reachable_names(guesser: str, tmp_path: Path) -> None:
    with school(tmp_path, f"rounds.guesser={guesser}", "rounds.guesses=8") as arena:
        ada = arena.state.living[0]
        define(arena, 1, ada, "w0")
        run_phase(arena, "read")
        guessing = Guessing(arena.state, arena.models)
        requests = guessing.requests()
        assert len(requests) == (24 if guesser == "self" else 0)
        rows = guessing.rows([Completion("", "rev inc", "stop", 1, 1, 0.0)] * len(requests))
        assert len(rows) == 24 == len({r["id"] for r in rows})
        for r in rows:
            assert r["name"] != "w0"
            verdict = world(arena).check_guess(r["name"], r["text"])
            assert r["correct"] == (not isinstance(verdict, Rejection))
            assert r["reason"] == (verdict.reason if isinstance(verdict, Rejection) else "ok")
            if guesser != "self":
                body = r["text"].split()
                assert set(body) <= set(NAMES) and len(body) == level_of(r["name"]) + 1
                assert level_of(r["name"]) == 1 or tuple(body[:2]) == meaning(arena, "w0")
        if guesser == "search":  # two examples leave few of all pairs of words
            first = [r["correct"] for r in rows if level_of(r["name"]) == 1]
            assert sum(first) > len(first) / 2


def test_guesses_build_on_wrong_definitions_too(tmp_path: Path) -> None:
    given = ("rounds.recall=true", "library.reading=false", "rounds.guesses=12")
    with school(tmp_path, *given) as arena:
        ada, bo, _ = arena.state.living
        define(arena, 1, ada, *(f"w{i}" for i in range(8)))
        wrong = {f"w{i}": " ".join(world(arena).wrong_body(f"w{i}")) for i in range(8)}
        says(arena, {(ada, name): body for name, body in wrong.items()})
        guessing = Guessing(arena.state, arena.models)
        rows = guessing.rows([])
        mine = [r for r in rows if r["agent"] == ada]
        assert all(level_of(r["name"]) == 2 and " ".join(r["text"].split()[:2]) in wrong.values() for r in mine)
        assert all(level_of(r["name"]) == 1 for r in rows if r["agent"] == bo)  # who knows nothing begins at level 1


def test_no_guesses_without_hidden_words(tmp_path: Path) -> None:
    with peopled(tmp_path, "plain") as arena:
        arena.state.domains.pop("hidden_words")
        guessing = Guessing(arena.state, arena.models)
        assert not guessing.requests() and not guessing.rows([]) and not guessing.knowledge


def test_propose_separates_right_and_wrong_guesses(tmp_path: Path) -> None:
    with school(tmp_path, "rounds.guesses=8", "rounds.per_agent=1") as arena:
        run_phase(arena, "read")
        produced = run_phase(arena, "propose")
        g = arena.state.generation
        assert len(g.right_guesses) + len(g.wrong_guesses) == len(produced["guesses"]) == 24
        assert all(not isinstance(world(arena).check_guess(n, b), Rejection) for _, n, b in g.right_guesses)
        assert all(isinstance(world(arena).check_guess(n, b), Rejection) for _, n, b in g.wrong_guesses)
        assert {json.loads(r["memory"]).__class__ for r in produced["knowledge"]} == {dict}
        assert all(isinstance(r.problem, Problem) or r.rejection for r in g.rounds)
