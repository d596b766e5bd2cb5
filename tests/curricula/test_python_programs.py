"""Python programs: parser, keys of equivalent programs, and a verifier that accepts correct answers only.

Left out: the sandbox (test_sandbox.py) and parsing values (test_values.py). Fuzzing found no crash and no false
acceptance; it does not prove either.
"""

import dataclasses
import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.rounds.roles import setter, solver
from arena.rounds.roles.voice import BARE, Voice
from arena.rounds.round import Round
from curricula import python_heldout, python_prose
from curricula.domain import SPLITS, Domain, Problem, Rejection, Spoken
from curricula.post_forms import check_worked_example
from curricula.python_code import Code, parse_code
from curricula.python_data import draw_function
from curricula.python_programs import PythonPrograms
from curricula.python_tasks import KINDS, MAX_TEXT, parse_task
from curricula.registry import make_domain
from curricula.values import Failure

DOMAIN = PythonPrograms()
HELDOUT_SHA256 = "b4054e1b365fbfb2ad0d38a074e31083a8687a6cc934587bcf022030edce9d45"
SUMS = (
    "def f(a, xs):\n    total = 0\n    for x in xs:\n        if x % a == 0:\n            total += x\n    return total"
)
DEDUCTION = DOMAIN.problem(f"deduction\n{SUMS}\ninput: 3, [6, 1, 9]")
ABDUCTION = DOMAIN.problem(f"abduction\n{SUMS}\ninput: 3, [6, 1, 9]")
GIVEN = "input: 3, [6, 1, 9]\ninput: 2, [5, 4]\ninput: 4, []\ninput: 1, [7]"
INDUCTION = DOMAIN.problem(f"induction\n{SUMS}\n{GIVEN}")
PROBLEMS = (DEDUCTION, ABDUCTION, INDUCTION)

PIECES = [
    *KINDS, "\n", "\n    ", "def f(a):", "return ", "a", " + 1", "input: ", "3", "[1, 2]", "answer: ", "```", "if a:",
    "for x in a:", "lambda: f", "'", "(", ")", "output: 4", "import os", "１", "\x00", "\ud800", "{", "}",
    "f'{a}'", ":", "=", "while 1: pass",
]  # fmt: skip
SOUP = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
ANY_TEXT = st.one_of(st.text(max_size=100), SOUP)


def deduction(body: str, given: str = "3", head: str = "def f(a):") -> str:
    return f"deduction\n{head}\n    {body}\ninput: {given}"


def test_is_a_domain_with_prose():
    assert isinstance(DOMAIN, Domain) and isinstance(DOMAIN, Spoken)
    assert isinstance(make_domain("python_programs", kinds=["induction"], seconds=0.2), PythonPrograms)


@pytest.mark.parametrize(
    "options",
    [
        {"kinds": ["deductions"]},
        {"kinds": "deduction"},
        {"kinds": []},
        {"sandbox": "none"},
        {"seconds": 0},
        {"lowest": 2},
    ],
)
def test_invalid_options_raise(options: dict[str, object]):
    with pytest.raises(ValueError, match=next(iter(options))):
        make_domain("python_programs", **options)


def test_problem_fields():
    assert (DEDUCTION.depth, DEDUCTION.answer, DEDUCTION.shown) == (4, "15", DEDUCTION.text)
    assert (ABDUCTION.answer, ABDUCTION.shown) == ("3, [6, 1, 9]", f"abduction\n{SUMS}\noutput: 15")
    assert INDUCTION.answer == SUMS
    assert INDUCTION.shown == (
        "induction\ninput: 3, [6, 1, 9]\noutput: 15\ninput: 2, [5, 4]\noutput: 4\nhidden: 2"
    )  # fmt: skip
    features = DOMAIN.features(INDUCTION)
    assert (features["loops"], features["branches"], features["inputs"], features["induction"]) == (1, 1, 4, 1)


