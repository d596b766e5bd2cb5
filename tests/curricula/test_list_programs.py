"""List programs: primitives, parser, and a verifier that accepts correct traces only.

Left out: how problems are drawn for training. Fuzzing found no crash and no false acceptance; it does not prove either.
"""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula import list_programs as lp
from curricula.domain import SPLITS, Domain, Problem, Rejection
from curricula.list_programs import ListPrograms

DOMAIN = ListPrograms()
PROBLEM = DOMAIN.problem("rev inc | 3 1 4")  # 3 1 4 -> 4 1 3 -> 5 2 4
RIGHT = "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
ALL_DEPTHS = range(1, lp.MAX_DEPTH + 1)
HELDOUT_SHA256 = "0d827f0bd7f9aa5ecfb14740ac933953ea7f06ca76f0e38bc3bbde187d7b8f1c"

WORDS = [*lp.NAMES, *"0123456789", "|", ";", "answer", "think", "solve", "12", "３", "²", "-1", "True", "w0"]
SOUP = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
ANY_TEXT = st.one_of(st.text(max_size=200), SOUP)


@pytest.mark.parametrize(
    ("name", "given_", "expected"),
    [
        ("rev", (3, 1, 4), (4, 1, 3)),
        ("rev", (5,), (5,)),
        ("sort", (3, 1, 4, 1), (1, 1, 3, 4)),
        ("inc", (0, 8, 9), (1, 9, 0)),
        ("dec", (0, 1, 9), (9, 0, 8)),
        ("dbl", (4, 5, 7), (8, 0, 4)),
        ("neg", (0, 1, 9), (0, 9, 1)),
        ("tail", (3, 1, 4), (1, 4)),
        ("tail", (5,), (5,)),
        ("init", (3, 1, 4), (3, 1)),
        ("init", (5,), (5,)),
        ("rot", (3, 1, 4), (1, 4, 3)),
        ("rot", (5,), (5,)),
        ("swap", (3, 1, 4), (1, 3, 4)),
        ("swap", (2, 7), (7, 2)),
        ("swap", (5,), (5,)),
        ("cum", (3, 1, 4, 9), (3, 4, 8, 7)),
        ("dup", (3, 1, 4), (3, 3, 1, 4)),
        ("dup", (5,), (5, 5)),
        ("dup", (1, 2, 3, 4, 5, 6), (1, 1, 2, 3, 4, 5)),  # a list has at most six digits; the last is dropped
    ],
)
def test_primitive(name: str, given_: lp.List, expected: lp.List):
    assert lp.PRIMITIVES[name](given_) == expected


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6).map(tuple))
@settings(max_examples=100, deadline=None)
def test_primitives_are_total(xs: lp.List):
    """Primitives map lists of one to six digits to such lists."""
    for primitive in lp.PRIMITIVES.values():
        out = primitive(xs)
        assert 1 <= len(out) <= lp.MAX_LIST
        assert all(type(x) is int and 0 <= x <= 9 for x in out)


def test_is_a_domain():
    assert isinstance(DOMAIN, Domain)


def test_problem_fields():
    assert (PROBLEM.text, PROBLEM.depth, PROBLEM.answer, PROBLEM.names) == ("rev inc | 3 1 4", 2, "5 2 4", ())
    assert DOMAIN.solution(PROBLEM) == RIGHT
    assert DOMAIN.features(PROBLEM)["depth"] == 2.0


def test_behaviour_key():
    assert lp.behaviour_key(("rev", "rev")) == lp.IDENTITY
    assert lp.behaviour_key(("inc", "rev")) == lp.behaviour_key(("rev", "inc"))
    assert lp.behaviour_key(("inc", "sort")) != lp.behaviour_key(("sort", "inc"))


# -- proposals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "malformed"),
        ("|", "malformed"),
        ("rev", "malformed"),
        ("| 3 1 4", "malformed"),
        ("rev |", "malformed"),
        ("rev 3 1 4", "malformed"),
        ("rev | 3 1 4 | 2", "malformed"),
        ("rev | 3,1,4", "malformed"),
        ("rev | 31 4", "malformed"),
        ("rev | -1", "malformed"),
        ("rev | 1 2 3 4 5 6 7", "malformed"),
        ("rev | ３ 1", "malformed"),
        ("rev | ² 1", "malformed"),
        ("rev | 1 2\x00", "malformed"),
        ("rev | 1 2 answer 2 1", "malformed"),
        (" ".join(["rev"] * 13) + " | 1 2", "too long"),
        ("rev " * 100_000 + "| 1 2", "too long"),
        ("reverse | 1 2", "unknown name"),
        ("Rev | 1 2", "unknown name"),
        ("w0 | 1 2", "unknown name"),
        ("__import__('os') | 1 2", "unknown name"),
        ("1) or (True | 1 2", "unknown name"),
        ("rev rev | 1 2", "no-op"),
        ("rev | 1 2 1", "no-op"),  # does not change this input
        ("sort | 1 2", "no-op"),
    ],
)
def test_rejected_proposals(text: str, reason: str):
    found = DOMAIN.parse_proposal(text)
    assert isinstance(found, Rejection)
    assert found.reason == reason
    assert reason in DOMAIN.reasons
    assert len(found.detail) < 200


