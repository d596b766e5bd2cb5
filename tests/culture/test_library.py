"""The library: admission, refusal, lookup, search, views, append-only tables, detection of tampering."""

import sqlite3

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from culture.library import Library, Read
from culture.posts import Post, SignedPost, sign_post
from tests.helpers.libraries import KEYS, admit_all, definition, filled, signed


def without_triggers(library: Library) -> sqlite3.Connection:
    """Tamper with the database as a person with write access to the file can."""
    for (name,) in library.db.conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        library.db.conn.execute(f"DROP TRIGGER {name}")
    return library.db.conn


def test_admitted_post_round_trip():
    first = definition("twice", "naïve 🧮\n\tx + x")
    second = Post("review", "bo", 1, "On twice", "helps because it is short", (first.id,), first.id)
    library = filled(first, second)
    assert library.get(second.id) == second
    assert library.signed(first.id) == signed(first)
    assert library.get("0" * 64) is None and library.signed("0" * 64) is None
    assert library.count() == 2
    assert library.by_kind() == {"definition": 1, "review": 1}
    assert library.by_author() == {"ada": 1, "bo": 1}
    assert library.verify() == []


def test_refused_post_leaves_nothing():
    library = filled()
    good, bad = definition("good"), definition("bad", "secretword")
    results = library.add([signed(bad), signed(good)], lambda post: "held out" if post.title == "bad" else None)
    assert results == [(bad.id, "held out"), (good.id, None)]
    assert library.get(bad.id) is None and library.search("secretword") == []
    assert library.verify() == []


def test_duplicate_is_reported():
    library = filled(definition("twice"))
    again, new = signed(definition("twice")), signed(definition("thrice"))
    assert [r for _, r in library.add([again, new, new], admit_all)] == ["duplicate", None, "duplicate"]
    assert library.count() == 2


def test_forged_signature_is_refused_first():
    library = filled()
    post = definition("twice")
    forged = SignedPost(post, signed(post).public_key, KEYS["bo"].sign(bytes.fromhex(post.id)).hex())

    def never(post: Post) -> str | None:
        raise AssertionError("the check saw a forged post")

    assert library.add([forged], never) == [(post.id, "bad signature")]
    assert library.count() == 0


def test_impostor_is_refused():
    library = filled(definition("twice", author="ada"))
    post, bo = definition("thrice", author="ada"), KEYS["bo"]
    impostor = sign_post(post, bo.public_key().public_bytes_raw().hex(), bo.sign)
    assert library.add([impostor], admit_all) == [(post.id, "ada has posted with another key")]


def test_cite_must_be_earlier():
    library = filled()
    first = definition("twice")
    second = definition("four times", cites=[first.id])
    assert "not in the library" in str(library.add([signed(second)], admit_all)[0][1])
    assert [r for _, r in library.add([signed(first), signed(second)], admit_all)] == [None, None]


def test_rollback_leaves_nothing_behind(tmp_path):
    db = Database(str(tmp_path / "run.db"))
    with pytest.raises(RuntimeError), db.conn:
        db.conn.execute("BEGIN IMMEDIATE")
        Library.create_tables(db)
        Library(db).add([signed(definition("twice"))], admit_all)
        raise RuntimeError
    assert Database(str(tmp_path / "run.db")).table_names() == []

    with db.conn:
        Library.create_tables(db)
    library = Library(db)
    with pytest.raises(RuntimeError), db.conn:
        library.add([signed(definition("twice", "body"))], admit_all)
        library.log_reads([Read(0, "solve", "bo", "r1", "0" * 64, 1.0)])
        assert db.conn.in_transaction
        raise RuntimeError
    assert library.count() == 0 and library.search("twice") == []
    assert db["reads"].count == 0
    with db.conn:
        library.add([signed(definition("thrice", "body"))], admit_all)
    assert [post.title for post in library.search("body")] == ["thrice"]
    assert library.verify() == []


def test_raising_check_rolls_back_the_batch():
    library = filled()

    def check(post: Post) -> str | None:
        if post.title == "b":
            raise RuntimeError
        return None

    with pytest.raises(RuntimeError), library.db.conn:
        library.add([signed(definition("a")), signed(definition("b"))], check)
    assert library.count() == 0


