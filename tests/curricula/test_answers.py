"""Comparison of answers as values; texts without exactly one value are never correct."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula.answers import same_answer, same_value
from curricula.domain import SPLITS
from curricula.final_answer import final_answers
from curricula.list_programs import ListPrograms
from curricula.plain_numbers import numbers_in, read_number
from curricula.units import read_unit
from curricula.word_data import THINGS
from curricula.word_problems import WordProblems, as_answer

SAME = [
    ("5", "5"), ("answer: 5 apples", "5"), ("$5.00", "5"), ("12%", "12"), ("12%", "0.12"), ("3/4", "0.75"),
    (r"So it is \boxed{\frac{3}{4}}.", "0.75"), ("1 1/2", "1.5"), ("3,000", "3000"), ("x = 5", "5"), ("−5", "-5"),
    ("five", "5"), ("three dozen", "36"), ("2 million", "2000000"), ("5 km/h", "5"), ("1e3", "1000"),
    ("3.2 × 10^4", "32000"), ("0.333333", "1/3"), ("The answer is 5.", "5"), ("**Answer:** 5", "5"), ("#### 72", "72"),
    ("1, 2 and 3", "[1, 2, 3]"), ("2,1", "{1, 2}"), ("on Tuesday.", "Tuesday"), ("12:30", "12:30"), ("(b)", "B"),
    (r"$\sqrt{12}$", r"2\sqrt{3}"), ("3.464102", r"2\sqrt{3}"), ("(x-1)(x+1)", "x^2-1"),
    (r"[0,\infty)", r"[0, \infty)"), (r"\boxed{1/2} ... \boxed{0.5}", "0.5"),
    # scale words, parts and units
    ("two fifths", "2/5"), ("2 fifths", "0.4"), ("5 trillion", "5000000000000"), ("5 squared", "25"),
    ("2 dozens", "24"), ("5 hundred thousand", "500000"), ("2 and a half million", "2500000"),
    ("one and a half hours", "1.5"), ("½", "1/2"), ("1½", "3/2"), ("half", "0.5"), ("half a dozen", "6"),
    ("three quarters", "3/4"), ("42 dollars", "42"), ("$42", "42"), ("42", "42 dollars"), ("$42", "42 dollars"),
    ("5 km/h", "5 kilometers per hour"), ("5 cm²", "5 square centimeters"), ("20 °C", "20 degrees Celsius"),
    ("5 apples in total", "5"), ("7 people", "7 persons"), ("3 boxes", "3 box"), ("5 p.m.", "5 pm"),
    ("5 April", "5 april"), ("10 miles west.", "10 miles west"),
    # notations
    (r"\frac12", "1/2"), ("1/2", r"\frac12"), (r"\frac1{2}", "0.5"), (r"\cfrac{1}{2}", "0.5"),
    (r"\frac{-3}{4}", "-0.75"), (r"-\frac34", "-0.75"), (r"\frac{3}{-4}", "-3/4"), (r"90^\circ", "90"),
    (r"90^{\circ}", "90°"), ("90", r"90^\circ"), ("2√2", r"2\sqrt{2}"), ("2ab", "ab+ab"), (r"\frac{1}{2}m", "m/2"),
    ("x^{2}y", "yx^2"), ("5pm", "5 pm"), (r"2\sqrt2", "2√2"), ("sqrt(2)/2", r"\frac{\sqrt2}{2}"), ("12 500", "12500"),
    ("1\u202f234\u202f567", "1234567"), (r"12\,500", "12500"), ("10^{-5}", "0.00001"), (r"\$45", "45"),
    ("2^{10}", "2^5*32"), ("1024", "2^{10}"), ("0.125", "2^{-3}"), (r"\frac{1}{2^{99}}", "2^{-99}"),
    ("9^{2000}", "3^{4000}"),
    # closing words and marks
    ("The final answer is 5. I hope it is correct.", "5"), ("✅ Final Answer: **73**", "73"),
    ("👉 **Answer:** 73 ✅", "73"), (r"Final Answer: The final answer is $\boxed{5}$. I hope it is correct.", "5"),
    ("Answer: B. I hope this helps!", "B"),
    # references as data sets write them
    ("7", "#### 7"), ("7", r"$\boxed{7}$"), ("7", r"$\$7$"), ("7", "A: #### 7"), ("5 kilos", "5 kg"),
    ("7", "48 / 2 = <<48/2=24>>24, so 7.\n#### 7"), ("7", "The answer is 7."), ("7", "<answer>7</answer>"),
    ("7", r"so \fbox{7}."), ("7", r"\boxed7"), ("$5", "#### 5 dollars"), (r"\frac12", r"\boxed{\frac{1}{2}}"),
    # Python values
    ("'abc'", "'abc'"), ('"abc"', "'abc'"), ("abc", "'abc'"), ('answer: "5"', "'5'"),
    ("{'b': 1, 'a': 3}", "{'a': 3, 'b': 1}"), ("[[1, 4],[2, 5]]", "[[1, 4], [2, 5]]"),
    ("['a', 0.3]", "['a', 0.30000000000000004]"),
]  # fmt: skip
OTHER = [
    ("-5", "5"), ("0.33", "1/3"), ("0.0000001", "0"), ("0", "0.0000001"), ("100000.4", "100000"), ("1e99", "1"),
    ("3,2,1", "[1, 2, 3]"), ("1, 2", "[1, 2, 3]"), ("Tuesday or Monday", "Tuesday"), ("B", "C"),
    (r"(0,\infty)", r"[0, \infty)"), ("5", "x+1"), ("500 cents", "5"), ("answer: 1/2\nanswer: 0.5", "3/4"),
    # words that are no units are compared; units differ
    ("5 April", "5 March"), ("5 am", "5 pm"), ("10 miles west", "10 miles east"), ("5 trillion", "5"),
    ("two fifths", "2"), ("5 squared", "5"), ("5 cubed", "5"), ("5 million", "5"), ("2 dozens", "2"),
    ("5 hundred thousand", "500"), ("5", "5 zebras"), ("-5 zebras", "5 zebras"), (".5 zebras", "5 zebras"),
    ("5 m", "5 h"), ("5 dollars", "5 euros"), ("$5", "5 euros"), ("5 km", "5000 m"), ("5 m", "5 m^2"),
    ("90 degrees", "90 radians"), ("5 dollars", "5 dollars per hour"), ("3 thirds", "3"),
    ("5 boxes per person", "5 persons per box"), ("20 °C", "20 °F"), ("5 AD", "5 BC"), ("3rd", "3th"), ("5am", "5pm"),
    ("2^{99}", r"2^{9\infty9}"), ("2^{99}", r"\infty"), ("5'", "5\""), ("5\"", "5'"), ("5%", "5 dollars"), ("3h", "3s"),
    ("3d", "3b"), ("2ab", "3ab"), ("5 K", "5 M"),
    # exact numbers
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"), ("10^{-50}", "10^{-60}"), ("1e-50", "1e-60"), ("2^{1000}", "2^{1001}"),
    ("1180591620717411303426", "1180591620717411303425"), ("[1180591620717411303426]", "[1180591620717411303425]"),
    ("10^{30}", "10^{30}+1"), (r"10^{-50}\sqrt{2}", r"10^{-60}\sqrt{2}"), ("10^{-50}x", "10^{-60}x"),
    ("(0, 2^{-99})", "(0, 2^{-98})"), ("[0, 2^{-99}]", "[0, 2^{-98}]"), (r"\{2^{-99}, \pi\}", r"\{2^{-98}, \pi\}"),
    (r"\sqrt{2}+10^{-20}", r"\sqrt{2}"), (r"\sqrt{10^{-40}}", r"\sqrt{10^{-44}}"), ("1000001/1000000", "1"),
    ("9^9", "9^{9}+1"),
    # Python values
    ("'abc'", "'ABC'"), ("abc", "'ABC'"), ('"Abc"', "'abc'"), ("5", "'5'"), ("True", "'True'"), ("['a']", "['A']"),
    ("{'a': 1}", "{'A': 1}"), ("{'a': 1}", "{'a': 1.0}"), ("['a', 'b']", "('a', 'b')"),
]  # fmt: skip
NOT_A_VALUE = [
    "", " ", "5 or 6", "x=x", "5=5", "x<6", "x", "all numbers", "1) or (True", "5) or (True", r"\boxed{5}\boxed{6}",
    "answer: 5\nanswer: 6", "٥", "５", "nan", "inf", "-inf", "(-oo,oo)", r"(-\infty, \infty)", "{5}", "[5]", "(5)",
    r"\{5, 6\}", r"\mathbb{R}", "2+3", "5-", "--5", "5%%", "5/0", r"\frac{5}{0}", "5 x", "5,0", "5_0", "0x5", "5!",
    "5 zebras", "5 score", "5 square", "5 dB", "5ab", "5am", "5th", "two three", "five and six", "3 quarters",
    "twenty fifths", "5 percentage points", "5 more", "5 of", "The answer is 5. Or maybe 6.",
    "answer: 5. No, I hope it is 6.", "5 April", "5 pm", "$5 euros", "5 per", "5 miles left", "not 5", "5 or more",
    "about 5", "She has 5 apples and 6 pears", "5 hours 30 minutes", "5 6", "True", "None",
]  # fmt: skip
HOSTILE = [
    "9^{9^{9^9}}", "9**9**9**9", "1e99999999999", "$9^{9^{9^{9}}}$", "((((9^99)^99)^99)^99)", "(9!)!", "9!!!!",
    "9" * 100_000, "x" * 100_000, "(" * 90, "(" * 100_000, r"\sqrt{" * 30, r"\boxed{" * 20_000,
    r"\frac{1}{" * 12 + "1" + "}" * 12, "10^{999999999}", r"\sum_{n=1}^{10^{10}} n", r"\int_0^1 x^x dx", "(x+y+z)^{99}",
    "(" + "x+" * 20 + "1)^9", "answer: " * 10_000, "answer:\n" * 2_000, "1," * 5_000, "one " * 5_000,
    "million " * 2_000, "\x00", "\ud800", "- " * 5_000, "9**9**9", "2^{99999}^{99999}", "(" * 50 + "2" + ")^99" * 50,
    "-" * 200 + "1", "10^{99}^{99}", r"\frac" * 50, r"\frac{1}{" * 40 + "2" + "}" * 40, "1 000" + " 000" * 5_000,
    "5 " + "per a " * 5_000, "half a " * 3_000, "and a half " * 500, "√" * 5_000, "sqrt(" * 3_000, "2^" * 100 + "2",
    "answer is " * 2_000, ". I hope " * 2_000, "✅" * 19_000, "'" * 999, "[" * 900, "{'a': " * 150, "2^{20000}" * 30,
]  # fmt: skip


@pytest.mark.parametrize(("said", "reference"), SAME)
def test_same_value_in_other_notation(said: str, reference: str):
    assert same_answer(said, reference) is True


@pytest.mark.parametrize(("said", "reference"), OTHER)
def test_different_values(said: str, reference: str):
    assert same_answer(said, reference) is False


@pytest.mark.parametrize("said", NOT_A_VALUE)
def test_not_a_number_gives_none(said: str):
    """A text that is not exactly one number has no value, if the reference is a number."""
    assert same_answer(said, "5") is None


@pytest.mark.parametrize("reference", ["5", "[1, 2]", "x^2+1", r"2\sqrt{3}", "Tuesday"])
def test_hostile_answers(reference: str):
    """Hostile answers neither hang nor raise nor count as correct."""
    for said in HOSTILE:
        assert same_answer(said, reference) is not True


@pytest.mark.parametrize("reference", HOSTILE)
def test_hostile_references(reference: str):
    """A hostile reference neither hangs nor equals an honest answer. It may be refused."""
    for said in ("5", "[1, 2]", r"2\sqrt{3}"):
        try:
            assert same_answer(said, reference) is not True
        except ValueError as error:
            assert "reference" in str(error)


def test_comparison_in_other_threads():
    found = list[bool | None]()
    threads = [threading.Thread(target=lambda: found.append(same_answer(r"\sqrt{12}", r"2\sqrt{3}"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


def test_empty_reference_raises():
    with pytest.raises(ValueError, match="empty"):
        same_answer("5", " ")


@pytest.mark.parametrize(
    "reference", ["#### ", r"\boxed{}", r"\boxed{5}\boxed{6}", "#### 5\n#### 6", "answer: 5\nanswer: 6"]
)
def test_unreadable_reference_raises(reference: str):
    with pytest.raises(ValueError, match="the reference answer marks"):
        same_answer("5", reference)


_TOKENS = "5 12 -3 0.5 1/2 two half fifths squared million dozen dollars km miles west April pm per % of"
WORDS = st.sampled_from(_TOKENS.split())


@given(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), st.lists(WORDS, min_size=1, max_size=4).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_numbers_compare_symmetrically(left: str, right: str):
    """If both texts are numbers, their order does not matter, and each equals itself. A missing unit equals any."""
    a, b = read_number(left), read_number(right)
    assert same_value(left, left) is True
    if a is not None and b is not None:
        assert same_value(left, right) == same_value(right, left)
        if a.unit and b.unit and a.unit != b.unit:
            assert same_value(left, right) is False


@given(st.integers(-(10**25), 10**25), st.integers(1, 10**4))
@settings(max_examples=100, deadline=None)
def test_exact_numbers_differ_by_one(number: int, other: int):
    assert same_value(str(number), str(number)) is True
    assert same_value(str(number + 1), str(number)) is False
    assert same_value(f"{number + 1}/{other}", f"{number}/{other}") is False
    assert same_value(rf"\frac{{{number + 1}}}{{{other}}}", rf"\frac{{{number}}}{{{other}}}") is False


@given(st.integers(2, 99), st.integers(-99, 99), st.integers(-99, 99))
@settings(max_examples=50, deadline=None)
def test_powers_are_exact(base: int, first: int, second: int):
    for form in ("{}^{{{}}}", r"\frac{{1}}{{{}^{{{}}}}}", r"3 \cdot {}^{{{}}}"):
        assert same_value(form.format(base, first), form.format(base, second)) is (first == second)


@given(st.text(max_size=60) | st.text("0123456789+-*/^(){}[]\\frac sqrt,.%x=<>$", max_size=40))
@settings(max_examples=150, deadline=None)
def test_comparison_is_total(said: str):
    for reference in ("5", "[1, 2]", "x+1", "Tuesday"):
        assert same_answer(said, reference) in (True, False, None)


@given(st.fractions(-(10**9), 10**9, max_denominator=1000))
@settings(max_examples=50, deadline=None)
def test_fraction_notations_are_equal(value):
    assert same_value(str(value), str(value)) is True
    assert same_value(rf"\frac{{{value.numerator}}}{{{value.denominator}}}", str(value)) in (True, None)


@pytest.mark.parametrize("domain", [WordProblems(), ListPrograms()])
def test_heldout_references_equal_themselves(domain):
    for problem in (p for split in SPLITS for depth in domain.depths for p in domain.heldout(split, depth)):
        assert same_answer(problem.answer, problem.answer) is True
        assert domain.verify(problem, domain.solution(problem)).correct


def test_final_answer_precedence():
    """Boxes take precedence over marked lines, and these over a short whole text."""
    assert final_answers(r"answer: 3 but \boxed{\frac{1}{2}} and \boxed{7") == [r"\frac{1}{2}"]
    assert final_answers("We get 4.\nSo the final answer is: **4**.") == ["4"]
    assert final_answers("4 " * 200) == []


def test_numbers_in_prose():
    found = {
        int(n) if n.denominator == 1 else float(n)
        for n in numbers_in("Twenty-five men, 3,000 cows, 2.5 kg; two dozen.")
    }
    assert found == {20, 5, 25, 3000, 2.5, 2, 12, 24}
    assert read_number("two hundred and five") is not None


def test_units():
    """Spellings of one unit have one meaning; every thing that the templates count is a unit."""
    for row in (
        ("km/h", "kilometers per hour", "kilometres an hour", "kph", "km / h"),
        ("sq. ft.", "square feet", "ft^2", "feet squared", "ft²".replace("²", "^2")),
        ("$", "dollars", "US dollars", "USD"),
        ("°C", "degrees Celsius", "deg C", "degrees C"),
        ("", "in total", "altogether", "each"),
        ("cups of tea", "cup of tea"),
        ("apples", "apple left", "apples each"),
        ("people", "persons", "person"),
    ):
        assert len({read_unit(text) for text in row}) == 1 and read_unit(row[0]) is not None
    assert all(read_unit(thing) for thing in (*THINGS, "dollars", "liters", "boxes"))
    for text in (
        "April",
        "am",
        "pm",
        "west",
        "miles west",
        "miles left",
        "M",
        "of",
        "per",
        "squared",
        "and",
        "x",
        "times",
    ):
        assert read_unit(text) is None


def test_program_answers_keep_their_unit():
    assert as_answer("5 km") == "5 km" and as_answer("5 April") == "5 April" and as_answer("2 dozen") == "24"


@pytest.mark.parametrize("said", ["5 red apples", "$5M", "5M", "5 M", "5k", "$5bn"])
def test_words_outside_the_list_of_units_give_no_value(said: str) -> None:
    """Adjectives and letters for scales are neither units nor scale words: the answer is not read as its number."""
    for reference in ("5", "5000000", "5000", "5000000000"):
        assert same_answer(said, reference) is not True
    assert same_answer("$5 million", "5000000") is True and same_answer("5 apples", "5") is True
