"""Checks of posts by execution: nested definitions, lessons, failures, questions, books.

Left out: authorship and timing. Fuzzing found no text that crashes a check; it does not prove the checks correct.
"""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from culture.posts import MAX_BODY
from curricula import list_programs as lp
from curricula.definitions import (
    MAX_BOOK,
    compact,
    compile_book,
    expand,
    pages,
)
from curricula.domain import SPLITS
from curricula.hidden_words import HiddenWords
from curricula.hidden_world import WORDS, level_of
from curricula.list_programs import ListPrograms
from curricula.list_school import WORDS as VOCABULARY
from curricula.post_forms import PostDomain, check_worked_example

LISTS = ListPrograms()
WORLD = HiddenWords()
BODIES = WORLD.world.bodies  # w0 = inc swap, w12 = w0 init, w20 = w12 neg
KINDS = ("definition", "lesson", "worked_example", "failure", "question", "book", "review", "retraction", "poem")
SOUP = st.lists(st.sampled_from([*VOCABULARY, "\n", " ", "w64", "３", "²", "12"]), max_size=30).map(" ".join)
ANY_TEXT = st.one_of(st.text(max_size=200), SOUP)
DOMAINS = st.sampled_from([LISTS, WORLD])


def test_post_domain_protocol():
    """Both domains implement `PostDomain`; a domain without it can still check worked examples."""

    class Bare:
        name = "bare"
        problem, verify, is_heldout = LISTS.problem, LISTS.verify, LISTS.is_heldout

    assert isinstance(LISTS, PostDomain) and isinstance(WORLD, PostDomain)
    assert not isinstance(Bare(), PostDomain)
    assert check_worked_example(Bare(), "rev | 3 1 4", "rev 4 1 3 answer 4 1 3") is None


# -- definitions that build on definitions ---------------------------------------------------------------------------


def test_definitions_with_names():
    assert WORLD.check_definition("w12 = w0 init") is None
    assert WORLD.check_definition("w12 = inc swap init") is None
    assert WORLD.check_definition("w12 = w1 init").startswith("wrong: differs on")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("w12 init", "not a definition: 'w12 init'"),
        ("w12 = w12", "refers to itself: w12"),
        ("w12 = w0 w12 init", "refers to itself: w12"),
        ("w12 = w64 init", "unknown name: w64"),
        ("w64 = w0 init", "unknown name: w64"),
        ("w12 = w00 init", "unknown name: w00"),
        ("w12 = " + "w0 " * 7, "too long: more than 12 primitives"),
        ("w12 = ", "malformed: "),
    ],
)
def test_refused_definitions(text: str, reason: str):
    assert WORLD.check_definition(text) == reason


def test_known_definitions_and_circles():
    """Names have their bodies in `known`, and circles through it are found."""
    known = {"w0": ("inc", "swap"), "w12": "w12 = w0 init"}
    assert WORLD.check_definition("w20 = w12 neg", known) is None
    assert WORLD.check_definition("w20 = w1 neg", known) == "unknown name: w1"
    assert WORLD.check_definition("w20 = w12 neg", {"w12": ("rev",)}).startswith("wrong")
    assert WORLD.check_definition("w0 = w12", known) == "goes round in a circle: w0 w12 w0"
    assert WORLD.check_definition("w1 = w3", {"w3": ("w4",), "w4": ("w3",)}) == "goes round in a circle: w3 w4 w3"


def test_exponential_definitions():
    """Definitions that grow exponentially are refused before they are expanded."""
    known: dict[str, tuple[str, ...]] = {"w13": ("inc", "swap")}
    known |= {f"w{i}": (f"w{i - 1}", f"w{i - 1}") for i in range(14, 64)}
    assert WORLD.check_definition("w12 = w63", known) == "too long: more than 12 primitives"
    nothing: dict[str, tuple[str, ...]] = {"w0": ()} | {f"w{i}": (f"w{i - 1}",) * 9 for i in range(1, 64)}
    assert expand("w63", nothing) == ()


@pytest.mark.parametrize("seed", range(3))
def test_compact_round_trip(seed: int):
    """Compacted definitions expand to the same body, are true, and are short."""
    world = HiddenWords(world=seed)
    for name, body in world.world.bodies.items():
        text = compact(name, body, world.world.bodies)
        assert expand(text, world.world.bodies) == body
        assert world.check_definition(text) is None
        assert name not in text.partition(" = ")[2].split()
        assert len(text.split()) == (4 if level_of(name) > 1 else 2 + len(body))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_compact_is_shortest(data: st.DataObject):
    alphabet = st.lists(st.sampled_from(["rev", "inc", "dec"]), min_size=1, max_size=7).map(tuple)
    body, known = data.draw(alphabet), dict(zip(WORDS, data.draw(st.lists(alphabet, max_size=4)), strict=False))
    words = compact("w9", body, known).split()[2:]
    assert expand(" ".join(words), known) == body
    usable = {w: b for w, b in known.items() if len(b) < len(body)}
    for fewer in range(1, len(words)):
        for wording in itertools.product([*usable, "rev", "inc", "dec"], repeat=fewer):
            assert tuple(p for w in wording for p in usable.get(w, (w,))) != body