def test_posts_are_visible_after_commit(tmp_path):
    path = str(tmp_path / "run.db")
    library = filled(path=path)
    other = Library(Database(path))
    library.add([signed(definition("twice"))], admit_all)
    assert other.count() == 0
    library.db.conn.commit()
    assert other.count() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE posts SET body = 'better'",
        "DELETE FROM posts",
        """INSERT OR REPLACE INTO posts SELECT id, seq, generation, kind, author, title, 'x', cites, about,
        public_key, signature, applies, supersedes FROM posts""",
    ],
)
@pytest.mark.parametrize("recursive_triggers", ["on", "off"])
def test_update_delete_and_replace_are_refused(statement, recursive_triggers):
    library = filled(definition("twice"))
    library.db.conn.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        library.db.conn.execute(statement)
    assert library.get(definition("twice").id) == definition("twice")


def test_first_definition_stays_in_force():
    first, second = definition("twice", "x + x", "ada"), definition("twice", "2 * x", "bo", 1)
    lesson = Post("lesson", "cy", 0, "map", "a lesson, not a definition")
    library = filled(first, second, lesson, definition("inc"))
    assert library.definitions(["nope", "inc", "twice", "map", "twice"]) == {
        "inc": definition("inc"),
        "twice": first,
    }
    assert list(library.definitions(["inc", "twice"])) == ["inc", "twice"]
    assert library.definition_ids() == {"twice": first.id, "inc": definition("inc").id}
    assert library.definitions([]) == {}


@pytest.mark.parametrize("name", ["' OR 1=1 --", "twice'; DROP TABLE posts; --", "%", "*", "twice\x00", "\ud800"])
def test_names_are_never_sql(name):
    library = filled(definition("twice"))
    assert library.definitions([name]) == {}
    assert library.count() == 1


def test_post_text_is_never_sql():
    evil = definition("x'); DROP TABLE posts; --", "\"; DELETE FROM posts; -- ' {} %s {0}")
    library = filled(evil)
    assert library.get(evil.id) == evil
    assert library.definitions([evil.title]) == {evil.title: evil}
    assert list(library.iterate(author="' OR ''='")) == []


def test_search_ranks_by_relevance_then_age():
    library = filled(
        definition("a", "sorts a list of numbers that is very long and has many other words in it"),
        definition("c", "sort list"),
        definition("b", "sort list"),
        definition("d", "nothing of that"),
        Post("lesson", "bo", 0, "e", "sort list"),
    )
    assert [post.title for post in library.search("sort list")] == ["c", "b", "e", "a"]
    assert [post.title for post in library.search("sort list", kind="definition", limit=2)] == ["c", "b"]
    assert [post.title for post in library.search("SORT")] == ["c", "b", "e"]
    assert library.search("sort", limit=0) == []


@pytest.mark.parametrize("words", ["naïve", "NAIVE", "數學", "हिन्दी", "straße", "fold_left(f"])
def test_search_in_any_script(words):
    library = filled(definition("a", "a naïve 數學 हिन्दी straße fold_left(f, xs)"), definition("b", "plain"))
    assert [post.title for post in library.search(words)] == ["a"]


SEARCHED = filled(definition("quote", 'say "hello" AND NEAR body: col* ^x'), definition("plain", "plain text"))


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=40) | st.text(alphabet="\"'*^:()-+{}ANDORT \\\x00", max_size=40))
@example("")
@example('"')
@example('"" OR ""')
@example("NEAR(a b, 5)")
@example("title : plain")
@example("a AND")
@example("🧮 🧮")
@example("plain\x00text")
@example("\ud800")
@example("́")
@example("½ ² Ⅷ")
@example("x " * 5000)
def test_any_search_text_is_safe(words):
    assert len(SEARCHED.search(words)) <= 2
    assert len(SEARCHED.search(words, kind="lesson", limit=1)) == 0


def test_operators_are_searched_as_words():
    assert {post.title for post in SEARCHED.search("hello NOT plain")} == {"quote", "plain"}
    assert SEARCHED.search("title:zebra*") == []


def test_wrong_kind_or_limit_is_refused():
    with pytest.raises(ValueError, match="did you mean 'lesson'"):
        SEARCHED.search("x", kind="lessons")
    with pytest.raises(ValueError, match="lesson"):
        SEARCHED.iterate(kind="lessons")
    with pytest.raises(ValueError, match="negative"):
        SEARCHED.search("x", limit=-1)
    with pytest.raises(ValueError, match="negative"):
        SEARCHED.recent(-1)


