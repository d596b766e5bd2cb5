"""Guessers that are programs, practice of definitions, and what a name means elsewhere.

Leaves out whether a model learns anything from practice.
"""

import random
from collections import Counter

import pytest

from curricula import list_programs as lp
from curricula.domain import Guess
from curricula.hidden_words import HiddenWords
from curricula.hidden_world import WORDS, level_of, split_recall
from curricula.list_school import WORDS as VOCABULARY
from curricula.scripted_guessers import candidates, program_guess, search_guess

DOMAIN = HiddenWords()
BODIES = DOMAIN.world.bodies
LEARNED = {w: BODIES[w] for w in WORDS[:20]}


def below(name: str) -> dict[str, tuple[str, ...]]:
    return {w: b for w, b in BODIES.items() if level_of(w) < level_of(name)}


# -- guesses ---------------------------------------------------------------------------------------------------------


def test_guess_hint_is_the_known_definition():
    known = [w for w in WORDS if level_of(w) == 1]
    asked = DOMAIN.guess("w9", known, random.Random(0))
    assert DOMAIN.guess("w9", below("w9"), random.Random(0)) == asked
    wrong = DOMAIN.guess("w9", dict.fromkeys(known, ("neg", "neg")), random.Random(0))
    assert wrong.prompt.startswith("guess neg neg | ")
    assert (wrong.parents, wrong.examples) == (asked.parents, asked.examples)
    (parent,) = asked.parents
    assert asked.prompt.startswith(f"guess {' '.join(BODIES[parent])} | ")


def test_definitions_make_names_reachable():
    assert DOMAIN.reachable({"w3": ("dbl", "rev")}) == DOMAIN.reachable(["w3"])


def test_program_guess_extends_its_hint_by_one():
    asked = DOMAIN.guess("w9", below("w9"), random.Random(0))
    (parent,) = asked.parents
    text = program_guess(asked, None, below("w9"), random.Random(1))
    assert tuple(text.split()[:-1]) == BODIES[parent] and text.split()[-1] in lp.NAMES
    blind = Guess(asked.name, asked.prompt, asked.parents, ())
    assert program_guess(blind, BODIES[parent], {}, random.Random(1)) == text
    assert len(program_guess(DOMAIN.guess("w0", [], random.Random(0)), None, {}, random.Random(0)).split()) == 2
    assert len(program_guess(DOMAIN.guess("w9", [], random.Random(0)), None, {}, random.Random(0)).split()) == 3


@pytest.mark.parametrize("name", ["w0", "w9", "w20", "w63"])
def test_search_guess_fits_the_examples(name: str):
    found = candidates(name, below(name))
    assert BODIES[name] in found and len(found) == len(set(found)) <= 144
    assert all(len(body) == level_of(name) + 1 for body in found)
    for seed in range(5):
        asked = DOMAIN.guess(name, [], random.Random(seed))
        body = search_guess(asked, below(name), random.Random(seed)).split()
        for xs, ys in asked.examples:
            assert lp.show(lp.last(body, tuple(map(int, xs.split())))) == ys


def test_search_guess_uses_only_its_input():
    asked = DOMAIN.guess("w9", [], random.Random(0))
    wrong = {"w0": ("neg", "neg")}
    assert search_guess(asked, wrong, random.Random(0)).startswith("neg neg ")
    assert len(search_guess(asked, {"w20": BODIES["w20"]}, random.Random(0)).split()) == 3
    backwards = dict(reversed(below("w9").items()))
    assert candidates("w9", backwards) == candidates("w9", below("w9"))


def test_search_beats_random_guesses():
    """What there is between them is what a model's looking is worth."""
    rng, found = random.Random(0), Counter[str]()
    for name in WORDS * 3:
        asked = DOMAIN.guess(name, below(name), rng)
        for kind, text in (
            ("search", search_guess(asked, below(name), rng)),
            ("program", program_guess(asked, None, below(name), rng)),
        ):
            found[kind] += isinstance(DOMAIN.check_guess(name, text), tuple)
    assert found["search"] > 0.75 * 3 * len(WORDS) and found["program"] < 0.05 * 3 * len(WORDS)


# -- elsewhere -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [0, 7])
def test_another_world_keeps_lengths(world: int):
    domain = HiddenWords(world=world)
    for name in WORDS:
        body = domain.wrong_body(name)
        assert len(body) == len(domain.world.bodies[name])
        assert domain.check_definition(domain.definition(name, body)).startswith("wrong")
        assert domain.another_world(name).bodies[name] == body
    assert len({domain.another_world(name).seed for name in WORDS}) <= 3  # mostly one and the same
    assert HiddenWords(world=world).wrong_body("w63") == domain.wrong_body("w63")
    with pytest.raises(ValueError, match="unknown name 'w64'"):
        domain.wrong_body("w64")


# -- practice --------------------------------------------------------------------------------------------------------