def test_spacing_is_normalised():
    found = DOMAIN.parse_proposal("  rev \t inc|3  1 4\n")
    assert found == DOMAIN.parse_proposal("rev inc | 3 1 4") == PROBLEM


def test_invalid_stored_text_raises():
    with pytest.raises(ValueError, match="not a list_programs problem"):
        DOMAIN.problem("rev")
    with pytest.raises(ValueError, match="unknown primitive 'w0'"):
        DOMAIN.problem("w0 | 1 2")


@given(ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_parser_is_total_and_canonical(text: str):
    found = DOMAIN.parse_proposal(text)
    if isinstance(found, Rejection):
        assert found.reason in DOMAIN.reasons
    else:
        assert DOMAIN.parse_proposal(found.text) == found == DOMAIN.problem(found.text)
        assert DOMAIN.verify(found, DOMAIN.solution(found)).correct


@pytest.mark.parametrize("depth", lp.DEPTHS)
def test_random_problems(depth: int):
    """Random problems have the requested depth, and their reference solution verifies."""
    rng = random.Random(depth)
    for _ in range(20):
        problem = DOMAIN.random_problem(rng, depth)
        assert problem.depth == depth
        assert not DOMAIN.is_heldout(problem)
        assert DOMAIN.verify(problem, DOMAIN.solution(problem)).correct


def test_mutation_adds_one_primitive():
    rng = random.Random(0)
    for _ in range(20):
        words, bar, _ = DOMAIN.mutate("rev inc | 3 1 4", rng).partition(" | ")
        assert bar and len(words.split()) == 3
        assert {"rev", "inc"} <= set(words.split())


# -- attempts --------------------------------------------------------------------------------------------------------


def test_correct_attempts():
    verdict = DOMAIN.verify(PROBLEM, RIGHT)
    assert (verdict.correct, verdict.answer_correct, verdict.reason) == (True, True, "ok")
    assert (verdict.step, verdict.answer) == (None, "5 2 4")


@pytest.mark.parametrize(
    ("text", "reason", "step", "answer_correct"),
    [
        ("", "no answer", None, False),
        (" ", "no answer", None, False),
        ("1) or (True", "no answer", None, False),
        ("the the the", "no answer", None, False),
        ("answer", "no answer", None, False),
        ("answer 5 2 4", "no answer", None, False),
        ("rev 4 1 3 ; inc 5 2 4", "no answer", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer ", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer True", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer ５ 2 4", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 ² 4", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 524", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 , 2 , 4", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2 4 answer 9", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 9 answer 5 2 4", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2 4 the", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2 4 ;", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2 4\x00", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2 4\x1b[2J", "answer is not a list of digits", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2 5", "answer differs from the last step", None, False),
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2", "answer differs from the last step", None, False),
        (" answer 5 2 4", "step names the wrong operation", 1, True),
        ("rev 4 1 3 answer 5 2 4", "step missing", 2, True),
        ("inc 5 2 4 answer 5 2 4", "step names the wrong operation", 1, True),
        ("rev 4 1 3 ; dec 5 2 4 answer 5 2 4", "step names the wrong operation", 2, True),
        ("rev 4 1 2 ; inc 5 2 4 answer 5 2 4", "step has the wrong value", 1, True),
        ("rev 4 1 3 ; inc 5 2 3 answer 5 2 4", "step has the wrong value", 2, True),
        ("rev ４ 1 3 ; inc 5 2 4 answer 5 2 4", "step has the wrong value", 1, True),
        ("rev 4 1 3 ; inc 5 2 4 ; rev 4 2 5 answer 5 2 4", "step too many", 3, True),
        ("rev 4 1 3 ; inc 5 2 4 ;  answer 5 2 4", "step too many", 3, True),
        ("rev 4 1 3 , inc 5 2 4 answer 5 2 4", "step has the wrong value", 1, True),
        ("rev 4 1 3;inc 5 2 4 answer 5 2 4", "step has the wrong value", 1, True),
        ("rev 4 1 3\ninc 5 2 4 answer 5 2 4", "step has the wrong value", 1, True),
        ("rev 4 1 3 ; ; inc 5 2 4 answer 5 2 4", "step names the wrong operation", 2, True),
        ("rev 4 1 3 ; inc 5 2 4 ; " * 50_000 + " answer 5 2 4", "step too many", 3, True),
    ],
)
def test_refused_attempts(text: str, reason: str, step: int | None, answer_correct: bool):
    """Wrong attempts are refused with the first wrong step."""
    verdict = DOMAIN.verify(PROBLEM, text)
    assert not verdict.correct
    assert (verdict.reason, verdict.step, verdict.answer_correct) == (reason, step, answer_correct)


def test_huge_number_as_answer():
    """A huge number is refused without being converted."""
    assert DOMAIN.verify(PROBLEM, "rev 4 1 3 ; inc 5 2 4 answer " + "9" * 1_000_000).reason.startswith("answer is not")


@given(ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_verifier_is_total(text: str):
    """Any text gets a verdict, and only the correct trace is accepted."""
    verdict = DOMAIN.verify(PROBLEM, text)
    assert not verdict.correct or " ".join(text.split()) == RIGHT
    assert not verdict.answer_correct or text.partition(" answer ")[2].split() == ["5", "2", "4"]


@given(st.integers(0, 200), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_edited_traces(seed: int, rng: random.Random):
    """An edited trace is correct only if its words are unchanged."""
    problem = DOMAIN.random_problem(random.Random(seed))
    words = DOMAIN.solution(problem).split()
    edited = list(words)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(edited))
        edited[at : at + rng.randint(0, 1)] = rng.choice([[], [rng.choice(WORDS)], [rng.choice(words)]])
        edited = edited or ["rev"]
    assert DOMAIN.verify(problem, " ".join(edited)).correct == (edited == words)


# -- held-out sets ---------------------------------------------------------------------------------------------------


def heldout(split: str) -> list[Problem]:
    return [p for depth in ALL_DEPTHS for p in DOMAIN.heldout(split, depth)]


def test_heldout_sets_are_frozen():
    texts = "\n".join(p.text for split in SPLITS for p in heldout(split))
    assert hashlib.sha256(texts.encode()).hexdigest() == HELDOUT_SHA256


def test_heldout_set_sizes():
    for split in SPLITS:
        for depth in ALL_DEPTHS:
            problems = DOMAIN.heldout(split, depth)
            assert len(problems) == lp.HELDOUT_PER_DEPTH
            assert {p.depth for p in problems} == {depth}


def test_dev_and_test_are_disjoint():
    """Dev and test share no problem and, from depth 3 on, no program."""
    dev, test = heldout("dev"), heldout("test")
    assert not {p.heldout_key for p in dev} & {p.heldout_key for p in test}
    assert not {p.text for p in dev} & {p.text for p in test}


def test_heldout_problems_are_rejected():
    for problem in heldout("dev") + heldout("test"):
        found = DOMAIN.parse_proposal(problem.text)
        assert isinstance(found, Rejection) and found.reason == "held-out"
        assert DOMAIN.is_heldout(problem)


def test_heldout_program_with_other_input():
    """From depth 3 on, a held-out program is rejected with every input."""
    rng = random.Random(0)
    for problem in heldout("dev") + heldout("test"):
        program = problem.text.partition(" | ")[0]
        found = DOMAIN.parse_proposal(f"{program} | {lp.show(lp.random_list(rng))}")
        if problem.depth >= lp.HELDOUT_BY_PROGRAM_FROM:
            assert isinstance(found, Rejection) and found.reason in ("held-out", "no-op")
    assert isinstance(DOMAIN.parse_proposal("rev | 9 8 7 6 5 1"), Problem)  # at lower depths, other inputs are accepted


def test_spacing_does_not_hide_heldout():
    program, _, xs = DOMAIN.heldout("dev", 3)[0].text.partition(" | ")
    found = DOMAIN.parse_proposal(f"\t{program.replace(' ', '  ')}|{xs} \n")
    assert isinstance(found, Rejection) and found.reason == "held-out"


def test_unknown_split_or_depth_raises():
    with pytest.raises(ValueError, match="unknown split 'train'"):
        DOMAIN.heldout("train", 1)
    with pytest.raises(ValueError, match="depth must be 1 to 12, got 13"):
        DOMAIN.heldout("dev", 13)