def test_iteration_in_order_of_admission():
    posts = [definition(t, author=a, generation=g) for t, a, g in (("z", "bo", 0), ("a", "ada", 2), ("m", "bo", 1))]
    library = filled(*posts, Post("lesson", "ada", 3, "l", "l"))
    assert [post.title for post in library.iterate()] == ["z", "a", "m", "l"]
    assert [post.title for post in library.iterate(kind="definition", up_to_generation=1)] == ["z", "m"]
    assert [post.title for post in library.iterate(author="ada")] == ["a", "l"]
    assert [post.title for post in library.recent(2)] == ["m", "l"]
    assert [post.title for post in library.recent(5, kind="definition", author="bo")] == ["z", "m"]


def test_view_of_a_generation():
    old, new = definition("twice", "sort it"), definition("thrice", "sort it too", generation=2)
    view = filled(old, new).as_of(1)
    assert (view.count(), view.by_kind(), view.get(new.id)) == (1, {"definition": 1}, None)
    assert view.search("sort") == [old] and list(view.iterate()) == [old]
    assert view.definitions(["thrice", "twice"]) == {"twice": old}
    assert view.definition_ids() == {"twice": old.id}
    with pytest.raises(ValueError, match="cannot be added to"):
        view.add([signed(definition("new"))], admit_all)


def test_verify_reports_a_tampered_body():
    library = filled(definition("a"), definition("b"), definition("c"))
    without_triggers(library).execute("UPDATE posts SET body = 'better' WHERE title = 'b'")
    problems = library.verify()
    assert problems and all(problem.startswith("post 2 ") for problem in problems)
    assert "bad id" in problems[0] and "bad signature" in problems[1]


def test_verify_reports_a_rehashed_body():
    library = filled(definition("a"))
    forged = definition("a", "better")
    without_triggers(library).execute("UPDATE posts SET body = 'better', id = ?", (forged.id,))
    assert ["bad signature" in problem for problem in library.verify()] == [True]


def test_verify_reports_another_key():
    library = filled(definition("a"), definition("b"))
    forged, bo = definition("b", "better"), KEYS["bo"]
    row = (forged.id, bo.public_key().public_bytes_raw().hex(), bo.sign(bytes.fromhex(forged.id)).hex())
    without_triggers(library).execute(
        "UPDATE posts SET body = 'better', id = ?, public_key = ?, signature = ? WHERE title = 'b'", row
    )
    assert ["another key" in problem for problem in library.verify()] == [True]


def test_verify_reports_a_deleted_post():
    first = definition("a")
    library = filled(definition("z"), first, definition("b", cites=[first.id]))
    without_triggers(library).execute("DELETE FROM posts WHERE title = 'a'")
    problems = library.verify()
    assert len(problems) == 2
    assert "something is missing" in problems[0] and f"dangling cite {first.id[:12]}" in problems[1]


@pytest.mark.parametrize(
    "change",
    ["cites = '7'", "cites = '{'", "kind = 'verdict'", "title = ''", "generation = 'x'", "public_key = ''"],
)
def test_verify_reports_damaged_rows(change):
    library = filled(definition("a"), definition("b"))
    without_triggers(library).execute(f"UPDATE posts SET {change} WHERE title = 'b'")
    assert library.verify() and all(problem.startswith("post 2 ") for problem in library.verify())


def test_reads_are_logged_once():
    library = filled()
    read = Read(1, "solve", "bo", "round-1/solver", "0" * 64, 0.25)
    library.log_reads([read, Read(1, "solve", "bo", "round-2/solver", "0" * 64, 1.0)])
    rows = list(library.db.query("SELECT * FROM reads ORDER BY request"))
    assert rows[0] == {
        "id": read.id,
        "generation": 1,
        "phase": "solve",
        "agent": "bo",
        "request": "round-1/solver",
        "post": "0" * 64,
        "propensity": 0.25,
    }
    with pytest.raises(sqlite3.IntegrityError):
        library.log_reads([read])


def test_withheld_posts_are_logged_apart():
    library = filled()
    row = Read(1, "solve", "bo", "round-1/solver", "0" * 64, 0.05)
    library.log_withheld([row])
    assert library.db["reads"].count == 0
    assert [(r["id"], r["propensity"]) for r in library.db["withheld"].rows] == [(row.id, 0.05)]
    with pytest.raises(sqlite3.IntegrityError):
        library.log_withheld([row])


@pytest.mark.parametrize("propensity", [0.0, -0.1, 1.1, float("nan")])
def test_impossible_read_is_refused(propensity):
    with pytest.raises(ValueError, match="propensity"):
        Read(1, "solve", "bo", "r", "0" * 64, propensity)