def test_compact_tie_breaking():
    """Ties are broken by the longest first word, then by the lowest number."""
    known = {"w10": ("rev", "inc"), "w2": ("rev", "inc"), "w3": ("inc", "dec")}
    assert compact("w9", ("rev", "inc", "dec"), known) == "w9 = w2 dec"
    assert compact("w9", ("neg", "inc", "dec", "neg"), known) == "w9 = neg w3 neg"
    assert compact("w9", ("rev", "inc"), known) == "w9 = rev inc"  # using an equal body could create a circle


# -- lessons ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["rev rev = nothing", "rev sort = sort", "inc dec = nothing", "neg neg neg = neg"])
def test_accepted_lessons(body: str):
    assert LISTS.check_lesson(body) is None
    assert WORLD.check_lesson(body) is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not a lesson"),
        ("rev rev", "not a lesson"),
        ("rev rev = nothing = nothing", "not a lesson"),
        ("rev  rev = nothing", "not a lesson"),
        ("w0 dec swap = nothing", "unknown word in a lesson: 'w0'"),
        ("nothing = nothing", "unknown word in a lesson: 'nothing'"),
        ("sort = rev sort", "left side has 1 primitives, right side 2"),
        ("inc rev = rev inc", "left side has 2 primitives, right side 2"),
        ("rev " * 13 + "= rev", "left side has 13 primitives, at most 12"),
        ("inc inc = inc", "not true: the sides differ on 3 1 4"),
        ("inc init swap tail = inc tail", "not true: the sides differ on"),
        ("init dup = nothing", "not true: the sides differ on 3 1 4"),
        ("tail init = init", "not true"),
    ],
)
def test_refused_lessons(body: str, reason: str):
    assert LISTS.check_lesson(body).startswith(reason)
    assert WORLD.check_lesson(body)


def test_lesson_must_hold_on_short_lists():
    """`swap init` and `init swap` differ only on lists of two digits."""
    left, right = ("swap", "init", "swap"), ("init",)
    assert all(lp.last(left, xs) == lp.last(right, xs) for xs in lp.lesson_checks() if len(xs) > 2)
    assert LISTS.check_lesson("swap init swap = init").startswith("not true: the sides differ on")


@pytest.mark.parametrize(
    ("program", "other", "lesson"),
    [
        ("inc rev rev dec | 3 1 4", None, "rev rev = nothing"),
        ("inc dec", None, "inc dec = nothing"),
        ("inc rev sort dbl", "inc sort dbl | 1 2", "rev sort = sort"),
        ("sort", "rev sort", "rev sort = sort"),
        ("inc rev rev", "inc", "rev rev = nothing"),
        ("rev inc", "inc rev", None),  # equivalent, but neither is shorter
        ("rev inc", "inc", None),
        ("sort | 1 2 3", None, None),  # does not change this list, but is not the identity
        ("w0 dec swap | 3 1 4", None, None),  # a definition that nobody guessed
        ("", None, None),
        ("rev " * 14, None, None),
    ],
)
def test_lesson_from(program: str, other: str | None, lesson: str | None):
    """Lessons come from equivalent programs, without their common prefix and suffix."""
    assert LISTS.lesson_from(program, other) == WORLD.lesson_from(program, other) == lesson


def test_lesson_keeps_needed_words():
    """`rot` and `rev rot` are not equivalent, but `rot sort` and `rev rot sort` are."""
    assert LISTS.lesson_from("rev rot sort", "rot sort") == "rev rot sort = rot sort"


def test_no_lesson_about_heldout_program():
    program = next(p.text.partition(" |")[0] for p in LISTS.heldout("dev", 3))
    text = f"{program} rev rev = {program}"
    assert LISTS.check_lesson(text) == f"held-out program: {program}"
    assert LISTS.lesson_from(f"{program} rev rev", program) == "rev rev = nothing"


@given(st.lists(st.sampled_from(lp.NAMES), max_size=6), st.lists(st.sampled_from(lp.NAMES), max_size=6))
@settings(max_examples=200, deadline=None)
def test_found_lessons_pass_their_check(left: list[str], right: list[str]):
    text = LISTS.lesson_from(" ".join(left), " ".join(right))
    assert text is None or LISTS.check_post("lesson", text.partition(" = ")[0], text) is None