def sort_out(pairs: list[tuple[str, str]]) -> tuple[list, list, list]:
    """(Problem text, completion) of recalls and of unknowns, and (prompt, completion) of guesses."""
    guesses = [p for p in pairs if p[0].startswith("guess ")]
    uses = [(p.removeprefix("solve ").removesuffix(" think"), c) for p, c in pairs if p.startswith("solve ")]
    unknowns = [u for u in uses if u[1].startswith("unknown ")]
    return [u for u in uses if u not in unknowns], unknowns, guesses


def test_practice_is_right_and_not_heldout():
    pairs = DOMAIN.practice(LEARNED, random.Random(0), 400)
    recalls, unknowns, guesses = sort_out(pairs)
    assert (len(recalls), len(unknowns), len(guesses)) == (210, 70, 120)
    for text, completion in recalls:
        problem = DOMAIN.problem(text)
        assert DOMAIN.verify(problem, completion).correct
        assert not DOMAIN.is_heldout(problem)
        assert [name for name, _ in split_recall(completion)[0]] == list(problem.names)
    for text, completion in unknowns:
        assert DOMAIN.problem(text).names == (completion.removeprefix("unknown "),)
        assert completion.removeprefix("unknown ") not in LEARNED
        assert not DOMAIN.is_heldout(DOMAIN.problem(text))
    for prompt, completion in guesses:
        body = tuple(completion.split())
        assert body in LEARNED.values()
        assert prompt.startswith(f"guess {' '.join([*body[: -1 if len(body) > 2 else 0], '|'])} ")
        for example in prompt.removesuffix(" body").partition("| ")[2].split(" , "):
            xs, _, ys = example.partition(" -> ")
            assert lp.show(lp.last(body, tuple(map(int, xs.split())))) == ys
    assert all(set(f"{p} {c}".split()) <= set(VOCABULARY) for p, c in pairs)
    counts = Counter(DOMAIN.problem(text).names[0] for text, _ in recalls)
    assert set(counts) == set(LEARNED) and max(counts.values()) - min(counts.values()) <= 3
    assert any(text.startswith("w7 |") for text, _ in recalls) and any(" rev" in text for text, _ in recalls)


def test_practice_uses_given_definitions_only():
    wrong = {w: ("neg", *b[1:]) for w, b in LEARNED.items()}
    pairs = DOMAIN.practice(wrong, random.Random(0), 300)
    recalls, _, guesses = sort_out(pairs)
    for text, completion in recalls:
        (said,) = split_recall(completion)[0]
        assert tuple(said[1].split()) == wrong[said[0]]
        words, xs = text.split(" | ")
        program = [p for w in words.split() for p in wrong.get(w, (w,))]
        assert completion.endswith(lp.solution(program, tuple(map(int, xs.split()))))
    assert {c for _, c in guesses} <= {" ".join(b) for b in wrong.values()}


def test_practice_shares_are_parameters():
    recalls, unknowns, guesses = sort_out(DOMAIN.practice(LEARNED, random.Random(0), 100, guess=0.5, unknown=0.0))
    assert (len(recalls), len(unknowns), len(guesses)) == (50, 0, 50)
    recalls, unknowns, guesses = sort_out(DOMAIN.practice(BODIES, random.Random(0), 100, guess=0.0))
    assert (len(recalls), len(unknowns), len(guesses)) == (100, 0, 0)  # nothing is unknown any more
    assert DOMAIN.practice({}, random.Random(0), 100) == []
    assert DOMAIN.practice(LEARNED, random.Random(0), 0) == []
    assert DOMAIN.practice(LEARNED, random.Random(1), 50) == DOMAIN.practice(LEARNED, random.Random(1), 50)


def test_practice_definitions_need_their_parents():
    built = {"w12": ("w0", "init"), "w0": ("inc", "swap")}
    assert DOMAIN.practice(built, random.Random(0), 50) == DOMAIN.practice(
        {"w12": ("inc", "swap", "init"), "w0": ("inc", "swap")}, random.Random(0), 50
    )
    with pytest.raises(ValueError, match="unknown name: w0"):
        DOMAIN.practice({"w12": ("w0", "init")}, random.Random(0), 50)
    with pytest.raises(ValueError, match="practice of 'w64'"):
        DOMAIN.practice({"w64": ("rev",)}, random.Random(0), 50)


def test_recalled_definitions_are_read_from_answers():
    prompts = DOMAIN.recall_prompts(["w0", "w12"])
    assert prompts == ["solve w0 | 3 1 4 think", "solve w12 | 3 1 4 think"]
    for name in WORDS:
        assert DOMAIN.recalled(name, DOMAIN.solution(DOMAIN.problem(f"{name} | 3 1 4"))) == BODIES[name]
    assert DOMAIN.recalled("w0", "w0 rev dec ; means rev dec ; rev 4 1 3") == ("rev", "dec")
    for text in ("", "unknown w0", "w1 rev dec ; means rev", "w0 ; means", "w0 w1 ; means", "w0 rev", "w0 = rev ; x"):
        assert DOMAIN.recalled("w0", text) is None
    assert DOMAIN.recalled("w0", "w0 " + "rev " * 13 + "; means") is None
