"""Hidden words: worlds, guesses checked by behaviour, recalled definitions, and what may not be asked.

Leaves out whether a world can be learned. Fuzzing shows no crash and no false yes; it proves neither.
"""

import hashlib
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula import list_programs as lp
from curricula.domain import SPLITS, Domain, Problem, Rejection, digest
from curricula.hidden_words import HiddenWords
from curricula.hidden_world import LEVELS, PER_LEVEL, WORDS, World, level_of, split_recall

DOMAIN = HiddenWords()
BODY = " ".join(DOMAIN.world.bodies["w0"])  # inc swap
PROBLEM = DOMAIN.problem("w0 rev | 3 1 4")  # 3 1 4 -> 4 2 5 -> 2 4 5 -> 5 4 2
TRACE = "inc 4 2 5 ; swap 2 4 5 ; rev 5 4 2 answer 5 4 2"


def recall(name: str, body: str) -> str:
    """How a solver's text recalls a definition."""
    return f"{name} {body} ; "


RIGHT = f"{recall('w0', BODY)}means {BODY} rev ; {TRACE}"
HELDOUT_SHA256 = "7e86ea53b0c1ebea34722e8aa8ad2aa6b442bb390e953483247efe2e33cd1c25"

VOCABULARY = [*lp.NAMES, *"0123456789", "|", ";", "=", "answer", "means", "w0", "w1", "w63", "w64", "３", "²"]
SOUP = st.lists(st.sampled_from(VOCABULARY), max_size=40).map(" ".join)
ANY_TEXT = st.one_of(st.text(max_size=200), SOUP, SOUP.map(lambda s: recall("w0", BODY) + s))


# -- worlds ----------------------------------------------------------------------------------------------------------


def test_a_world_is_its_seed():
    assert World(3).bodies == World(3).bodies
    assert World(3).bodies != World(4).bodies
    assert World(3).successors != World(4).successors


@pytest.mark.parametrize("seed", [0, 1, 100])
def test_a_name_of_level_n_has_n_plus_1_primitives_and_extends_a_name_one_level_below(seed: int):
    world = World(seed)
    assert tuple(world.bodies) == WORDS and len(WORDS) == LEVELS * PER_LEVEL
    for name, body in world.bodies.items():
        parent = world.parent[name]
        assert len(body) == level_of(name) + 1
        assert all(b in world.successors[a] for a, b in itertools.pairwise(body))
        if level_of(name) == 1:
            assert parent is None
        else:
            assert parent is not None and level_of(parent) == level_of(name) - 1
            assert body[:-1] == world.bodies[parent]


@pytest.mark.parametrize("seed", [0, 1, 100])
def test_no_two_names_mean_the_same_and_none_means_nothing_or_one_primitive(seed: int):
    keys = {lp.behaviour_key(body) for body in World(seed).bodies.values()}
    assert len(keys) == len(WORDS)
    assert not keys & {lp.IDENTITY, *(lp.behaviour_key((p,)) for p in lp.NAMES)}


def test_it_is_a_domain():
    assert isinstance(DOMAIN, Domain)


def test_levels_limits_the_names():
    small = HiddenWords(levels=2)
    assert small.words == WORDS[:16] and small.depths == (1, 2)
    found = small.parse_proposal("w16 | 3 1 4")
    assert isinstance(found, Rejection) and found.reason == "unknown name"
    with pytest.raises(ValueError, match="levels must be 1 to 8, got 9"):
        HiddenWords(levels=9)


# -- proposals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "malformed"),
        ("w0", "malformed"),
        ("w0 | ３", "malformed"),
        ("w0 | 1 2 3 4 5 6 7", "malformed"),
        ("w64 | 1 2", "unknown name"),
        ("w00 | 1 2", "unknown name"),
        ("w０ | 1 2", "unknown name"),
        ("w0 = | 1 2", "unknown name"),
        ("rev inc | 3 1 4", "no issued name"),
        ("w0 " * 7 + "| 3 1 4", "too long"),  # 14 primitives
        ("w0 dec swap | 3 1 4", "no-op"),
    ],
)
def test_proposal_is_rejected_with_its_reason(text: str, reason: str):
    found = DOMAIN.parse_proposal(text)
    assert isinstance(found, Rejection)
    assert found.reason == reason
    assert reason in DOMAIN.reasons


def test_a_proposal_needs_something_to_build_on():
    with pytest.raises(ValueError, match="needs a parent"):
        DOMAIN.propose_prompt(None)
    assert "w0" in DOMAIN.propose_prompt("w0 rev | 3 1 4")