# -- failures --------------------------------------------------------------------------------------------------------

PROBLEM = LISTS.problem("dbl init sort | 2 2 0")  # 4 4 0 ; 4 4 ; 4 4


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("dbl 4 4 0 ; init 2 2 2 ; sort 2 2 answer 2 2", "2 because init 2 2 2"),
        ("dbl 4 4 0 ; init 4 4 answer 4 4", "3 because nothing"),
        ("dbl 4 4 0 ; sort 4 4 ; init 4 4 answer 4 4", "2 because sort 4 4"),
        ("dbl 4 4 0 ; init 4 4 ; sort 4 4 ; rev 4 4 answer 4 4", "4 because rev 4 4"),
        ("dbl 4 4 0 ; init 4 4 ; sort 4 4 answer 4 0", "because answer 4 0"),
        ("dbl 4 4 0 ; the the the ; sort 4 4 answer 4 4", None),
        ("", None),
        (LISTS.solution(PROBLEM), None),
    ],
)
def test_failure_names_the_wrong_step(text: str, clause: str | None):
    draft = LISTS.failure_from_attempt(PROBLEM, LISTS.verify(PROBLEM, text), text)
    assert draft == (clause and (PROBLEM.text, f"{PROBLEM.text} fails {clause}"))
    if draft:
        assert LISTS.check_post("failure", *draft) is None
        assert WORLD.check_post("failure", *draft) is None


@pytest.mark.parametrize(
    ("clause", "reason"),
    [
        (" 2 because init 4 4", "does not fail: step 2 is init 4 4"),
        (" because answer 4 4", "does not fail: that is the answer"),
        (" 4 because nothing", "does not fail: there is nothing to do in step 4"),
        (" 5 because rev 4 4", "there is no step 5: the program has 3"),
        (" 0 because nothing", "there is no step 0"),
        (" 0 2 because nothing", "the step's number begins with 0"),
        ("", "expected 'fails step because text'"),
        (" 2 because", "expected 'fails step because text'"),
        (" ２ because nothing", "expected 'fails step because text'"),
        (" 2 because ignore all that was said", "step 2 is neither"),
        (" because answer", "expected 'because answer digits'"),
    ],
)
def test_refused_failures(clause: str, reason: str):
    """A failure is refused if its claim is not wrong."""
    for domain in (LISTS, WORLD):
        assert domain.check_failure(PROBLEM.text, f"{PROBLEM.text} fails{clause}").startswith(reason)


def test_failure_title():
    """The title of a failure is its problem, which may not be held out."""
    assert "is not what fails" in LISTS.check_failure("rev | 1 2", f"{PROBLEM.text} fails because answer 1")
    assert "write the problem as" in LISTS.check_failure("rev |1 2", "rev |1 2 fails because answer 1")
    assert "not a list_programs problem" in LISTS.check_failure("rev 1 2", "rev 1 2 fails because answer 1")
    for problem in (LISTS.heldout("dev", 3)[0], LISTS.heldout("test", 1)[0]):
        assert (
            LISTS.check_failure(problem.text, f"{problem.text} fails because answer 0 0 0 0 0 0") == "held-out problem"
        )
    problem = WORLD.heldout("dev", 1)[0]
    said = f"{problem.text} fails because means rev rev"
    assert WORLD.check_failure(problem.text, said).startswith(("held-out", "no-op"))


def test_failure_from_guess():
    assert WORLD.failure_from_guess("w0", "rev dec") == ("w0", "w0 | rev dec fails")
    assert WORLD.check_post("failure", "w0", "w0 | rev dec fails") is None
    assert WORLD.failure_from_guess("w0", "swap inc") is None
    assert WORLD.check_failure("w0", "w0 | swap inc fails") == "does not fail: w0 means swap inc"
    for text in ("", "the", "rev " * 13, "w1", "w0 = rev"):
        assert WORLD.failure_from_guess("w0", text) is None
    assert WORLD.failure_from_guess("w64", "rev dec") is None
    assert "is not the name" in WORLD.check_failure("w1", "w0 | rev dec fails")


NAMED = WORLD.problem("w0 rot | 3 1 4")  # inc swap rot: 4 2 5 ; 2 4 5 ; 4 5 2


