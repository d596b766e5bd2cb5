"""Removals: which posts leave the index, who may remove them, and detection of changed rows."""

import sqlite3
from dataclasses import replace

import pytest

from culture.library import Library
from culture.posts import Post
from culture.removals import REVIEW_VERDICTS, Removal, verdict
from culture.scope import Scope
from tests.helpers.libraries import admit_all, definition, filled, signed

FIRST = definition("twice", "x + y", generation=1)
BETTER = replace(definition("twice", "x + x", generation=2), supersedes=FIRST.id)
RETRACTION = Post("retraction", "ada", 3, "twice", "it adds another number", about=FIRST.id)
LESSON = Post("lesson", "bo", 1, "map", "map first", about="list_programs/x")
REVIEW = Post("review", "bo", 2, "twice", "wrong because it adds y", about=FIRST.id)
BOOK = Post("book", "cy", 4, "all of it", "x + y, map first", (FIRST.id, LESSON.id))


def reasons(library: Library, *posts: Post, **options: int) -> list[str | None]:
    with library.db.conn:
        return [reason for _, reason in library.add([signed(p) for p in posts], admit_all, **options)]


def now(library: Library, generation: int) -> Library:
    return library.within(Scope(now=generation))


def test_superseded_post_leaves_the_index() -> None:
    library = filled(FIRST, BETTER)
    assert library.standing(FIRST.id) == Removal(FIRST.id, 2, "superseded", BETTER.id, "twice")
    assert library.standing(BETTER.id) is None
    assert now(library, 1).definitions(["twice"]) == {"twice": FIRST}
    assert now(library, 2).definitions(["twice"]) == {"twice": BETTER}
    assert now(library, 2).count() == 1 and now(library, 2).search("x") == [BETTER]
    assert library.count() == 2 and library.get(FIRST.id) == FIRST and library.verify() == []
    for view in (library.as_of(1), now(library, 1)):
        assert view.standing(FIRST.id) is None
    assert library.as_of(2).standing(FIRST.id) is not None


def test_retracted_post_leaves_the_index() -> None:
    library = filled(FIRST, RETRACTION)
    assert library.standing(FIRST.id) == Removal(FIRST.id, 3, "retracted", RETRACTION.id, RETRACTION.body)
    assert now(library, 3).by_kind() == {"retraction": 1} and now(library, 2).count() == 2


def test_book_removes_what_it_compiles() -> None:
    library = filled(FIRST, LESSON)
    assert library.remove([LESSON.id], 3, "forgotten", "", "nobody read it") == [LESSON.id]
    assert reasons(library, BOOK) == [None]
    assert library.standing(FIRST.id) == Removal(FIRST.id, 4, "compiled", BOOK.id, "all of it")
    assert library.standing(LESSON.id) == Removal(LESSON.id, 3, "forgotten", "", "nobody read it")
    assert list(now(library, 4).iterate()) == [BOOK] and library.verify() == []


@pytest.mark.parametrize(
    ("post", "reason"),
    [
        (replace(BETTER, supersedes="0" * 64), "not in the library"),
        (replace(BETTER, author="bo"), "by ada: only its author"),
        (replace(BETTER, title="thrice"), "another name: twice"),
        (replace(BETTER, kind="lesson"), "supersedes a definition: a lesson cannot"),
        (replace(BETTER, generation=0), "later generation, 1"),
        (replace(RETRACTION, about="0" * 64), "not in the library"),
        (replace(RETRACTION, about=""), "not in the library"),
        (replace(RETRACTION, about=LESSON.id), "by bo: only its author"),
        (replace(RETRACTION, generation=0), "later generation, 1"),
        (replace(BOOK, cites=()), "cites the posts that it compiles"),
        (replace(REVIEW, about="list_programs/x"), "not in the library"),
        (replace(REVIEW, author="ada"), "its own author"),
        *((replace(REVIEW, body=body), "begins with helps, fails, wrong") for body in
          ("good", "helpsme", "Helps", " helps", "helps because", "helps because ", "helps, because x", "it helps")),
    ],
)  # fmt: skip
def test_invalid_removals_are_refused(post: Post, reason: str) -> None:
    library = filled(FIRST, LESSON)
    (found,) = reasons(library, post)
    assert found is not None and reason in found
    assert library.count() == 2 and library.db["removals"].count == 0