def test_question_hides_the_answer():
    for problem in PROBLEMS:
        for text in (DOMAIN.solve_prompt(problem, ()), DOMAIN.asking(problem)):
            assert problem.answer not in text
    assert "[7]" not in INDUCTION.shown and "def f" not in DOMAIN.asking(INDUCTION)


@pytest.mark.parametrize("kind", KINDS)
def test_prose_examples_are_valid(kind: str):
    example = python_prose.EXAMPLES[kind]
    assert example.splitlines()[0] == kind
    assert isinstance(DOMAIN.parse_proposal(example), Problem)
    asked = PythonPrograms(kinds=[kind]).setting(DEDUCTION.text)
    assert all((f"- {other}" in asked) == (other == kind) for other in KINDS)
    assert ("induction" in asked) == (kind == "induction")
    assert "> def f(a, xs):" in asked


# -- proposals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "malformed"),
        ("deduction", "malformed"),
        (SUMS + "\ninput: 3, [1]", "malformed"),
        (deduction("return a + 1") + "\ninput: 4", "malformed"),
        ("deduction\ndef f(a):\n    return a + 1", "malformed"),
        (deduction("return a + 1", "3, 4"), "raises"),  # one argument, a tuple
        (deduction("return a + b", "3", "def f(a, b):"), "malformed"),
        (deduction("return a + 1", head="def g(a):"), "malformed"),
        (deduction("return a + 1", head="def f(a=1):"), "malformed"),
        (deduction("return a + 1", head="def f(*a):"), "malformed"),
        (deduction("return a + 1", head="def f():"), "malformed"),
        ("deduction\nx = 1\ndef f(a):\n    return a + x\ninput: 3", "malformed"),
        ("deduction\ndef f(a):\n    return a + 1\ndef f(a):\n    return a + 2\ninput: 3", "malformed"),
        (deduction("return a + 1") + "\nprint(f(3))", "malformed"),
        (f"induction\n{SUMS}\ninput: 3, [1]", "malformed"),
        (f"induction\n{SUMS}\n" + "\n".join(["input: 3, [1]"] * 4), "malformed"),
        (deduction("return (a"), "syntax"),
        (deduction("return a +"), "syntax"),
        (deduction("return a\x00"), "syntax"),
        (deduction("return '\ud800' + a"), "syntax"),
        (deduction("return ²"), "syntax"),
        (deduction("return " + "(" * 300 + "a" + ")" * 300), "syntax"),
        (deduction("import os\n    return a + 1"), "forbidden"),
        (deduction("return __import__('os')"), "forbidden"),
        (deduction("return ().__class__.__bases__"), "forbidden"),
        (deduction("return open(a)"), "forbidden"),
        (deduction("return print(a)"), "forbidden"),
        (deduction("class A: pass\n    return a + 1"), "forbidden"),
        (deduction("global x\n    return a + 1"), "forbidden"),
        ("deduction\n@g\ndef f(a):\n    return a + 1\ninput: 3", "forbidden"),
        (deduction("return " + "-" * 500 + "a"), "too long"),
        (deduction("return " + " + ".join(["a"] * 300)), "too long"),
        ("deduction\n" + "x" * 10_000, "too long"),
        (deduction("return 'a' * 5000 * a"), "not data"),
        (deduction("return a + 1", "a"), "not data"),
        (deduction("return a + 1", "1) or (True"), "not data"),
        (deduction("return a + 1", "９"), "not data"),
        (deduction("return a + 1", "9" * 500), "not data"),
        (deduction("return lambda: a"), "trivial"),
        (deduction("return a"), "trivial"),
        (deduction("return 1 + 1"), "trivial"),
        (deduction("return a - a + 7"), "trivial"),
        (deduction("return 0 + 0 + a"), "trivial"),
        (deduction("return sorted(sorted(a))", "[1, 2, 3]"), "trivial"),
        (f"induction\n{SUMS}\n" + "\n".join(f"input: 3, [{i}]" for i in (1, 2, 4, 5)), "trivial"),
        (deduction("return a + 'b'"), "raises"),
        (deduction("return a // 0"), "raises"),
        (deduction("return a.nothing()"), "raises"),
        (deduction("return f(a + 1)"), "recursion"),
        (deduction("return [a] * 10 ** 9"), "memory"),
        (deduction("yield a + 1"), "not data"),
    ],
)
def test_rejected_proposals(text: str, reason: str):
    found = DOMAIN.parse_proposal(text)
    assert isinstance(found, Rejection), found
    assert (found.reason, reason in DOMAIN.reasons) == (reason, True), found
    assert len(found.detail) <= 250


