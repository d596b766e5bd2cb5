"""Word problems: parser, verdicts, and doubt about problems."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula.domain import SPLITS, Doubtful, Judged, Problem, Rejection, Spoken, Verdict
from curricula.registry import make_domain
from curricula.word_problems import DEPTHS, EXAMPLE, WordProblems
from curricula.word_request import operation_counts

WORDS = make_domain("word_problems")
assert isinstance(WORDS, WordProblems)
PENCILS = "Nadia buys 3 packs of 12 pencils and gives 7 pencils to her brother. How many pencils does she keep?"


def proposed(question: str, *lines: str) -> Problem | Rejection:
    body = "\n".join(f"    {line}" for line in lines)
    return WORDS.parse_proposal(f"{question}\n---\ndef answer():\n{body}\n")


def made(question: str, *lines: str) -> Problem:
    found = proposed(question, *lines)
    assert isinstance(found, Problem), found
    return found


def test_is_a_domain_with_prose_and_doubt():
    assert isinstance(WORDS, Spoken) and isinstance(WORDS, Doubtful)
    assert EXAMPLE.splitlines()[0] in WORDS.setting(None) and "> Nadia" in WORDS.setting(EXAMPLE)


def test_program_is_hidden_from_solvers():
    problem = made(PENCILS, "return 3 * 12 - 7")
    assert problem.shown == PENCILS and problem.answer == "29" and problem.depth == 2
    for asked in (WORDS.asking(problem), WORDS.solve_prompt(problem, ["a note\nof two lines"])):
        assert PENCILS in asked and "def answer" not in asked and "29" not in asked


def test_texts_are_normalised():
    problem = made(PENCILS, "return 3 * 12 - 7")
    for text in (
        f"**Question:**  {PENCILS}\n\n```python\ndef answer() -> int:\n  'Says.'\n  return (3*12)-7  # pencils\n```\n",
        f"{PENCILS.replace(' ', chr(10), 3)}\n-----\n  def answer():\n      return 3*12-7",
        f"{PENCILS}\ndef answer(): return 3*12 - 7",
    ):
        assert WORDS.parse_proposal(text) == problem
    assert WORDS.problem(problem.text) == problem


@pytest.mark.parametrize(
    ("reason", "question", "lines"),
    [
        ("no question", "Pencils?", ["return 3 * 12 - 7"]),
        ("no question", "Nadia buys 3 packs of 12 pencils and keeps all of them.", ["return 3 * 12"]),
        ("question too long", PENCILS * 12, ["return 3 * 12 - 7"]),
        ("too long", PENCILS, ["return 3 * 12 - 7"] * 80),
        ("malformed", "Is this \x07 a question with 3 and 12 and 7 in it?", ["return 3 * 12 - 7"]),
        ("malformed", PENCILS, ["return 3 * 12 - 7\nx = 5"]),
        ("syntax", PENCILS, ["return 3 * * 12"]),
        ("forbidden", PENCILS, ["import os", "return os.getpid() + 3"]),
        ("forbidden", PENCILS, ["return (3).__class__"]),
        ("forbidden", PENCILS, ["return eval('3 * 12')"]),
        ("no computation", PENCILS, ["return 29"]),
        ("numbers not in the question", PENCILS, ["return 3 * 12 - 8"]),
        ("numbers not in the question", PENCILS, ["return int('29') * 1"]),
        ("numbers not in the question", "Ann has 17 plums, Bo 14 pears. How many fruits?", ["return 1 + 1"]),
        ("answer given away", f"{PENCILS} Answer: 29", ["return 3 * 12 - 7"]),
        ("answer given away", f"{PENCILS} (It is twenty-nine.)", ["return 3 * 12 - 7"]),
        ("answer given away", "Find 3 times 12 less 7 for Nadia. It is 29.", ["return 3 * 12 - 7"]),
        ("raised", PENCILS, ["return 3 * 12 / (7 - 7)"]),
        ("recursion", PENCILS, ["return 3 + answer()"]),
        ("memory", PENCILS, ["return len([7] * 10 ** 12)"]),
        ("not data", PENCILS, ["return lambda: 3 + 7"]),
        ("not data", PENCILS, ["yield 3 + 7"]),
        ("not an answer", PENCILS, ["return 3 < 12"]),
        ("not an answer", PENCILS, ["return 12 ** 100"]),
        ("not an answer", PENCILS, ["return float('nan') * 3"]),
        ("not an answer", PENCILS, ["return {3: 12 - 7}"]),
        ("not an answer", PENCILS, ["return ('pencils ' * 12)"]),
    ],
)
def test_rejected_proposals(reason: str, question: str, lines: list[str]):
    found = proposed(question, *lines)
    assert isinstance(found, Rejection) and found.reason == reason and reason in WORDS.reasons, found


@pytest.mark.slow
def test_endless_program_is_rejected():
    found = proposed(PENCILS, "n = 3", "while n: n = n + 12")
    assert isinstance(found, Rejection) and found.reason == "time"


@pytest.mark.parametrize(
    ("question", "line", "answer"),
    [
        ("A shirt costs 40 dollars and is sold with 25% off. What is its price now?", "return 40 * 0.75", "30"),
        ("What is one third of twelve dozen eggs, in eggs?", "return 12 * 12 / 3", "48"),
        ("How many seconds are in a week with no clock change?", "return 7 * 24 * 3600", "604800"),
        ("Of 8 equal slices Bo eats 2. Which fraction is left?", "return f'{(8 - 2) // 2}/{8 // 2}'", "0.75"),
        ("It is Sunday. What day of the week is it in 10 days?", "return ['Sun', 'Mon', 'Tue', 'Wed'][10 % 7]", "Wed"),
        (
            "Share 17 plums among 5 children. How many does each get, and how many stay?",
            "return divmod(17, 5)",
            "[3, 2]",
        ),
        ("Ann runs 0.1 km and then 0.2 km more. How many kilometres is that?", "return 0.1 + 0.2", "0.3"),
    ],
)
def test_types_of_answers(question: str, line: str, answer: str):
    problem = made(question, line)
    assert problem.answer == answer and WORDS.verify(problem, WORDS.solution(problem)).correct


def test_verdicts_compare_values():
    problem = made(PENCILS, "return 3 * 12 - 7")
    for text in ("29", "So 36 - 7 = 29.\nAnswer: 29 pencils", r"\boxed{29}", "twenty-nine", "29.0", "x = 29"):
        assert WORDS.verify(problem, text) == Verdict(True, True, "ok", answer="29")
    assert WORDS.verify(problem, "answer: 30 pencils") == Verdict(False, False, "wrong", answer="30")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no answer"),
        ("29 " * 100, "no answer"),
        (r"\boxed{29}\boxed{30}", "more than one answer"),
        ("answer: 30\nanswer: 29", "more than one answer"),
        ("29 or 30", "no value in the answer"),
        ("1) or (True", "no value in the answer"),
        ("x = x", "no value in the answer"),
        ("all numbers", "no value in the answer"),
        ("[29, 30]", "no value in the answer"),
        ("(-oo, oo)", "no value in the answer"),
        (r"$\mathbb{R}$", "no value in the answer"),
        ("3 * 12 - 7", "no value in the answer"),
        ("٢٩", "no value in the answer"),
        ("nan", "no value in the answer"),
        ("x >= 29", "no value in the answer"),
        ("answer()", "no value in the answer"),
    ],
)
def test_refused_attempts(text: str, reason: str):
    assert WORDS.verify(made(PENCILS, "return 3 * 12 - 7"), text) == Verdict(False, False, reason)


@given(st.text(max_size=200) | st.text("0123456789 -\ndefansw()?:*+returnmany\\{}", max_size=120))
@settings(max_examples=150, deadline=None)
def test_parser_and_verifier_are_total(text: str):
    assert isinstance(WORDS.parse_proposal(text), Problem | Rejection)
    found = WORDS.parse_proposal(f"{PENCILS}\n---\n{text}")
    assert isinstance(found, Problem | Rejection)
    assert isinstance(WORDS.verify(WORDS.heldout("dev", 1)[0], text), Verdict)


def test_heldout_sets_are_frozen():
    texts = [p.text for split in SPLITS for depth in DEPTHS for p in WORDS.heldout(split, depth)]
    assert len(set(texts)) == 480
    assert hashlib.sha256("\n\n".join(texts).encode()).hexdigest()[:16] == "00a14f489d59bce3"


def test_heldout_answers_match_programs():
    keys = set()
    for split in SPLITS:
        for depth in DEPTHS:
            for problem in WORDS.heldout(split, depth)[::4]:
                assert WORDS.problem(problem.text) == problem and problem.depth == depth
                keys.add(problem.heldout_key)
    assert len(keys) == 120


def test_reworded_heldout_is_rejected():
    problem = next(p for p in WORDS.heldout("dev", 1) if " - " in p.text and "%" not in p.text)
    a, b = (n for n in problem.text.partition("def")[2].split() if n.isdigit())
    other = f"Somebody loses {b} out of {a} old maps. How many maps are left?"
    for text in (problem.text, f"{other}\n---\ndef answer():\n    return {a} - {b}"):
        found = WORDS.parse_proposal(text)
        assert isinstance(found, Rejection) and found.reason == "held-out"
    assert isinstance(proposed(other.replace(b, "1234"), f"return {a} - 1234"), Problem)


def test_random_problems_and_mutations():
    rng = random.Random(0)
    drawn = [WORDS.random_problem(rng, depth) for depth in DEPTHS for _ in range(6)]
    assert [p.depth for p in drawn] == [d for d in DEPTHS for _ in range(6)]
    assert all(WORDS.parse_proposal(p.text) == p for p in drawn)
    varied = [WORDS.parse_proposal(WORDS.mutate(p.text, rng)) for p in drawn]
    assert sum(isinstance(v, Problem) for v in varied) >= 28 and all(v != p for v, p in zip(varied, drawn, strict=True))
    assert WORDS.mutate("nothing like it", rng) == "nothing like it"


def test_worked_solution():
    problem = made(PENCILS, "pencils = 3 * 12", "return pencils - 7")
    assert WORDS.solution(problem) == "pencils = 3 * 12 = 36\n36 - 7 = 29\nanswer: 29"
    other = made(PENCILS, "return max(3, 12) * 3 - 7")
    assert WORDS.solution(other) == "answer: 29"


def judged(*answers: tuple[str, str | None, bool]) -> list[Judged]:
    return [Judged(agent, said, said == "29", strong, unclear=said is None) for agent, said, strong in answers]


@pytest.mark.parametrize(
    ("answers", "doubt"),
    [
        ([], None),
        ([("a", "31", True), ("b", "31", True)], "disputed"),
        ([("a", "31", True), ("b", "62/2", True), ("c", "29", False)], "disputed"),
        ([("a", "31", True), ("b", "31", True), ("c", "29", True)], None),
        ([("a", "31", True), ("b", "30", True)], None),
        ([("a", "31", True), ("a", "31", True)], None),
        ([("a", "31", False), ("b", "31", False)], None),
        ([("a", None, False), ("b", "31", True)], "unclear"),
        ([("a", None, False), ("b", "29", False)], None),
        ([("a", None, True), ("b", None, True), ("c", "29", False)], "unclear"),
        ([("a", None, True), ("b", None, True), ("c", "29", True)], None),
    ],
)
def test_doubt(answers: list[tuple[str, str | None, bool]], doubt: str | None):
    assert WORDS.doubt(made(PENCILS, "return 3 * 12 - 7"), judged(*answers)) == doubt


ADDED, TAKEN, SLIP = "36 + 7 = 43\nanswer: 43", "36 - 7 = 29\nanswer: 29", "36 - 7 = 31\nanswer: 31"


@pytest.mark.parametrize(
    ("texts", "doubt"),
    [
        # the equations hold and say that the program is wrong, although a strong agent agrees with it by luck
        ({"a": [ADDED, ADDED], "b": [ADDED, "answer: 29"]}, "disputed"),
        # the same mistake of arithmetic by two strong agents says nothing about the program
        ({"a": [SLIP] * 4, "b": [SLIP] * 4}, None),
        # as many right answers
        ({"a": [ADDED, TAKEN], "b": [ADDED, TAKEN]}, None),
        # one agent alone
        ({"a": [ADDED] * 4, "b": ["answer: 1"] * 4}, None),
    ],
)
def test_doubt_counts_sound_working(texts: dict[str, list[str]], doubt: str | None):
    problem, answers = made(PENCILS, "return 3 * 12 - 7"), []
    for agent, said in texts.items():
        for text in said:
            v = WORDS.verify(problem, text)
            answers.append(Judged(agent, v.answer, v.correct, True, sound=WORDS.sound(text)))
    assert WORDS.doubt(problem, answers) == doubt


def test_value_on_the_way_is_no_dispute():
    """Solvers that leave out the last step say nothing against it."""
    problem = made(
        f"{PENCILS} Give 5 times that number.", "pencils = 3 * 12", "pencils = pencils - 7", "return pencils * 5"
    )
    stopped = [Judged(agent, "29", False, True, sound=True) for agent in "aabb"]
    assert WORDS.doubt(problem, stopped) is None
    assert WORDS.doubt(problem, [Judged(agent, "43", False, True, sound=True) for agent in "aabb"]) == "disputed"
    lie = made(PENCILS, "pencils = 3 * 12", "pencils = pencils - 7", "return pencils + 1")
    assert WORDS.doubt(lie, stopped) == "disputed", "a step of which the question says nothing"


def test_number_used_twice():
    """`4 times that number` as `+ 4 * 4`; a number that the question says twice, or a common one, may be used twice."""
    question = "Tom has 40 muffins. Amira adds 4 times that number. How many muffins are there now?"
    wrong = made(question, "muffins = 40", "return muffins + 4 * 4")
    assert WORDS.doubt(wrong, []) == WORDS.doubt(wrong, judged(("a", "1", True))) == "number used twice"
    assert WORDS.doubt(wrong, [Judged("a", "56", True, False)]) is None, "an answer is right"
    assert WORDS.doubt(made(question, "muffins = 40", "return muffins + muffins * 4"), []) is None
    twice = "Tom has 40 muffins. Amira adds 4 boxes of 4. How many muffins are there now?"
    assert WORDS.doubt(made(twice, "return 40 + 4 * 4"), []) is None
    common = "Tom has 12 boxes of a dozen eggs. How many eggs are there?"
    assert WORDS.doubt(made(common, "return 12 * 12"), []) is None


def test_no_drawn_problem_uses_a_number_twice():
    drawn = [WORDS.random_problem(random.Random(i), i % 6) for i in range(300)]
    frozen = [p for split in ("dev", "test") for depth in WORDS.depths for p in WORDS.heldout(split, depth)]
    assert not [p.text for p in [*drawn, *frozen] if WORDS.doubt(p, [])]


def test_invalid_options_raise():
    with pytest.raises(ValueError, match="sandbox must be one of"):
        make_domain("word_problems", sandbox="none")
    with pytest.raises(ValueError, match="no held-out set 'dev' of depth 9"):
        WORDS.heldout("dev", 9)
    with pytest.raises(ValueError, match="not a word_problems problem: malformed"):
        WORDS.problem("x")


def test_operations_are_counted_by_symbol():
    found = operation_counts("def answer():\n    a = 3 * 4 + 5\n    a += 7 % 2\n    return a << 1")
    assert {k: n for k, n in found.items() if n} == {"*": 1, "+": 2, "%": 1, "other": 1}
    features = WORDS.features(made(PENCILS, "return 3 * 12 - 7"))
    assert (features["op *"], features["op -"], features["op +"]) == (1.0, 1.0, 0.0)