def test_second_removal_is_refused() -> None:
    library = filled(FIRST, BETTER)
    again = replace(BETTER, body="2 * x")
    assert [str(r)[:54] for r in reasons(library, again, RETRACTION)] == [
        "supersedes a post that was superseded in generation 2:"[:54],
        f"retracts a post that was superseded in generation 2: {FIRST.id}"[:54],
    ]
    (compiled,) = reasons(library, replace(BOOK, cites=(FIRST.id,)))
    assert compiled is not None and compiled.startswith("compiles a post that was superseded")
    assert library.remove([FIRST.id, BETTER.id, BETTER.id], 5) == [BETTER.id]
    assert library.db["removals"].count == 2


def test_earlier_removal_of_a_call_wins() -> None:
    library = filled(FIRST)
    found = reasons(library, RETRACTION, replace(BETTER, generation=3))
    assert found[0] is None and "was retracted in generation 3" in str(found[1])


def test_retraction_cannot_be_removed() -> None:
    library = filled(FIRST, RETRACTION)
    taken_back = Post("retraction", "ada", 4, "twice", "no, it was right", about=RETRACTION.id)
    other = replace(RETRACTION, generation=4, body="for another reason", supersedes=RETRACTION.id)
    assert [str(r).split(":")[0] for r in reasons(library, taken_back, other)] == [
        "retracts a retraction",
        "supersedes a retraction",
    ]


def test_refused_post_removes_nothing() -> None:
    library = filled(FIRST)
    assert library.add([signed(BETTER)], lambda post: "held out") == [(BETTER.id, "held out")]
    assert library.standing(FIRST.id) is None


def test_one_review_per_reviewer() -> None:
    library = filled(FIRST, LESSON, REVIEW)
    second = replace(REVIEW, body="helps", generation=3)
    mine = replace(REVIEW, author="cy", body="fails because of\nthe colon")
    changed = replace(second, supersedes=REVIEW.id)
    assert "bo has reviewed this post" in str(reasons(library, second)[0])
    assert reasons(library, mine, changed) == [None, None]
    assert library.reviews(FIRST.id) == [REVIEW, mine, changed] and library.reviews(LESSON.id) == []
    assert now(library, 3).reviews(FIRST.id) == [mine, changed] and now(library, 2).as_of(2).reviews(FIRST.id) == [
        REVIEW,
        mine,
    ]
    assert library.within(Scope(frozenset(["cy"]))).reviews(FIRST.id) == [mine]
    assert [verdict(post) for post in library.reviews(FIRST.id)] == ["wrong", "fails", "helps"]
    assert set(REVIEW_VERDICTS) == {"wrong", "fails", "helps"}
    elsewhere = replace(REVIEW, author="cy", about=LESSON.id, supersedes=mine.id)
    assert "review of another post" in str(reasons(library, elsewhere)[0])


def test_verdict_needs_a_review() -> None:
    with pytest.raises(ValueError, match="not a review"):
        verdict(replace(LESSON, body="helps"))


def test_quota_per_generation() -> None:
    library = filled(definition("a"), definition("b", author="bo"))
    posts = [definition(name) for name in "cde"] + [definition("f", generation=1), definition("g", author="bo")]
    over = "over the quota of 2 posts"
    assert reasons(library, *posts, quota=2) == [None, over, over, None, None]
    assert reasons(library, definition("h"), quota=1) == ["over the quota of 1 post"]
    assert reasons(library, definition("c"), quota=1) == ["duplicate"]
    assert reasons(library, definition("h")) == [None]
    with pytest.raises(ValueError, match="quota must not be negative"):
        reasons(library, definition("i"), quota=-1)


def test_quota_is_checked_first() -> None:
    library = filled(definition("a"))

    def never(post: Post) -> str | None:
        raise AssertionError("the check saw a post over the quota")

    assert library.add([signed(definition("b"))], never, 1)[0][1] == "over the quota of 1 post"


