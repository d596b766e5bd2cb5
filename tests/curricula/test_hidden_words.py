"""Hidden words: worlds, guesses checked by behaviour, recalled definitions, and held-out problems.

Left out: whether a world can be learned. Fuzzing found no crash and no false acceptance; it does not prove either.
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
    """The text with which a solver recalls a definition."""
    return f"{name} {body} ; "


RIGHT = f"{recall('w0', BODY)}means {BODY} rev ; {TRACE}"
HELDOUT_SHA256 = "7e86ea53b0c1ebea34722e8aa8ad2aa6b442bb390e953483247efe2e33cd1c25"

VOCABULARY = [*lp.NAMES, *"0123456789", "|", ";", "=", "answer", "means", "w0", "w1", "w63", "w64", "３", "²"]
SOUP = st.lists(st.sampled_from(VOCABULARY), max_size=40).map(" ".join)
ANY_TEXT = st.one_of(st.text(max_size=200), SOUP, SOUP.map(lambda s: recall("w0", BODY) + s))


# -- worlds ----------------------------------------------------------------------------------------------------------


def test_world_depends_on_seed_only():
    assert World(3).bodies == World(3).bodies
    assert World(3).bodies != World(4).bodies
    assert World(3).successors != World(4).successors


@pytest.mark.parametrize("seed", [0, 1, 100])
def test_bodies_extend_level_below(seed: int):
    """A body of level n has n + 1 primitives, follows the grammar, and extends a body one level below."""
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
def test_bodies_behave_differently(seed: int):
    """No two names have the same behaviour, and none behaves like the identity or a primitive."""
    keys = {lp.behaviour_key(body) for body in World(seed).bodies.values()}
    assert len(keys) == len(WORDS)
    assert not keys & {lp.IDENTITY, *(lp.behaviour_key((p,)) for p in lp.NAMES)}


def test_is_a_domain():
    assert isinstance(DOMAIN, Domain)


def test_levels_option_limits_names():
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
def test_rejected_proposals(text: str, reason: str):
    found = DOMAIN.parse_proposal(text)
    assert isinstance(found, Rejection)
    assert found.reason == reason
    assert reason in DOMAIN.reasons


def test_proposal_needs_a_parent():
    with pytest.raises(ValueError, match="needs a parent"):
        DOMAIN.propose_prompt(None)
    assert "w0" in DOMAIN.propose_prompt("w0 rev | 3 1 4")


def test_invalid_stored_text_raises():
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
def test_random_problems(level: int):
    """Random problems use one name of the requested level, and their reference solution verifies."""
    rng = random.Random(level)
    for _ in range(10):
        problem = DOMAIN.random_problem(rng, level)
        assert [level_of(w) for w in problem.names] == [level]
        assert DOMAIN.features(problem)["level"] == level
        assert not DOMAIN.is_heldout(problem)
        assert DOMAIN.verify(problem, DOMAIN.solution(problem)).correct


# -- attempts --------------------------------------------------------------------------------------------------------


def test_reference_solution():
    """A reference solution recalls the names, writes the expanded program, and traces it."""
    assert DOMAIN.solution(PROBLEM) == RIGHT
    assert DOMAIN.verify(PROBLEM, RIGHT).correct


@pytest.mark.parametrize("text", [TRACE, recall("w0", BODY) + TRACE, f"means {BODY} rev ; {TRACE}"])
def test_recall_and_expansion_are_optional(text: str):
    assert DOMAIN.verify(PROBLEM, text).correct


def test_equivalent_recalled_body_verifies():
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
        (
            recall("w1", "rev") + TRACE,
            "recalls a wrong definition",
            0,
            True,
        ),  # even of an unused name
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
def test_refused_attempts(text: str, reason: str, step: int | None, answer_correct: bool):
    verdict = DOMAIN.verify(PROBLEM, text)
    assert not verdict.correct
    assert (verdict.reason, verdict.step, verdict.answer_correct) == (reason, step, answer_correct)


def test_huge_attempt_gets_a_verdict():
    assert DOMAIN.verify(PROBLEM, recall("w0", BODY) * 2_000 + TRACE).correct
    assert not DOMAIN.verify(PROBLEM, recall("w0", BODY) * 2_000 + "the").correct
    assert not DOMAIN.verify(PROBLEM, "means " + "rev " * 200_000).correct


def test_recall_must_reach_true_answer(monkeypatch: pytest.MonkeyPatch):
    """A wrong body that passes all check inputs is refused on an input where it differs."""
    domain = HiddenWords()
    monkeypatch.setattr(domain, "_checks", [(3, 1, 4)])
    assert domain.world.bodies["w12"] == ("inc", "swap", "init")
    assert domain.check_guess("w12", "inc init swap") == ("inc", "init", "swap")  # equivalent on three digits
    problem = domain.problem("w12 | 0 1")
    assert problem.answer == "2"
    verdict = domain.verify(problem, recall("w12", "inc init swap") + "inc 1 2 ; init 1 ; swap 1 answer 1")
    assert (verdict.correct, verdict.answer_correct) == (False, False)
    verdict = domain.verify(problem, recall("w12", "inc init swap") + "inc 1 2 ; init 1 ; swap 1 answer 2")
    assert (verdict.correct, verdict.answer_correct) == (False, True)


@given(ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_verifier_is_total(text: str):
    """Any text gets a verdict, and a correct one has the true answer."""
    verdict = DOMAIN.verify(PROBLEM, text)
    assert not verdict.correct or verdict.answer_correct
    assert verdict.answer_correct == (verdict.answer == PROBLEM.answer)
    assert not verdict.answer_correct or text.partition(" answer ")[2].split() == PROBLEM.answer.split()


@given(st.integers(0, 200), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_edited_solutions(seed: int, rng: random.Random):
    """An edited solution is never correct with a wrong answer."""
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
def test_split_recall_is_total(text: str):
    """Splitting off recalled definitions is total, and takes only a prefix of the text."""
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
        ("w12", "inc init swap", "wrong"),  # differs from inc swap init only on lists of two digits
        ("w26", "inc init sort dbl", "wrong"),  # differs only on some lists of two digits
    ],
)
def test_wrong_guesses(name: str, text: str, reason: str):
    found = DOMAIN.check_guess(name, text)
    assert isinstance(found, Rejection)
    assert found.reason == reason


def test_correct_guesses():
    """Every body is a correct guess, in any equivalent form, for its own name only."""
    for name, body in DOMAIN.world.bodies.items():
        assert DOMAIN.check_guess(name, " ".join(body)) == body
        assert DOMAIN.check_guess(name, " ".join((*body, "rev", "rev"))) == (*body, "rev", "rev")
        for other in WORDS:
            assert other == name or isinstance(DOMAIN.check_guess(other, " ".join(body)), Rejection)


def test_check_inputs_separate_short_bodies():
    """No short body passes the check of a name whose behaviour differs."""
    inputs = [(a, b) for a in range(10) for b in range(10)] + [(a,) for a in range(10)] + [(3, 1, 4), (9, 0, 8)]
    outputs = {w: [lp.run(DOMAIN.world.bodies[w], xs)[-1] for xs in inputs] for w in WORDS}
    for n in (2, 3):
        for words in itertools.product(lp.NAMES, repeat=n):
            for name in WORDS[: 4 * PER_LEVEL]:
                if lp.behaviour_key(words) == lp.behaviour_key(DOMAIN.world.bodies[name]) and isinstance(
                    DOMAIN.check_guess(name, " ".join(words)), tuple
                ):
                    assert [lp.run(words, xs)[-1] for xs in inputs] == outputs[name], (name, words)


def test_check_definition():
    assert DOMAIN.check_definition(DOMAIN.definition("w0", BODY.split())) is None
    assert DOMAIN.check_definition("w0 = swap inc") is None
    for text in ("", "w0", "w0 =", "w0 = ", "w0 = rev", "w64 = rev", "lesson w0 = inc swap", "w0 = inc swap = inc"):
        assert DOMAIN.check_definition(text), text
    other = HiddenWords(world=1)
    assert other.check_definition(f"w0 = {BODY}") is not None


def test_guess_question():
    """The question shows true examples and the body of a known name of the level below."""
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


def test_reachable_names():
    assert DOMAIN.reachable([]) == list(WORDS[:8])
    assert DOMAIN.reachable(["w3"]) == [w for w in WORDS[:16] if w != "w3"]


# -- held-out sets ---------------------------------------------------------------------------------------------------


def heldout(domain: HiddenWords, split: str) -> list[Problem]:
    return [p for level in domain.depths for p in domain.heldout(split, level)]


def test_heldout_sets_are_frozen():
    texts = "\n".join(p.text for split in SPLITS for p in heldout(DOMAIN, split))
    assert hashlib.sha256(texts.encode()).hexdigest() == HELDOUT_SHA256


def test_dev_and_test_are_disjoint():
    dev, test = heldout(DOMAIN, "dev"), heldout(DOMAIN, "test")
    assert len(dev) == len(test) == 48 * LEVELS
    assert not {p.heldout_key for p in dev} & {p.heldout_key for p in test}
    for problem in dev + test:
        assert DOMAIN.verify(problem, DOMAIN.solution(problem)).correct


def test_heldout_problems_are_rejected():
    for problem in heldout(DOMAIN, "dev") + heldout(DOMAIN, "test"):
        found = DOMAIN.parse_proposal(problem.text)
        assert isinstance(found, Rejection) and found.reason in ("held-out", "no-op")
        assert DOMAIN.is_heldout(problem)


def test_heldout_program_with_other_input():
    rng = random.Random(0)
    for problem in heldout(DOMAIN, "dev") + heldout(DOMAIN, "test"):
        program = problem.text.partition(" | ")[0]
        found = DOMAIN.parse_proposal(f"{program} | {lp.show(lp.random_list(rng))}")
        if problem.depth >= lp.HELDOUT_BY_PROGRAM_FROM:
            assert isinstance(found, Rejection) and found.reason in ("held-out", "no-op")


def test_expansion_is_heldout_list_program():
    """A problem whose expansion is a held-out list program is rejected."""
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