def test_endless_proposal_is_stopped():
    found = PythonPrograms(seconds=0.05).parse_proposal(deduction("while a:\n        a += 1\n    return a"))
    assert isinstance(found, Rejection) and found.reason == "time"


def test_disabled_kinds_are_rejected():
    domain = PythonPrograms(kinds=["induction"])
    assert isinstance(domain.parse_proposal(INDUCTION.text), Problem)
    assert isinstance(domain.parse_proposal(DEDUCTION.text), Rejection)
    assert domain.problem(DEDUCTION.text) == DEDUCTION  # stored problems remain readable
    assert {p.text.partition("\n")[0] for p in domain.heldout("dev", 2)} == {"induction"}


def test_layout_is_normalised():
    """Layout, comments, docstrings and annotations make no difference."""
    odd = (
        "```python\nDeduction:\n\ndef f(a: int , xs: list[int]) -> int:\n  'Sums.'\n  total: int = 0 # start\n"
        "  for x in xs :\n      if x%a==0 : total+=x\n  return (total)\n\n  Input :  3,[6,1, 9,]\r\n```\n"
    )
    assert DOMAIN.parse_proposal(odd) == DEDUCTION


def test_key_ignores_variable_names():
    """Renaming variables keeps the key; changing a constant does not."""
    renamed = DOMAIN.problem(DEDUCTION.text.replace("total", "t").replace("xs", "values"))
    changed = DOMAIN.problem(DEDUCTION.text.replace("== 0", "== 1"))
    assert (renamed.heldout_key, renamed.behaviour_key) == (DEDUCTION.heldout_key, DEDUCTION.behaviour_key)
    assert renamed.text_key != DEDUCTION.text_key
    assert changed.heldout_key != DEDUCTION.heldout_key and changed.behaviour_key != DEDUCTION.behaviour_key
    assert ABDUCTION.heldout_key == INDUCTION.heldout_key == DEDUCTION.heldout_key


def test_behaviour_key():
    left, right = DOMAIN.problem(deduction("return a + a")), DOMAIN.problem(deduction("return 2 * a"))
    assert left.behaviour_key == right.behaviour_key and left.heldout_key != right.heldout_key


@given(ANY_TEXT)
@settings(max_examples=150, deadline=None)
def test_parser_is_total_and_canonical(text: str):
    found = DOMAIN.parse_proposal(text)
    if isinstance(found, Rejection):
        assert found.reason in DOMAIN.reasons
    else:
        assert DOMAIN.parse_proposal(found.text) == found == DOMAIN.problem(found.text)