def test_stored_text_that_is_no_problem_raises():
    with pytest.raises(ValueError, match="not a hidden_words problem"):
        DOMAIN.problem("w0")
    with pytest.raises(ValueError, match="unknown word 'w64'"):
        DOMAIN.problem("w64 | 1 2")


@given(ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_parser_is_total_and_canonical(text: str):
    found = DOMAIN.parse_proposal(text)
    if isinstance(found, Rejection):
        assert found.reason in DOMAIN.reasons
    else:
        assert DOMAIN.parse_proposal(found.text) == found == DOMAIN.problem(found.text)
        assert DOMAIN.verify(found, DOMAIN.solution(found)).correct


@pytest.mark.parametrize("level", range(1, LEVELS + 1))
def test_random_problems_use_a_name_of_the_level_and_their_solution_verifies(level: int):
    rng = random.Random(level)
    for _ in range(10):
        problem = DOMAIN.random_problem(rng, level)
        assert [level_of(w) for w in problem.names] == [level]
        assert DOMAIN.features(problem)["level"] == level
        assert not DOMAIN.is_heldout(problem)
        assert DOMAIN.verify(problem, DOMAIN.solution(problem)).correct


# -- attempts --------------------------------------------------------------------------------------------------------


def test_reference_solution_recalls_says_what_it_means_and_traces():
    assert DOMAIN.solution(PROBLEM) == RIGHT
    assert DOMAIN.verify(PROBLEM, RIGHT).correct


@pytest.mark.parametrize("text", [TRACE, recall("w0", BODY) + TRACE, f"means {BODY} rev ; {TRACE}"])
def test_recalling_and_meaning_are_optional(text: str):
    assert DOMAIN.verify(PROBLEM, text).correct


def test_a_trace_that_recalls_an_equal_body_in_other_words_verifies():
    other = "swap inc"
    assert other != BODY and DOMAIN.check_guess("w0", other) == ("swap", "inc")
    trace = "swap 1 3 4 ; inc 2 4 5 ; rev 5 4 2 answer 5 4 2"
    assert DOMAIN.verify(PROBLEM, f"{recall('w0', other)}means {other} rev ; {trace}").correct
    assert not DOMAIN.verify(PROBLEM, f"{recall('w0', BODY)}means {other} rev ; {trace}").correct
    assert not DOMAIN.verify(PROBLEM, recall("w0", other) + TRACE).correct


@pytest.mark.parametrize(
    ("text", "reason", "step", "answer_correct"),
    [
        ("", "no answer", None, False),
        ("w0", "no answer", None, False),
        ("means ", "says the program means something else", 0, False),
        ("1) or (True", "no answer", None, False),
        (f"w0 {BODY}", "no answer", None, False),
        (recall("w0", "rev") + TRACE, "recalls a wrong definition", 0, True),
        (recall("w0", "") + TRACE, "recalls a wrong definition", 0, True),
        (recall("w0", "w0") + TRACE, "recalls a wrong definition", 0, True),
        (recall("w0", f"= {BODY}") + TRACE, "recalls a wrong definition", 0, True),
        (recall("w0", f"{BODY} {BODY}") + TRACE, "recalls a wrong definition", 0, True),
        (recall("w0", "rev rev " * 6 + BODY) + TRACE, "recalls a wrong definition", 0, True),  # longer than a program
        (recall("w0", "3 1 4") + TRACE, "recalls a wrong definition", 0, True),
        (recall("w1", "rev") + TRACE, "recalls a wrong definition", 0, True),  # even of a name that is not asked for
        (f"{recall('w0', 'inc')}inc 4 2 5 ; rev 5 2 4 answer 5 2 4", "recalls a wrong definition", 0, False),
        ("w0 2 4 5 ; rev 5 4 2 answer 5 4 2", "recalls a wrong definition", 0, True),
        (recall("w64", BODY) + TRACE, "step names the wrong operation", 1, True),
        (f"means rev {BODY} ; {TRACE}", "says the program means something else", 0, True),
        (f"means w0 rev ; {TRACE}", "says the program means something else", 0, True),
        (f"means  ; {TRACE}", "says the program means something else", 0, True),
        (f"means {BODY} rev ; {recall('w0', BODY)}{TRACE}", "step names the wrong operation", 1, True),
        ("inc 4 2 5 ; swap 2 4 5 answer 5 4 2", "step missing", 3, True),
        (TRACE + " answer 5 4 2", "answer is not a list of digits", None, False),
        (TRACE.replace("answer 5", "answer ５"), "answer is not a list of digits", None, False),
    ],
)
def test_hostile_attempt_is_refused(text: str, reason: str, step: int | None, answer_correct: bool):
    verdict = DOMAIN.verify(PROBLEM, text)
    assert not verdict.correct
    assert (verdict.reason, verdict.step, verdict.answer_correct) == (reason, step, answer_correct)


def test_a_huge_attempt_gets_a_verdict():
    assert DOMAIN.verify(PROBLEM, recall("w0", BODY) * 2_000 + TRACE).correct
    assert not DOMAIN.verify(PROBLEM, recall("w0", BODY) * 2_000 + "the").correct
    assert not DOMAIN.verify(PROBLEM, "means " + "rev " * 200_000).correct


def test_a_recalled_body_that_passed_the_checks_must_still_reach_the_true_answer(monkeypatch: pytest.MonkeyPatch):
    """Checks are finitely many; a body that slipped through them pays nothing where it differs."""
    domain = HiddenWords()
    monkeypatch.setattr(domain, "_checks", [(3, 1, 4)])
    assert domain.world.bodies["w12"] == ("inc", "swap", "init")
    assert domain.check_guess("w12", "inc init swap") == ("inc", "init", "swap")  # equal on three digits
    problem = domain.problem("w12 | 0 1")
    assert problem.answer == "2"
    verdict = domain.verify(problem, recall("w12", "inc init swap") + "inc 1 2 ; init 1 ; swap 1 answer 1")
    assert (verdict.correct, verdict.answer_correct) == (False, False)
    verdict = domain.verify(problem, recall("w12", "inc init swap") + "inc 1 2 ; init 1 ; swap 1 answer 2")
    assert (verdict.correct, verdict.answer_correct) == (False, True)


@given(ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_verifier_is_total_and_a_yes_has_the_true_answer(text: str):
    verdict = DOMAIN.verify(PROBLEM, text)
    assert not verdict.correct or verdict.answer_correct
    assert verdict.answer_correct == (verdict.answer == PROBLEM.answer)
    assert not verdict.answer_correct or text.partition(" answer ")[2].split() == PROBLEM.answer.split()


@given(st.integers(0, 200), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_an_edited_solution_is_never_correct_with_another_answer(seed: int, rng: random.Random):
    problem = DOMAIN.random_problem(random.Random(seed))
    words = DOMAIN.solution(problem).split()
    at = rng.randrange(len(words))
    edited = [*words[:at], *rng.choice([[], [rng.choice(VOCABULARY)]]), *words[at + 1 :]]
    verdict = DOMAIN.verify(problem, " ".join(edited))
    assert not verdict.correct or verdict.answer == problem.answer
    if at > words.index("answer"):
        assert verdict.correct == (edited == words)


@given(ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_splitting_off_what_is_recalled_is_total_and_takes_from_the_front(text: str):
    recalled, meant, trace = split_recall(text)
    assert {name for name, _ in recalled} <= set(WORDS)
    assert text.endswith(trace)
    assert meant is not None or not trace.startswith("means ")


# -- guesses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("w64", BODY, "unknown name"),
        ("", BODY, "unknown name"),
        ("w0", "", "malformed"),
        ("w0", "rev " * 13, "malformed"),
        ("w0", "the the the", "unknown name"),
        ("w0", "w0", "unknown name"),
        ("w0", "inc", "wrong"),
        ("w0", "inc rev", "wrong"),
        ("w12", "inc init swap", "wrong"),  # differs from inc swap init on lists of two digits only
        ("w26", "inc init sort dbl", "wrong"),  # differs on some lists of two digits only
    ],
)
def test_a_wrong_guess_is_refused_with_its_reason(name: str, text: str, reason: str):
    found = DOMAIN.check_guess(name, text)
    assert isinstance(found, Rejection)
    assert found.reason == reason


def test_every_body_is_a_right_guess_in_any_words_and_at_no_other_name():
    for name, body in DOMAIN.world.bodies.items():
        assert DOMAIN.check_guess(name, " ".join(body)) == body
        assert DOMAIN.check_guess(name, " ".join((*body, "rev", "rev"))) == (*body, "rev", "rev")
        for other in WORDS:
            assert other == name or isinstance(DOMAIN.check_guess(other, " ".join(body)), Rejection)


def test_no_short_body_passes_as_a_name_that_it_differs_from():
    inputs = [(a, b) for a in range(10) for b in range(10)] + [(a,) for a in range(10)] + [(3, 1, 4), (9, 0, 8)]
    outputs = {w: [lp.run(DOMAIN.world.bodies[w], xs)[-1] for xs in inputs] for w in WORDS}
    for n in (2, 3):
        for words in itertools.product(lp.NAMES, repeat=n):
            for name in WORDS[: 4 * PER_LEVEL]:
                if lp.behaviour_key(words) == lp.behaviour_key(DOMAIN.world.bodies[name]) and isinstance(
                    DOMAIN.check_guess(name, " ".join(words)), tuple
                ):
                    assert [lp.run(words, xs)[-1] for xs in inputs] == outputs[name], (name, words)


def test_a_definition_text_is_checked_in_this_world():
    assert DOMAIN.check_definition(DOMAIN.definition("w0", BODY.split())) is None
    assert DOMAIN.check_definition("w0 = swap inc") is None
    for text in ("", "w0", "w0 =", "w0 = ", "w0 = rev", "w64 = rev", "lesson w0 = inc swap", "w0 = inc swap = inc"):
        assert DOMAIN.check_definition(text), text
    other = HiddenWords(world=1)
    assert other.check_definition(f"w0 = {BODY}") is not None


def test_a_guess_shows_true_examples_and_the_body_of_a_known_parent():
    name = "w9"
    rng = random.Random(0)
    known = [w for w in WORDS if level_of(w) == 1]
    asked = DOMAIN.guess(name, known, rng)
    (parent,) = asked.parents
    assert parent in known
    assert asked.prompt.startswith(f"guess {' '.join(DOMAIN.world.bodies[parent])} | ")
    assert name not in asked.prompt.split()
    for xs, ys in asked.examples:
        assert DOMAIN.problem(f"{name} | {xs}").answer == ys
    assert DOMAIN.guess(name, known, random.Random(0)) == asked
    assert DOMAIN.guess("w0", [], rng).parents == ()


def test_names_are_reachable_level_by_level():
    assert DOMAIN.reachable([]) == list(WORDS[:8])
    assert DOMAIN.reachable(["w3"]) == [w for w in WORDS[:16] if w != "w3"]


# -- held-out sets ---------------------------------------------------------------------------------------------------


def heldout(domain: HiddenWords, split: str) -> list[Problem]:
    return [p for level in domain.depths for p in domain.heldout(split, level)]


def test_heldout_sets_of_world_0_are_frozen():
    texts = "\n".join(p.text for split in SPLITS for p in heldout(DOMAIN, split))
    assert hashlib.sha256(texts.encode()).hexdigest() == HELDOUT_SHA256


def test_dev_and_test_share_no_problem():
    dev, test = heldout(DOMAIN, "dev"), heldout(DOMAIN, "test")
    assert len(dev) == len(test) == 48 * LEVELS
    assert not {p.heldout_key for p in dev} & {p.heldout_key for p in test}
    for problem in dev + test:
        assert DOMAIN.verify(problem, DOMAIN.solution(problem)).correct


def test_no_heldout_problem_is_accepted_from_a_proposal():
    for problem in heldout(DOMAIN, "dev") + heldout(DOMAIN, "test"):
        found = DOMAIN.parse_proposal(problem.text)
        assert isinstance(found, Rejection) and found.reason in ("held-out", "no-op")
        assert DOMAIN.is_heldout(problem)


def test_a_heldout_program_is_refused_with_any_other_input():
    rng = random.Random(0)
    for problem in heldout(DOMAIN, "dev") + heldout(DOMAIN, "test"):
        program = problem.text.partition(" | ")[0]
        found = DOMAIN.parse_proposal(f"{program} | {lp.show(lp.random_list(rng))}")
        if problem.depth >= lp.HELDOUT_BY_PROGRAM_FROM:
            assert isinstance(found, Rejection) and found.reason in ("held-out", "no-op")


def test_a_problem_whose_expansion_is_a_heldout_list_program_is_refused():
    plain = {p.heldout_key for split in SPLITS for d in (3, 4) for p in lp.ListPrograms().heldout(split, d)}
    own = {p.heldout_key for split in SPLITS for p in heldout(DOMAIN, split)}
    refused = 0
    for name in WORDS[: 2 * PER_LEVEL]:
        for primitive in lp.NAMES:
            expanded = " ".join((*DOMAIN.world.bodies[name], primitive))
            problem = DOMAIN.problem(f"{name} {primitive} | 3 1 4 9")
            if digest(expanded) in plain and problem.heldout_key not in own:
                found = DOMAIN.parse_proposal(problem.text)
                assert isinstance(found, Rejection) and found.reason in ("held-out", "no-op")
                assert DOMAIN.is_heldout(problem)
                refused += 1
    assert refused > 0


def test_unknown_heldout_level_raises():
    with pytest.raises(ValueError, match="no held-out set 'dev' of level 9"):
        DOMAIN.heldout("dev", 9)
