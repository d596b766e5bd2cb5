"""Posts in agents' own words: how replies are read, what the library lets in, what readers see; problems in doubt."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.library import free_text
from arena.library.admission import admit
from arena.library.definitions import definitions_in
from arena.rounds.rewards import rewards
from arena.rounds.roles import author
from arena.rounds.roles.author import Draft, Episode, Unreadable
from arena.rounds.roles.voice import Voice
from arena.rounds.round import Round
from arena.rounds.validity import doubts
from arena.run.state import Arena
from culture.posts import Post
from curricula.domain import Judged, Problem
from curricula.learnability import RULES
from curricula.list_programs import ListPrograms
from curricula.word_problems import WordProblems
from tests.helpers.culture_runs import peopled, publish

TAGGED = """<think>What helps?</think>
<post kind="lesson" about="2" cites="">
title: Count  twice
when: lists are long
Count the digits
before you reverse them.
</post>
<post kind=book about=1 cites='1, 3'>
title: My best
All of it.
</post>"""


def test_posts_are_read_from_tags_and_json():
    lesson = Draft("lesson", 2, "Count twice", "lists are long", "Count the digits\nbefore you reverse them.")
    assert author.read(TAGGED) == [lesson, Draft("book", 1, "My best", "", "All of it.", (1, 3))]
    as_json = """```json
    {"posts": [{"kind": "Lesson", "about": "2", "title": "Count twice", "when": "lists are long",
    "body": "Count the digits\\nbefore you reverse them.", "cites": null}]}
    ```"""
    assert author.read(as_json) == [lesson]
    assert author.read('<post kind="lesson" about="2">\ntitle: Cut off\nHalf a sen') == [
        Draft("lesson", 2, "Cut off", "", "Half a sen")
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I have nothing to say.", "no post in the reply"),
        ('<post kind="gossip">\ntitle: x\ny\n</post>', "unknown kind of post 'gossip'"),
        ('<post kind="lesson" about="1">\nno title here\n</post>', "a lesson without a title"),
        ('{"posts": [3]}', "a post that is no object"),
    ],
)
def test_unreadable_draft_gives_a_reason(text: str, reason: str):
    (found,) = author.read(text)
    assert isinstance(found, Unreadable) and reason in found.reason


def test_empty_reply_is_no_error():
    assert author.read("") == author.read("<think>nothing comes to mind</think>") == author.read('{"posts": []}') == []


@given(st.text() | st.text(alphabet='<post kind="lesson">/\n{}[]:,1'))
def test_any_reply_has_a_reading(text: str):
    assert all(isinstance(p, Draft | Unreadable) for p in author.read(text))


def test_author_prompt_quotes_its_episodes():
    episode = Episode("rev | 3 1 4", "4 1 3\nIt was right.", "wrong: no answer", "rev 4 1 3 answer 4 1 3")
    asked = author.ask(Voice(chat=True), "ada", [episode], ["lesson: One\nTwo"], 2)
    assert "> 4 1 3\n> It was right.\nIt was wrong: no answer." in str(asked)
    assert "> [1] lesson: One Two\n" in str(asked) and "up to 2 posts" in str(asked)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A population of which the first has failed at round g0005r0000 and solved g0005r0001."""
    with peopled(tmp_path_factory.mktemp("prose"), "prose", "library.by_words=true") as found:
        rows: list[dict[str, Any]] = [
            {"id": f"a{i}", "generation": 5, "round": f"g0005r000{i}", "agent": found.state.living[0], "correct": i}
            for i in range(2)
        ]
        with found.store.transaction():
            found.store.insert({"attempts": rows})
        yield found


def written(arena: Arena, kind: str = "lesson", round_: str = "g0005r0001", **of: Any) -> Post:
    made = Post(kind, arena.state.living[0], 5, "Count twice", "Count the digits before you reverse them.", (), "")
    return replace(made, **{"about": f"prose/list_programs/{round_}", **of})


def test_admission_depends_on_recorded_attempts(arena: Arena):
    assert admit(arena.state, written(arena)) is None
    assert admit(arena.state, written(arena, "recipe")) is None
    assert admit(arena.state, written(arena, "failure", "g0005r0000")) is None
    assert "solved" in str(admit(arena.state, written(arena, "recipe", "g0005r0000")))
    assert "failed at" in str(admit(arena.state, written(arena, "failure")))
    assert "did not try" in str(admit(arena.state, written(arena, author=arena.state.living[1])))
    assert "did not try" in str(admit(arena.state, written(arena, round_="g0009r0001")))
    assert "no domain" in str(admit(arena.state, written(arena, about="prose/chess/g0005r0001")))
    assert "cannot be written in prose" in str(admit(arena.state, written(arena, "definition")))


def test_admission_checks_the_form(arena: Arena):
    assert "one line" in str(admit(arena.state, written(arena, title="Count\ntwice")))
    assert "one line" in str(admit(arena.state, written(arena, title="Count " * 30)))
    assert "20 to 1500" in str(admit(arena.state, written(arena, body="Count.")))
    assert "20 to 1500" in str(admit(arena.state, written(arena, body="Count. " * 300)))