@given(st.integers(0, 10**9), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_normalised_code_is_stable(seed: int, level: int):
    code, _ = draw_function(random.Random(seed), level)
    assert parse_code(code.text) == code and code.level == level


@pytest.mark.parametrize(
    "body",
    [
        "return f'a\\ninput: {a}'",
        'return f"{a!r:>{3}}" + \'"\'',
        "return (lambda b, *c: b)(a, *[a])",
        "return a if a else -a",
    ],
)
def test_unusual_code_is_stable_or_refused(body: str):
    code = parse_code(f"def f(a):\n    {body}")
    assert isinstance(code, Failure) or parse_code(code.text) == code


def test_invalid_stored_text_raises():
    for text in ("", "deduction", deduction("return a + 'b'")):
        with pytest.raises(ValueError, match="not a python_programs problem"):
            DOMAIN.problem(text)


# -- verdicts --------------------------------------------------------------------------------------------------------

HELPED = "def f(n, ys):\n    return sum([y for y in ys if g(y, n)])"
AGREEABLE = "class A:\n    def __eq__(self, other):\n        return True\n"
EQUAL = "def f(a, xs):\n    {}"


@pytest.mark.parametrize("problem", PROBLEMS, ids=KINDS)
def test_reference_solution(problem: Problem):
    """The reference solution is correct and passes as a worked example."""
    verdict = DOMAIN.verify(problem, DOMAIN.solution(problem))
    assert (verdict.correct, verdict.reason, verdict.answer) == (True, "ok", problem.answer)
    assert check_worked_example(DOMAIN, problem.text, DOMAIN.solution(problem)) is None


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (DEDUCTION, "15"),
        (DEDUCTION, " answer: 15\n"),
        (DEDUCTION, "6 and 9 are multiples of 3\nAnswer : 15\nsince 6 + 9 = 15"),
        (DEDUCTION, "```python\n15\n```"),
        (DEDUCTION, "The sum is\n```\n15\n```"),
        (ABDUCTION, "answer: 1, [15]"),
        (ABDUCTION, "(5, [15])"),
        (ABDUCTION, "input: 5, [5, 10, 3]"),
        (INDUCTION, "```python\ndef f(n, ys):\n    return sum(y for y in ys if y % n == 0)\n```"),
        (INDUCTION, f"answer:\ndef g(y, n):\n    return y % n == 0\n{HELPED}"),
    ],
)
def test_correct_attempts(problem: Problem, text: str):
    """Every correct answer is accepted, and all of them record the same answer."""
    verdict = DOMAIN.verify(problem, text)
    assert (verdict.correct, verdict.answer) == (True, problem.answer), verdict


