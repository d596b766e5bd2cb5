"""Posts of every kind on the Library screen, and the status of a post."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents.identity import KeyRing
from arena.run.store import Store
from arena.watch import queries, render
from arena.watch.app import Watch
from arena.watch.models import PostRow
from culture.library import Library
from culture.posts import Post, sign_post
from tests.helpers.screens import EVIL, press, use

OLD = Post("lesson", "ada", 1, "tails", "take the tail first", (), "list_programs", "after sort")
NEW = Post("lesson", "ada", 2, "tails", "take the tail last", (), "list_programs", EVIL[:3] + "always", OLD.id)
REVIEW = Post("review", "bob", 2, "tails", "helps because it is short", (NEW.id,), NEW.id)
FAILURE = Post("failure", "bob", 2, "rev inc | 1", "rev inc | 1 fails 2 because inc 9", (), "list_programs")
WRONG = Post("failure", "bob", 2, "dup | 1", "dup | 1 fails 1 because nothing", (), "list_programs")
RETRACTION = Post("retraction", "bob", 2, "took back", "it was not so", (), FAILURE.id)
BOOK = Post("book", "ada", 2, "book 2", "w1 = rev inc", (NEW.id,), "hidden_words", "a name is met")
DUST = Post("question", "ada", 1, "why", "why is it so", (), "list_programs")
ALL = (OLD, NEW, REVIEW, FAILURE, WRONG, RETRACTION, DUST)


@pytest.fixture
def kinds(made: Path) -> Path:
    """The handmade run with posts of the other kinds, some of which are no longer in force."""
    store, ring = Store(made / "run.db"), KeyRing(made / "keys")
    library = Library(store.db)
    with store.transaction():
        keys = {a: ring.public_key(a) for a in ("ada", "bob")}
        for post in (*ALL, BOOK):
            said = library.add([sign_post(post, keys[post.author], partial(ring.sign, post.author))], lambda p: None)
            assert said[0][1] is None
        library.remove([DUST.id], 2, "forgotten", "", f"beyond 9 tokens{EVIL}")
        library.remove([WRONG.id], 2, "rejected", "receipt id", "no")
        names = ("id", "seq", "generation", "kind", "subject", "decision", "note", "body")
        row = dict(zip(names, ("receipt id", 7, 2, "review", WRONG.id, "reject", "no", "{}"), strict=True))
        store.insert({"receipts": [{**row, "public_key": "", "signature": ""}]})
    store.close()
    return made


def view(folder: Path, post: Post) -> Any:
    store = Store(folder / "run.db")
    found = queries.post(store.db.conn, post.id)
    store.close()
    return found


@pytest.mark.parametrize(
    ("post", "says"),
    [
        (OLD, "superseded in generation 2 by lesson 4 by ada, generation 2: tails"),
        (NEW, "compiled in generation 2 by book 10 by ada, generation 2: book 2"),
        (FAILURE, "retracted in generation 2 by retraction 8 by bob, generation 2: it was not so"),
        (WRONG, "rejected in generation 2 by the reviewer, receipt 7: no"),
        (DUST, "forgotten in generation 2: beyond 9 tokens[bold]"),
        (REVIEW, "in force"),
    ],
    ids=lambda x: x.kind + x.title if isinstance(x, Post) else "",
)
def test_post_shows_its_status(kinds: Path, post: Post, says: str) -> None:
    words = render.status_words(view(kinds, post).removal)
    assert words.startswith(says) and "\x1b" not in words and "\u202e" not in words


def test_relations_are_linked_both_ways(kinds: Path) -> None:
    related = {p.id: [(name, row.id) for name, row in view(kinds, p).relations] for p in ALL}
    assert related[OLD.id] == [("superseded by", NEW.id)]
    assert related[NEW.id] == [("supersedes", OLD.id), ("compiled by", BOOK.id), ("reviewed by", REVIEW.id)]
    assert related[REVIEW.id] == [("reviews", NEW.id)] and related[RETRACTION.id] == [("retracts", FAILURE.id)]
    assert related[FAILURE.id] == [("retracted by", RETRACTION.id)] and related[DUST.id] == related[WRONG.id] == []


def test_gist_by_kind() -> None:
    def row(post: Post) -> PostRow:
        return PostRow(post.id, 1, post.generation, post.kind, post.author, post.title, post.body)

    assert render.gist(row(FAILURE)) == FAILURE.body and render.gist(row(OLD)) == "tails: take the tail first"
    assert render.gist(row(REVIEW)) == "tails: helps because it is short"
    assert render.gist(row(RETRACTION)) == "took back: it was not so"
    assert render.gist(row(Post("worked_example", "ada", 1, "rev | 1", "rev 1 answer 1"))) == "rev | 1"


def test_screens_show_all_kinds(kinds: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "4")
        for post in (NEW, FAILURE):
            assert post.body in shown
        assert "tails: helps because" in shown and "took back: it was not so" in shown
        shown = await press(app, pilot, "down", "down", "down", "enter")  # book, question, retraction, wrong failure
        assert "rejected in generation 2 by the reviewer, receipt 7: no" in shown and "offspring" not in shown
        await press(app, pilot, "escape", *["down"] * 3, "enter")
        shown = "\n".join([str(app.screen.text), await press(app, pilot)])  # type: ignore[attr-defined]
        assert "applies    [boalways" in shown and "compiled in generation 2" in shown
        assert "supersedes" in shown and "compiled by" in shown and "reviewed by" in shown

    use(kinds, play, (120, 60))