def test_false_step_is_refused(arena: Arena, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(arena.state.domains, "word_problems", WordProblems())
    about = {"about": "prose/word_problems/g0005r0001"}
    false, true = "Add what is put to it. For example: 119 + 84 = 103.", "Add what is put to it: 119 + 84 = 203."
    assert "false" in str(admit(arena.state, written(arena, body=false, **about)))
    assert admit(arena.state, written(arena, body=true, **about)) is None
    mistake = written(arena, "failure", body=false, about="prose/word_problems/g0005r0000")
    assert admit(arena.state, mistake) is None, "what went wrong"


def test_one_success_comes_before_one_failure(arena: Arena):
    """An odd number of episodes has more successes, so that a model that sees one writes of what it solved."""
    problem = ListPrograms().random_problem(random.Random(0), 2)
    rounds = []
    for i, text in enumerate(["", ListPrograms().solution(problem)]):
        made = Round(f"r{i}", arena.state.main, "x", (arena.state.living[0],))
        made.problem = problem
        made.set_attempts([text], [made.verify(text)])
        rounds.append(made)
    arena.state.generation.rounds, kept = rounds, arena.state.generation.rounds
    few = arena.state.config.prompts.model_copy(update={"episodes": 1})
    arena.state.config, config = arena.state.config.model_copy(update={"prompts": few}), arena.state.config
    found = free_text.episodes(arena.state, arena.state.living[0])
    arena.state.generation.rounds, arena.state.config = kept, config
    assert [episode.outcome for _, episode in found] == ["right"]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_post_with_a_heldout_problem_is_refused(arena: Arena, split: str):
    held = arena.state.main.heldout(split, 3)[7].text
    spaced = held.replace(" ", "\n", 1)
    assert "held-out" in str(admit(arena.state, written(arena, body=f"What I know of it: {spaced} is easy.")))
    assert "held-out" in str(admit(arena.state, written(arena, applies=held)))
    assert admit(arena.state, written(arena, body="What I know of it: rev inc | 3 1 is easy.")) is None


def test_books_replace_own_free_text_only(arena: Arena):
    mine = publish(arena, *(written(arena, title=f"Own {i}", body=f"Own words, number {i}, of use.") for i in range(3)))
    assert "already" in str(admit(arena.state, written(arena, title="Another", body="Own words, number 1, of use.")))
    assert admit(arena.state, written(arena, title="Own 1", body="Other words that are long enough.")) is None
    theirs = publish(
        arena, Post("lesson", arena.state.living[1], 5, "rev rev = nothing", "rev rev = nothing", (), "list_programs")
    )
    book = written(arena, "book", title="Book", body="One, two and three together.", cites=tuple(mine[:2]))
    assert admit(arena.state, book) is None
    assert "two or more" in str(admit(arena.state, replace(book, cites=(mine[0],))))
    assert "own author" in str(admit(arena.state, replace(book, cites=(mine[0], theirs[0]))))
    publish(arena, book)
    left = free_text.earlier_posts(arena.state.library, arena.state.living[0], 8)
    assert [p.title for p in left] == ["Own 2", "Book"]
    assert definitions_in(arena.state.library) == {}  # a book in prose has no pages


def test_draft_must_name_its_source():
    rounds = [Round("g1r0", ListPrograms(), "a", ("b",))]
    draft = Draft("lesson", 1, "Count twice", "when long", "Count the digits.", (1, 2))
    made = free_text.post_from_draft(draft, "b", 1, rounds, [])
    assert isinstance(made, Post) and made.about == "prose/list_programs/g1r0" and made.cites == ()
    for wrong, says in ((replace(draft, about=2), "which of the 1"), (replace(draft, kind="book"), "two or more"),
                        (replace(draft, body="a\x00b"), "control character")):  # fmt: skip
        found = free_text.post_from_draft(wrong, "b", 1, rounds, [])
        assert isinstance(found, Unreadable) and says in found.reason


def test_note_shows_kind_and_author():
    post = Post("recipe", "ada", 1, "Go slowly", "One by one.", (), "prose/x/y", applies="when it is long")
    assert free_text.note(post) == "recipe by ada (when it is long): Go slowly\nOne by one."
    assert free_text.note(Post("definition", "ada", 1, "w1", "w1 = rev inc", (), "hidden_words")) == "w1 = rev inc"


# -- doubt -------------------------------------------------------------------------------------------------------


class Doubting(ListPrograms):
    """Doubts what no strong agent solved, and keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[list[Judged]] = []

    def doubt(self, problem: Problem, answers: list[Judged]) -> str | None:
        self.told.append(answers)
        return None if any(a.correct for a in answers if a.strong) else "nobody strong agrees"

    def sound(self, text: str) -> bool | None:
        return None


def played(domain: ListPrograms, id_: str, *texts: str, grade: str = "") -> Round:
    made = Round(id_, domain, "ada", ("bea", "cyd"), 1, "dot" if grade else None)
    made.take(["rev inc | 3 1 4"])
    made.take(texts)
    if grade:
        made.take([grade])
    return made


def test_domain_gets_strong_and_unclear_answers():
    right, wrong, domain = "rev 4 1 3 ; inc 5 2 4 answer 5 2 4", "rev 4 1 3 ; inc 5 2 4 answer 5 2 5", Doubting()
    rounds = [played(domain, "r0", right, wrong), played(domain, "r1", wrong, right, grade="Unclear.")]
    assert doubts(rounds) == {"r0": "nobody strong agrees", "r1": "nobody strong agrees"}
    (bea, cyd), (bea_too, cyd_too, dot) = domain.told  # strong here is who was right on the other problem
    assert (bea.strong, cyd.strong, bea_too.strong, cyd_too.strong) == (False, True, True, False)
    assert dot.unclear and not cyd_too.unclear and bea_too.answer == "5 2 5"
    assert doubts([played(ListPrograms(), "r2", wrong, wrong)]) == {}  # executed: nothing to doubt


def test_doubted_problem_costs_its_author():
    domain = Doubting()
    r = played(domain, "r0", "rev 4 1 3 ; inc 5 2 4 answer 5 2 4", "no", grade="no")
    before = rewards(r, RULES["variance"], -0.25)
    r.doubt = "disputed"
    assert rewards(r, RULES["variance"], -0.25) == [("setter", "ada", "setter", -0.25)] != before