@pytest.mark.parametrize(
    ("problem", "text", "reason"),
    [
        (DEDUCTION, "", "no answer"),
        (DEDUCTION, "answer:", "no answer"),
        (DEDUCTION, "16", "wrong value"),
        (DEDUCTION, "'15'", "wrong value"),
        (DEDUCTION, "15.0", "wrong value"),
        (DEDUCTION, "[15]", "wrong value"),
        (DEDUCTION, "15, 16", "wrong value"),
        (DEDUCTION, "True", "wrong value"),
        (DEDUCTION, "1) or (True", "not a literal"),
        (DEDUCTION, "15 or 16", "not a literal"),
        (DEDUCTION, "10 + 5", "not a literal"),
        (DEDUCTION, "it is 15", "not a literal"),
        (DEDUCTION, "15\n16", "not a literal"),
        (DEDUCTION, "f(3, [6, 1, 9])", "not a literal"),
        (DEDUCTION, "１５", "not a literal"),
        (DEDUCTION, "[" * 900, "not a literal"),
        (DEDUCTION, "9" * 990, "not a literal"),
        (DEDUCTION, "9" * 7000, "not a literal"),
        (DEDUCTION, "9" * 9000, "too long"),
        (DEDUCTION, "answer: 15\nanswer: 16", "several answers"),
        (DEDUCTION, "```\n15\n```\n```\n16\n```", "several answers"),
        (ABDUCTION, "15", "wrong arguments"),
        (ABDUCTION, "1, 2, 3", "wrong arguments"),
        (ABDUCTION, "1, [14]", "wrong value"),
        (ABDUCTION, "0, [15]", "raises"),
        (ABDUCTION, "1, 15", "raises"),
        (ABDUCTION, "1, [15]) or (True", "not a literal"),
        (ABDUCTION, "a=1, xs=[15]", "not a literal"),
        (ABDUCTION, "1, [__import__('os')]", "not a literal"),
        (ABDUCTION, "answer: 1, [15]\nanswer: 1, [14]", "several answers"),
        (INDUCTION, "sum", "malformed"),
        (INDUCTION, EQUAL.format("return sum(xs"), "syntax"),
        (INDUCTION, EQUAL.format("return sum(xs)"), "fails a shown example"),
        (INDUCTION, EQUAL.format("return {3: 15, 2: 4}.get(a, xs)"), "fails a hidden example"),
        (INDUCTION, EQUAL.format("return {3: 15, 2: 4}[a] + 0 * len(xs)"), "raises"),
        (INDUCTION, EQUAL.format("return {3: 15, 2: 4, 4: 0, 1: 7}[a] * 1.0"), "fails a shown example"),
        (INDUCTION, EQUAL.format("return True if xs else a"), "fails a shown example"),
        (INDUCTION, EQUAL.format("return f(a, xs)"), "recursion"),
        (INDUCTION, EQUAL.format("return [a] * 10 ** 9"), "memory"),
        (INDUCTION, EQUAL.format("yield a + 1"), "not data"),
        (INDUCTION, AGREEABLE + EQUAL.format("return A()"), "forbidden"),
        (INDUCTION, EQUAL.format("import os\n    return os.getpid() + a"), "forbidden"),
        (INDUCTION, EQUAL.format("return lambda: xs[0]"), "not data"),
        (INDUCTION, "def f(a):\n    return a[0] + 1", "wrong arguments"),
        (INDUCTION, "def f(a, xs):\n    return 1", "trivial"),
        (INDUCTION, f"```\n{SUMS}\n```\nor\n```\n{SUMS}\n```", "several answers"),
    ],
)
def test_refused_attempts(problem: Problem, text: str, reason: str):
    verdict = DOMAIN.verify(problem, text)
    assert (verdict.correct, verdict.answer_correct, verdict.reason) == (False, False, reason)


def test_endless_attempt_is_stopped():
    verdict = PythonPrograms(seconds=0.05).verify(INDUCTION, EQUAL.format("while a:\n        a += 1\n    return xs"))
    assert verdict.reason == "time"


@given(ANY_TEXT, st.sampled_from(PROBLEMS))
@settings(max_examples=150, deadline=None)
def test_verifier_is_total(text: str, problem: Problem):
    verdict = DOMAIN.verify(problem, text)
    assert verdict.correct == (verdict.reason == "ok")


# -- held-out sets and drawing ---------------------------------------------------------------------------------------


def test_heldout_sets_are_frozen():
    problems = [p for split in SPLITS for depth in DOMAIN.depths for p in DOMAIN.heldout(split, depth)]
    shown = "\n\n".join(f"{p.text}\n{p.question}\n{p.answer}\n{p.behaviour_key}" for p in problems)
    assert hashlib.sha256(shown.encode()).hexdigest() == HELDOUT_SHA256
    assert len({p.heldout_key for p in problems}) == len(problems) == 2 * 6 * python_heldout.PER_DEPTH