@pytest.mark.parametrize(
    ("text", "draft"),
    [
        ("w0 rev dec ; rev 4 1 3 answer 4 1 3", ("w0", "w0 | rev dec fails")),
        (
            "w0 inc swap ; means inc rot ; inc 4 2 5 ; rot 2 5 4 answer 2 5 4",
            (NAMED.text, f"{NAMED.text} fails because means inc rot"),
        ),
        (
            "w0 swap inc ; means swap inc rot ; swap 1 3 4 ; inc 2 4 4 ; rot 4 4 2 answer 4 4 2",
            ("swap inc rot | 3 1 4", "swap inc rot | 3 1 4 fails 2 because inc 2 4 4"),
        ),
        ("w0 inc swap ; means swap inc rot ; swap 1 3 4 answer 1", None),  # equivalent expansion
        ("rot 1 4 3 answer 1 4 3", None),
        ("unknown w0", None),
        ("answer 1", None),
    ],
)
def test_failure_reveals_no_body(text: str, draft: tuple[str, str] | None):
    """Failures contain only bodies that the attempt recalled; otherwise an attempt without recalls would reveal a
    definition."""
    verdict = WORLD.verify(NAMED, text)
    assert not verdict.correct
    assert WORLD.failure_from_attempt(NAMED, verdict, text) == draft
    assert draft is None or WORLD.check_post("failure", *draft) is None


def test_correct_expansion_is_no_failure():
    assert WORLD.check_failure(NAMED.text, f"{NAMED.text} fails because means inc swap rot").startswith("does not fail")
    assert WORLD.check_failure(NAMED.text, f"{NAMED.text} fails because means swap inc rot").startswith("does not fail")
    assert "expected" in WORLD.check_failure(NAMED.text, f"{NAMED.text} fails 2 because rev 1 2")
    assert "expected" in WORLD.check_failure(NAMED.text, f"{NAMED.text} fails because means w1")


# -- questions -------------------------------------------------------------------------------------------------------


def test_accepted_questions():
    for title in ("w7", "w7 sort | 3 1 4"):
        assert WORLD.check_post("question", title, "question w7") is None
    assert WORLD.check_post("question", *WORLD.question_about("w7 sort | 3 1 4")) is None
    assert LISTS.check_post("question", *LISTS.question_about("rev inc | 3 1 4")) is None
    assert WORLD.check_post("question", "w7", "question w7", known={"w7": ("rev",)}) == "w7 is known"


@pytest.mark.parametrize(
    ("title", "body", "reason"),
    [
        ("w7", "w7", "not a question"),
        ("w7", "question  w7", "not a question"),
        ("w64", "question w64", "unknown name: w64"),
        ("w6", "question w7", "malformed"),
        ("w6 | 3 1 4", "question w7", "title 'w6 | 3 1 4' does not use w7"),
        ("w6 | 3 1 4", "question w7 | 3 1 4", "title 'w6 | 3 1 4' is not what is asked"),
        ("w6 |3 1 4", "question w6", "write the problem as 'w6 | 3 1 4'"),
        ("rev | 3 1 4", "question rev | 3 1 4", "no issued name"),
    ],
)
def test_refused_questions(title: str, body: str, reason: str):
    assert WORLD.check_question(title, body).startswith(reason)


def test_no_question_about_heldout_problem():
    for domain, problem in ((LISTS, LISTS.heldout("test", 4)[0]), (WORLD, WORLD.heldout("test", 4)[0])):
        assert domain.check_question(*domain.question_about(problem.text)).startswith("held-out")
    problem = WORLD.heldout("dev", 3)[0]
    assert WORLD.check_question(problem.text, f"question {problem.names[0]}").startswith("held-out")


# -- books -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compacted", [True, False])
def test_book_of_the_whole_world(compacted: bool):
    """A book of all definitions of a world is correct and fits in a post."""
    assert MAX_BOOK == MAX_BODY
    body = compile_book(BODIES, compacted)
    assert pages(body) == BODIES
    assert WORLD.check_post("book", "book 1 w0", body) is None
    assert len(body) < len(compile_book(BODIES, False)) or not compacted
    assert len(pages(body)) == len(WORDS)
    assert set(" ".join(["book", body]).split()) <= set(VOCABULARY)


def test_book_limit_drops_last_pages():
    whole = compile_book(BODIES)
    short = compile_book(BODIES, limit=200)
    assert len(short) <= 200 and whole.startswith(short + "\n")
    assert len(short) + 1 + len(whole[len(short) + 1 :].partition("\n")[0]) > 200
    assert compile_book({}) == ""


def test_book_from_nested_definitions():
    given_ = {"w20": ("w12", "neg"), "w12": "w12 = w0 init", "w0": ("inc", "swap")}
    assert compile_book(given_) == "w0 = inc swap\nw12 = w0 init\nw20 = w12 neg"
    assert compile_book(given_, False) == "w0 = inc swap\nw12 = inc swap init\nw20 = inc swap init neg"


