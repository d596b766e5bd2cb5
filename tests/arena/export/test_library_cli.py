"""The command `library`: every action, its errors, and hostile text, which is printed as plain text."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from arena.config.schema import load_config
from arena.export.library.cli import Asked, library
from arena.export.library.find import resolve, search
from arena.export.library.show import facts
from arena.export.library.tree import edges, walk
from arena.export.library_book import Use
from arena.report.metrics.generation import reads
from arena.report.metrics.post_status import standings
from arena.report.metrics.run_summary import library as library_row
from arena.report.sections.culture.posts import read_by
from arena.run.proof import check_proof
from arena.run.store import Store
from arena.watch.queries import post, read_only
from culture.posts import Post
from tests.arena.export.test_export import HOSTILE, without_code
from tests.helpers.command import ratchet


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed, tmp_path / "calm")
    return tmp_path / "calm"


@pytest.fixture
def store(run: Path) -> Store:
    return Store(run / "run.db")


def ask(run: Path, action: str, words: str = "", width: int = 160, status: int = 0, **options: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    store, config = Store(run / "run.db"), load_config(run / "config.yaml")
    assert library(action, Asked(run, store, config, words, **options), console) == status  # type: ignore[arg-type]
    return out.getvalue()


def put(store: Store, post: Post) -> str:
    """Insert a post without any check. Returns its id."""
    seq = store.query("SELECT MAX(seq) AS n FROM posts")[0]["n"] + 1
    row = [post.id, seq, post.generation, post.kind, post.author, post.title, post.body, json.dumps(post.cites)]
    store.db.execute(
        "INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', ?, ?)",
        [*row, post.about, post.applies, post.supersedes],
    )
    return post.id


@pytest.fixture
def grown(store: Store) -> dict[str, str]:
    """Ids of posts of every kind, added to a finished run, by label."""
    old = put(store, Post("definition", "ada", 2, "w40", "w40 = rev inc"))
    new = put(store, Post("definition", "ada", 3, "w40", "w40 = inc rev", (old,), supersedes=old))
    lesson = put(store, Post("lesson", "bo", 2, "tails", "take the tail first", (), applies="after sort"))
    back = put(store, Post("retraction", "bo", 3, "tails were wrong", "it is not so", (), lesson))
    theirs = put(store, Post("retraction", "cy", 3, "not mine", "I say so", (), new))
    review = put(store, Post("review", "cy", 3, "w40", "tried it, holds", (new,), new))
    book = put(store, Post("book", "ada", 3, "names", "w40 and others", (new,)))
    for kind in ("failure", "question"):
        put(store, Post(kind, "bo", 3, kind, f"a {kind}"))
    gone = put(store, Post("lesson", "ada", 1, "dust", "nobody reads this"))
    store.db.execute("INSERT INTO removals VALUES (?, 2, 'forgotten', '', 'useful to nobody')", [gone])
    return {"old": old, "new": new, "lesson": lesson, "back": back, "theirs": theirs, "review": review, "book": book,
            "gone": gone}  # fmt: skip


# -- standing ---------------------------------------------------------------------------------------------------------


def test_only_author_or_arena_removes_a_post(store: Store, grown: dict[str, str]):
    found = standings(store)
    assert {found[grown[k]].state for k in ("old",)} == {"superseded"} and found[grown["old"]].cause == grown["new"]
    assert found[grown["lesson"]].state == "retracted" and found[grown["gone"]].state == "forgotten"
    assert grown["new"] not in found and len(found) == 3
    assert set(standings(store, 2)) == {grown["gone"]} and not standings(store, 1)


# -- search -----------------------------------------------------------------------------------------------------------


def test_search_as_of_a_generation(run: Path, store: Store, grown: dict[str, str]):
    lines = {
        line.split()[0]: line for line in ask(run, "search", "w40 tail", limit=99).splitlines()[2:] if line.strip()
    }
    assert "superseded" in lines[grown["old"][:10]] and lines[grown["old"][:10]].split()[-1] == "1"
    assert lines[grown["new"][:10]].split()[-1] == "2" and "in force" in lines[grown["new"][:10]]
    before = ask(run, "search", "w40", generation=2)
    assert grown["old"][:10] in before and "in force" in before and grown["new"][:10] not in before
    assert "no post with any of the words 'w40', up to generation 1" in ask(run, "search", "w40", generation=1)


def test_search_uses_and_newest(run: Path, store: Store):
    post, n = store.db.conn.execute(
        "SELECT post, COUNT(*) AS n FROM reads WHERE phase IN ('propose', 'solve') GROUP BY post"
        " ORDER BY n DESC LIMIT 1"
    ).fetchone()
    title = store.query("SELECT title, kind FROM posts WHERE id = ?", [post])[0]
    line = next(x for x in ask(run, "search", title["title"], limit=999).splitlines() if post[:10] in x)
    assert line.split()[-2] == str(n)
    newest = [r["id"][:10] for r in store.query("SELECT id FROM posts ORDER BY seq DESC LIMIT 3")]
    out = ask(run, "search", limit=3)
    assert [line.split()[0] for line in out.splitlines()[2:5]] == newest and "The first 3 are shown" in out
    assert "definition" not in ask(run, "search", kind="worked_example")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_list_fits_the_width(run: Path, grown: dict[str, str], width: int):
    out = ask(run, "search", limit=40, width=width)
    assert max(len(line) for line in out.splitlines()) <= width
    assert out.splitlines()[0].split()[-2:] == ["uses", "cited"]


# -- resolving --------------------------------------------------------------------------------------------------------


def test_post_by_name_title_or_id(store: Store, grown: dict[str, str]):
    assert resolve(store, "w40") == grown["new"]  # the first in force
    assert resolve(store, "dust") == grown["gone"]
    assert resolve(store, grown["old"]) == resolve(store, grown["old"][:20].upper()) == grown["old"]
    with pytest.raises(ValueError, match=r"posts have an id that begins with [0-9a-f]: .* by .*, generation"):
        resolve(
            store,
            next(
                c
                for c in "0123456789abcdef"
                if store.query("SELECT COUNT(*) AS n FROM posts WHERE id GLOB ?", [c + "*"])[0]["n"] > 1
            ),
        )
    with pytest.raises(ValueError, match=r"no post 'w41' .* did you mean 'w4"):
        resolve(store, "w41")


def test_hex_name_is_a_name_first(store: Store, grown: dict[str, str]):
    hexed = grown["old"][:3]
    named = put(store, Post("definition", "ada", 3, hexed, f"{hexed} = rev"))
    assert resolve(store, hexed) == named


# -- show and tree ----------------------------------------------------------------------------------------------------


def test_show_a_post(run: Path, store: Store, grown: dict[str, str]):
    out = ask(run, "show", grown["old"])
    assert "standing       superseded in generation 3 by " + grown["new"][:10] in out and "w40 = rev inc" in out
    out = ask(run, "show", "w40")
    assert re.search(r"reviewed by +\w+ \(review w40 by cy, generation 3\): tried it, holds", out)
    assert re.search(r"cited by +\w+ \(review .*\n +\w+ \(book names", out) and "NOT VALID" in out  # not signed
    assert "not yet: its generation has not ended" in out
    assert re.search(r"standing +forgotten in generation 2: useful to nobody", ask(run, "show", "dust"))
    assert re.search(r"applies +after sort", ask(run, "show", "tails"))
    real = store.query("SELECT id FROM posts ORDER BY seq LIMIT 1")[0]["id"]
    out = ask(run, "show", real)
    assert re.search(r"signed +valid, key", out) and re.search(r"log +leaf 1 of \d+, since generation 1", out)


def test_readers_by_phase(run: Path, store: Store):
    post = store.query("SELECT post FROM reads GROUP BY post HAVING COUNT(DISTINCT phase) > 1 LIMIT 1")[0]["post"]
    asleep = store.query("SELECT COUNT(*) AS n FROM reads WHERE post = ? AND phase = 'sleep'", [post])[0]["n"]
    work = store.query("SELECT COUNT(*) AS n FROM reads WHERE post = ? AND phase IN ('propose', 'solve')", [post])[0][
        "n"
    ]
    out = ask(run, "show", post)
    assert re.search(rf"read +{work} times? at work: ", out) and re.search(rf"read +{asleep} times? asleep: ", out)


def test_tree_both_ways(run: Path, store: Store, grown: dict[str, str]):
    out = ask(run, "tree", "w40")
    above, below = out.split("Basis of:")
    assert "cites, supersedes definition w40 = rev inc  (ada, generation 2)" in above and "[superseded]" in above
    assert "cited by, reviewed by review tried it" in below and "cited by book names" in below
    assert "retracted by retraction not mine" in below
    assert "Builds on nothing." in ask(run, "tree", "dust") and "Basis of no posts." in ask(run, "tree", "dust")
    up, down = edges(store)
    for graph in (up, down):
        for start in list(graph):
            opened = [n.id for n in walk(graph, start) if not n.again and graph.get(n.id)]
            assert len(opened) == len(set(opened)) and start not in opened
    assert sum(map(len, up.values())) == sum(map(len, down.values())) > 10


def test_tree_of_worked_examples(store: Store):
    row = store.query(
        "SELECT p.id, r.parent_post FROM posts p JOIN rounds r ON p.about = r.domain || '/' || r.id"
        " WHERE r.parent_post IS NOT NULL AND p.kind = 'worked_example' LIMIT 1"
    )[0]
    up, down = edges(store)
    assert ("varies", row["parent_post"]) in up[row["id"]] and ("varied by", row["id"]) in down[row["parent_post"]]


def test_tree_limit_counts_the_rest(run: Path, grown: dict[str, str]):
    out = ask(run, "tree", "w40", limit=1)
    assert "... and 2 more lines (--limit)" in out


def test_tree_of_a_cycle_ends(run: Path, store: Store, grown: dict[str, str]):
    store.db.execute("DROP TRIGGER posts_no_update")
    store.db.execute("UPDATE posts SET cites = ? WHERE id = ?", [json.dumps([grown["book"]]), grown["old"]])
    assert "(see above)" in ask(run, "tree", "w40")


# -- export -----------------------------------------------------------------------------------------------------------


def test_book_in_one_file(run: Path, store: Store, grown: dict[str, str]):
    out = ask(run, "export")
    page = (run / "library.md").read_text()
    assert "wrote" in out and "library.md" in out.replace("\n", "")
    anchors = re.findall(r'<a id="([^"]+)"></a>', page)
    assert len(anchors) == len(set(anchors))
    ids = [r["id"] for r in store.query("SELECT id FROM posts")]
    assert {f"p-{i[:16]}" for i in ids} <= set(anchors)
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert len(links) > 10 and set(links) <= set(anchors) and not re.findall(r"\]\((?!#)", page)
    heads = re.findall(r"^# (.+)$", without_code(page), flags=re.M)
    kinds = [h.split(",")[0] for h in heads[1:]]
    assert list(dict.fromkeys(kinds)) == [
        "Definitions", "Books", "Lessons", "Failures", "Questions", "Worked examples", "Reviews", "Retractions",
    ]  # fmt: skip
    assert "- no longer in force: `superseded` in generation 3 by [`w40`](#p-" in page
    assert "- no longer in force: `forgotten` in generation 2: `useful to nobody`" in page
    assert "3 are no longer in force" in page and "- applies: `after sort`" in page
    assert page.index(f'p-{grown["old"][:16]}"></a>') < page.index(f'p-{grown["new"][:16]}"></a>')


def test_hostile_text_in_book_and_terminal(run: Path, store: Store):
    bad = put(
        store, Post("lesson", "a`b[bold]", 3, "t`<img src=x>`](y)\n# Title [red]", HOSTILE, (), applies="`# Owned")
    )
    store.db.execute("INSERT INTO removals VALUES (?, 3, ?, '', ?)", [bad, "`x` <b>", HOSTILE])
    ask(run, "export", to=run / "book.md")
    outside = without_code((run / "book.md").read_text())
    for word in ("Owned", "script", "img", "Title", "javascript", "\u202e", "<b>"):
        assert word not in outside, word
    for action, words in (("show", bad), ("tree", bad), ("search", "alert")):
        out = ask(run, action, words)
        assert "\u202e" not in out and "\x1b" not in out
    assert "[red]" in ask(run, "show", bad) and "\\u202egnp.exe" in ask(run, "show", bad)


def test_library_export_refuses_wrong_paths(run: Path):
    with pytest.raises(ValueError, match="is a folder"):
        ask(run, "export", to=run)
    with pytest.raises(ValueError, match="no folder"):
        ask(run, "export", to=run / "nowhere" / "b.md")
    assert not list(run.glob(".*.new"))


# -- verify and proof -------------------------------------------------------------------------------------------------


def test_verify_and_exit_status(run: Path, store: Store):
    out = ask(run, "verify")
    head = store.query("SELECT * FROM heads ORDER BY generation DESC LIMIT 1")[0]
    assert all(line.startswith("ok ") for line in out.splitlines()) and head["root"] in out and "4 signed heads" in out
    path = next((run / "adapters").glob("g*/*/adapter_model.safetensors"))
    path.write_bytes(path.read_bytes() + b"x")
    store.db.execute("DROP TRIGGER posts_no_update")
    store.db.execute("UPDATE posts SET title = 'x' WHERE seq = 1")
    out = ask(run, "verify", status=2)
    assert out.startswith("wrong    leaf 1 (post ") and "1 of these do not have the SHA-256" in out


def test_proof_is_valid_json(run: Path, store: Store):
    name = store.query("SELECT title FROM posts WHERE kind = 'definition' ORDER BY seq LIMIT 1")
    night = store.query("SELECT subject FROM leaves WHERE kind = 'training' LIMIT 1")[0]["subject"]
    for words in (
        name[0]["title"] if name else "",
        night,
        "g1",
        store.query("SELECT id FROM posts LIMIT 1")[0]["id"][:30],
    ):
        if words:
            assert check_proof(json.loads(ask(run, "proof", words))) == []


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "words", "options", "says"),
    [
        ("shwo", "w1", {}, "unknown action 'shwo'; did you mean 'show'?"),
        ("dance", "", {}, "unknown action 'dance'; expected one of search, show, tree, export, verify, proof"),
        ("show", "", {}, "show needs a name, a title or an id, as in: library"),
        ("verify", "now", {}, "verify takes no arguments, got 'now'"),
        ("verify", "", {"to": Path("x")}, "--to is for export, not for verify"),
        ("tree", "w1", {"kind": "lesson"}, "--kind is for search, not for tree"),
        ("search", "x", {"kind": "leson"}, "unknown kind of post 'leson'; did you mean 'lesson'?"),
        ("search", "x", {"limit": 0}, "--limit must be at least 1, got 0"),
        ("proof", "g9", {}, "generation 9 has no signed head; generations 0 to 3 have"),
    ],
)
def test_library_errors_in_one_line(run: Path, action: str, words: str, options: dict, says: str):
    with pytest.raises(ValueError) as error:
        ask(run, action, words, **options)
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.slow
def test_library_command_exit_status(run: Path, store: Store):
    done = ratchet("library", str(run), "search", "rev", "inc", "--limit", "2")
    assert done.returncode == 0 and "standing" in done.stdout, done.stderr
    assert ratchet("library", str(run), "verify").returncode == 0
    wrong = ratchet("library", str(run), "shwo", "w1")
    assert wrong.returncode == 2 and wrong.stderr.strip() == "error: unknown action 'shwo'; did you mean 'show'?"
    store.db.execute("DELETE FROM heads")
    assert ratchet("library", str(run), "verify").returncode == 2


def test_reads_at_work_are_one_number(undisturbed: Path) -> None:
    """The report, `library show`, `library search`, the screens and the book count the same reads at work."""
    store = Store(undisturbed / "run.db")
    shown = read_by(store, "definition")
    id_ = max(shown, key=lambda post: sum(shown[post].values()))
    n = sum(shown[id_].values())
    facts_ = [words for what, words in facts(store, id_) if what in ("read", "shown")]
    beside = store.query("SELECT COUNT(*) AS n FROM reads WHERE phase = 'beside' AND post = ?", [id_])[0]["n"]
    assert n and beside, "the run must have both kinds"
    assert facts_[0].startswith(f"{n} time{'s' * (n > 1)} at work: ")
    assert facts_[-1].startswith(f"{beside} time{'s' * (beside > 1)} as a distractor: ")
    assert [f.uses for f in search(store, "", None, None, 10**6) if f.post["id"] == id_] == [n]
    assert Use.of(store).reads[id_] == n
    with read_only(undisturbed / "run.db") as db:
        detail = post(db, id_)
    assert detail is not None and (detail.reads["at work"], detail.reads["as a distractor"]) == (n, beside)
    total = store.query("SELECT COUNT(*) AS n FROM reads WHERE phase IN ('propose', 'solve')")[0]["n"]
    assert library_row(store)["reads"] == sum(reads(store).values()) == total