def test_unknown_post_or_state_is_refused() -> None:
    library = filled(FIRST)
    with pytest.raises(ValueError, match="unknown state of a removed post 'lost'"):
        library.remove([FIRST.id], 1, "lost", "", "")
    with pytest.raises(ValueError, match="no post of the library has the id '0000"):
        library.remove([FIRST.id, "0" * 64], 1, "forgotten", "", "")
    with pytest.raises(ValueError, match="no post of the library has the id ''"):
        library.remove([FIRST.id], 1, "compiled", "", "")
    with pytest.raises(ValueError, match="a rejection names what recorded the decision"):
        library.remove([FIRST.id], 1, "rejected", "", "wrong")
    with pytest.raises(ValueError, match="cannot be added to"):
        now(library, 1).remove([FIRST.id], 1)
    assert library.db["removals"].count == 0


def test_rejected_post_cannot_be_compiled() -> None:
    library = filled(FIRST)
    with library.db.conn:
        assert library.remove([FIRST.id], 2, "rejected", "a receipt", "wrong") == [FIRST.id]
        assert library.remove([FIRST.id], 3) == []
        book = Post("book", "bo", 3, "all", "names", (FIRST.id,))
        said = library.add([signed(book), signed(BETTER)], admit_all)
    assert [reason.split(":")[0] if reason else reason for _, reason in said] == [
        "compiles a post that was rejected in generation 2",
        "supersedes a post that was rejected in generation 2",
    ]
    assert now(library, 1).get(FIRST.id) and now(library, 2).get(FIRST.id) is None and library.get(FIRST.id)
    assert library.standing(FIRST.id) == Removal(FIRST.id, 2, "rejected", "a receipt", "wrong")
    assert library.verify() == []


def test_rollback_restores_removed_posts() -> None:
    library = filled(FIRST)
    with pytest.raises(RuntimeError), library.db.conn:
        library.add([signed(BETTER)], admit_all)
        library.remove([BETTER.id], 2)
        raise RuntimeError
    assert library.standing(FIRST.id) is None and library.count() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE removals SET state = 'forgotten'",
        "DELETE FROM removals",
        "INSERT OR REPLACE INTO removals SELECT post, 9, state, cause, reason FROM removals",
        "INSERT INTO removals SELECT * FROM removals",
    ],
)
@pytest.mark.parametrize("recursive_triggers", ["on", "off"])
def test_removals_are_append_only(statement: str, recursive_triggers: str) -> None:
    library = filled(FIRST, BETTER)
    library.db.conn.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        library.db.conn.execute(statement)
    assert library.standing(FIRST.id) == Removal(FIRST.id, 2, "superseded", BETTER.id, "twice")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (f"INSERT INTO removals VALUES ('{'0' * 64}', 1, 'forgotten', '', '')", "there is no such post"),
        (f"INSERT INTO removals VALUES ('{LESSON.id}', 1, 'retracted', '', '')", "without a post that caused it (none"),
        (f"INSERT INTO removals VALUES ('{LESSON.id}', 1, 'compiled', '{BETTER.id}', '')", "compiled without a post"),
        (f"INSERT INTO removals VALUES ('{LESSON.id}', 1, 'lost', '', '')", "'lost' is no state"),
        (f"INSERT INTO removals VALUES ('{LESSON.id}', 1, 'rejected', '', 'bad')", "nothing is named that recorded it"),
        ("DELETE FROM removals", f"no removal says that {FIRST.id[:12]} was superseded by it"),
        ("UPDATE removals SET generation = 9", "no removal says that"),
        ("UPDATE removals SET state = 'forgotten', cause = ''", "no removal says that"),
    ],
)
def test_verify_reports_unexplained_removals(change: str, problem: str) -> None:
    library = filled(FIRST, LESSON, BETTER)
    library.remove([BETTER.id], 5, reason="old")
    assert library.verify() == []
    for (name,) in library.db.conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        library.db.conn.execute(f"DROP TRIGGER {name}")
    library.db.conn.execute(change)
    assert any(problem in line for line in library.verify()), library.verify()