@pytest.mark.parametrize(
    ("title", "body", "reason"),
    [
        ("a book", "w0 = inc swap", "the title of a book begins with 'book'"),
        ("book of lies", "w0 = inc swap", "the title of a book holds digits and names, not 'of'"),
        ("book", "", "page 1: not a definition"),
        ("book", "w0 = inc swap\n", "page 2: not a definition: ''"),
        ("book", "w0 = inc swap\nw0 = inc swap", "page 2: w0 has a page already"),
        ("book", "w12 = w0 init\nw0 = inc swap", "page 1: unknown name: w0"),
        ("book", "w0 = inc swap\nw12 = w1 init", "page 2: unknown name: w1"),
        ("book", "w0 = inc swap\nw12 = w0 neg", "page 2, w12: wrong: differs on"),
        ("book", "w0 = w0", "page 1: goes round in a circle: w0 w0"),
        ("book", "w0 = inc swap\nw12 = " + "w0 " * 6 + "w0", "page 2: too long"),
        ("book", "w64 = inc swap", "page 1, w64: unknown name: w64"),
        ("book", "w0 = inc swap\n" * 400, "a book has at most 4000 characters, this one 5600"),
    ],
)
def test_refused_books(title: str, body: str, reason: str):
    """Refused books, with the page in the reason."""
    assert WORLD.check_book(title, body).startswith(reason)


# -- all kinds -------------------------------------------------------------------------------------------------------


def test_check_post():
    assert WORLD.check_post("definition", "w12", "w12 = w0 init") is None
    assert "is not the name" in WORLD.check_post("definition", "w13", "w12 = w0 init")
    assert "single spaces" in WORLD.check_post("definition", "w12", "w12 = w0\ninit")
    assert WORLD.check_post("definition", "w12", "w12 = w0 init", known={}) == "unknown name: w0"
    assert "neither the lesson" in LISTS.check_post("lesson", "sort rev", "rev rev = nothing")
    assert LISTS.check_post("lesson", "rev rev = nothing", "rev rev = nothing") is None
    for kind in ("definition", "book"):
        assert "no names" in LISTS.check_post(kind, "w12", "w12 = w0 init")
    for kind in ("review", "retraction", "poem"):
        assert "cannot check posts of kind" in LISTS.check_post(kind, "title", "body")


def test_check_worked_example():
    right = LISTS.solution(PROBLEM)
    assert LISTS.check_post("worked_example", PROBLEM.text, right, "list_programs/g0001r000") is None
    assert LISTS.check_post("worked_example", PROBLEM.text, "rev answer 4 4") == "step names the wrong operation"
    assert "not of list_programs" in LISTS.check_post("worked_example", PROBLEM.text, right, "hidden_words/g0001r000")
    assert "not a list_programs problem" in LISTS.check_post("worked_example", "title", right)
    for domain in (LISTS, WORLD):
        for split in SPLITS:
            problem = domain.heldout(split, 3)[0]
            assert domain.check_post("worked_example", problem.text, domain.solution(problem)) == "held-out problem"


@given(DOMAINS, st.sampled_from(KINDS), ANY_TEXT, ANY_TEXT, st.one_of(st.none(), st.just({"w0": ("w1",), "w1": "w0"})))
@settings(max_examples=400, deadline=None)
def test_checks_are_total(
    domain: ListPrograms | HiddenWords, kind: str, title: str, body: str, known: dict[str, str] | None
):
    assert domain.check_post(kind, title, body, "", known) is None or domain.check_post(kind, title, body, "", known)
    assert domain.lesson_from(title, body) is None or domain.check_lesson(str(domain.lesson_from(title, body))) is None
    WORLD.failure_from_guess("w0", body)


@pytest.mark.parametrize("domain", [LISTS, WORLD])
def test_written_posts_pass_their_check(domain: ListPrograms | HiddenWords):
    """Posts that a domain writes pass its check and use the vocabulary of the seed model. The attempts have one
    changed word, so that many of them give failures."""
    rng, posts = random.Random(0), 0
    for _ in range(300):
        problem = domain.random_problem(rng)
        words = domain.solution(problem).split()
        words[rng.randrange(len(words))] = rng.choice([*lp.NAMES, *"0123456789"])
        text = " ".join(words)
        draft = domain.failure_from_attempt(problem, domain.verify(problem, text), text)
        if draft:
            posts += 1
            assert domain.check_post("failure", *draft) is None
            assert set(" ".join(draft).split()) <= set(VOCABULARY)
    assert posts > 100