def test_heldout_levels_and_kinds():
    for split in SPLITS:
        for depth in DOMAIN.depths:
            problems = DOMAIN.heldout(split, depth)
            assert {p.depth for p in problems} == {depth}
            counts = [sum(p.text.startswith(kind) for p in problems) for kind in KINDS]
            assert counts == [python_heldout.PER_DEPTH // 3] * 3
    with pytest.raises(ValueError, match="depth must be 1 to 6"):
        DOMAIN.heldout("dev", 7)
    with pytest.raises(ValueError, match="unknown split"):
        DOMAIN.heldout("train", 1)


@pytest.mark.parametrize("depth", [1, 6])
def test_heldout_outputs_are_reproduced(depth: int):
    for problem in DOMAIN.heldout("dev", depth):
        assert DOMAIN.problem(problem.text) == problem
        assert DOMAIN.verify(problem, DOMAIN.solution(problem)).correct


@pytest.mark.slow
def test_heldout_draws_are_reproduced():
    for depth in (1, 5):
        drawn = python_heldout.as_lines(python_heldout.draw(depth))
        kept = [dict(e) for e in python_heldout._entries() if e["depth"] == depth]
        assert drawn == python_heldout.as_lines(kept)


def test_heldout_functions_are_rejected():
    """Held-out functions are rejected with other names, with other inputs, and in other kinds."""
    held = next(p for p in DOMAIN.heldout("test", 2) if p.text.startswith("deduction\ndef f(ys):"))
    task = parse_task(held.text)
    assert not isinstance(task, Failure)
    code = parse_code(task.code.text.replace("ys", "numbers"))
    assert isinstance(code, Code)
    renamed = dataclasses.replace(task, code=code, inputs=(([9, 8, 7],),))
    for kind in ("deduction", "abduction"):
        found = DOMAIN.parse_proposal(dataclasses.replace(renamed, kind=kind).text)
        assert isinstance(found, Rejection) and found.reason == "held-out"
    assert DOMAIN.is_heldout(DOMAIN.problem(held.text))


def test_equivalent_heldout_induction():
    """Inductions with the behaviour of a held-out one are rejected."""
    held = next(p for p in DOMAIN.heldout("dev", 1) if p.text.startswith("induction"))
    task = parse_task(held.text)
    assert not isinstance(task, Failure)
    code = parse_code(task.code.text.replace("    return ", "    result = ") + "\n    return result")
    assert isinstance(code, Code)
    again = dataclasses.replace(task, code=code)
    found = DOMAIN.parse_proposal(again.text)
    assert isinstance(found, Rejection) and found.reason == "held-out"
    assert DOMAIN.is_heldout(DOMAIN.problem(again.text))
    single = dataclasses.replace(again, kind="deduction", inputs=again.inputs[:1])
    assert isinstance(DOMAIN.parse_proposal(single.text), Problem)


def test_random_problems():
    """Random problems are distinct, valid, and of the requested level."""
    rng = random.Random(7)
    for depth in DOMAIN.depths:
        problem = DOMAIN.random_problem(rng, depth)
        assert problem.depth == depth and not DOMAIN.is_heldout(problem) and len(problem.text) <= MAX_TEXT
    again = random.Random(7)
    assert DOMAIN.random_problem(again, 1) == DOMAIN.random_problem(random.Random(7), 1)


def test_mutations():
    rng = random.Random(3)
    for problem in PROBLEMS:
        varied = [DOMAIN.mutate(problem.text, rng) for _ in range(5)]
        assert all(isinstance(DOMAIN.parse_proposal(text), Problem) and text != problem.text for text in varied)
    assert DOMAIN.mutate(DEDUCTION.text, random.Random(1)) == DOMAIN.mutate(DEDUCTION.text, random.Random(1))


@pytest.mark.parametrize("voice", [BARE, Voice(chat=True)])
def test_round_in_both_prompt_styles(voice: Voice):
    """Different correct inputs of an abduction agree, so that a grader who found another one accepts."""
    round_ = Round("r0", DOMAIN, "ada", ("bob", "eve"), grader="cy", voice=voice)
    (ask,) = round_.asks()
    assert ask.prompt == "propose\n" if not voice.chat else "a Python function" in str(ask.prompt)
    round_.take([setter.say(voice, f"```\n{ABDUCTION.text}\n```")])
    assert round_.problem == ABDUCTION
    assert all(ABDUCTION.shown.split("\n")[-1] in str(a.prompt) for a in round_.asks())
    round_.take([solver.say(voice, text) for text in ("answer: 1, [15]", "answer: 1, [14]")])
    round_.take([solver.say(voice, "5, [15]")])
    assert round_.solve_rate == 0.5 and round_.grade is not None and round_.grade.agrees is True
