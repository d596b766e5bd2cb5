"""The report's sections on culture, diversity, grading and provenance: what they say of runs whose truth is known."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents.identity import KeyRing
from arena.config.schema import load_config
from arena.report.figures.figure import Heat, Network, Section
from arena.report.metrics import diversity as varied
from arena.report.metrics import entropy, reward_hacking
from arena.report.metrics.run_summary import analyze
from arena.report.sections import culture, diversity, grading, provenance, tournament
from arena.report.sections.culture import authors, citations, family, innovation
from arena.report.sections.culture import posts as post_uplift
from arena.report.source import Source
from arena.run.store import Store
from culture.library import Library
from culture.posts import Post, sign_post

SECTIONS = (culture, diversity, grading, provenance, tournament)
EVIL = "[bold]x[/] <script>alert(1)</script> \u202e'\"; DROP TABLE posts"


def opened(folder: Path) -> Source:
    store, config = Store(folder / "run.db"), load_config(folder / "config.yaml")
    return Source(folder, store, config, analyze(store, config))


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A run of which nothing has been played."""
    config = load_config("configs/tiny.yaml", [f"run.folder={tmp_path}"])
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.yaml").write_text(config.to_yaml())
    Store(tmp_path / "tiny" / "run.db", create=True).close()
    return tmp_path / "tiny"


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed, tmp_path / "copy")
    return tmp_path / "copy"


def words_of(section: Section) -> str:
    cells = [cell for table in section.tables for row in table.rows for cell in row]
    figures = [text for figure in section.figures for text in (figure.title, figure.caption)]
    return "\n".join([*section.findings, *section.missing, *cells, *figures])


# -- all of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", SECTIONS, ids=lambda m: m.KEY)
def test_empty_run_says_what_is_missing(empty: Path, module: Any) -> None:
    """A section of an empty run says what is missing."""
    source = opened(empty)
    found = module.section(source)
    source.store.close()
    assert found.key == module.KEY and found.missing and all(s.endswith(".") for s in found.missing)
    assert not found.figures and not found.tables and not found.findings


def test_finished_run_figures_have_rows(run: Path) -> None:
    """Every figure of a finished run has its rows."""
    source, keys = opened(run), list[str]()
    for module in SECTIONS:
        found = module.section(source)
        assert found.findings and found.figures and all(s.endswith(".") for s in found.findings), module.KEY
        assert "nan" not in words_of(found) and "None" not in words_of(found)
        for figure in found.figures:
            keys.append(figure.key)
            assert figure.rows and figure.caption and figure.panels
            json.dumps(figure.rows, allow_nan=False)
            for panel in figure.panels:
                assert isinstance(panel.content, Network) or panel.y_label or isinstance(panel.content, Heat)
                if isinstance(panel.content, Network):
                    ids = {n.id for n in panel.content.nodes}
                    assert len(ids) == len(panel.content.nodes)
                    assert all(a in ids and b in ids for a, b in panel.content.edges)
                elif not isinstance(panel.content, Heat):
                    assert all(len(s.x) == len(s.y) for s in panel.content)
        for table in found.tables:
            assert all(len(row) == len(table.columns) for row in table.rows) and table.right <= set(table.columns)
    assert len(keys) == len(set(keys))
    source.store.close()


@pytest.mark.parametrize("module", SECTIONS, ids=lambda m: m.KEY)
def test_a_section_is_the_same_every_time(run: Path, module: Any) -> None:
    source = opened(run)
    assert module.section(source) == module.section(source)
    source.store.close()


def test_what_no_run_holds_is_said(run: Path) -> None:
    source = opened(run)
    missing = " ".join(culture.section(source).missing)
    assert all(word in missing for word in ("ratchet", "channels", "forgetting", "collapse"))
    assert any("human decision" in s for s in grading.section(source).missing)
    source.store.close()


# -- by hand -----------------------------------------------------------------------------------------------------


def problem(g: int, i: int, author: str, **more: Any) -> dict[str, Any]:
    row = {"round": f"g{g:04d}r{i:04d}", "generation": g, "domain": "list_programs", "author": author, "proposal": ""}
    row |= {"text": f"rev inc | {i % 10}", "valid": 1, "reason": "ok", "detail": "", "depth": 2, "text_key": f"{g}/{i}"}
    return row | {"behaviour_key": "b", "features": "{}", "logprob": -4.0, "tokens": 4} | more


def outcome(row: dict[str, Any], p: float) -> dict[str, Any]:
    learnable = int(0 < p < 1)
    return {"round": row["round"], "generation": row["generation"], "solve_rate": p, "learnable": learnable} | {
        "setter_reward": 4 * p * (1 - p)
    }


def round_of(row: dict[str, Any], parent: str | None = None) -> dict[str, Any]:
    number = int(row["round"][6:])
    shared = {"id": row["round"], "generation": row["generation"], "number": number, "domain": row["domain"]}
    shared |= {"author": row["author"], "setter": "self", "solvers": "[]", "grader": None}
    return shared | {"parent": "x" if parent else None, "parent_post": parent}


def insert(store: Store, **records: Sequence[dict[str, Any]]) -> None:
    with store.transaction():
        store.insert(records)


def agent(name: str, number: int, born: int = 0, parents: str = "[]") -> dict[str, Any]:
    return {"name": name, "number": number, "born": born, "parents": parents, "inherited": "nothing", "public_key": ""}


def post(store: Store, folder: Path, posts: Sequence[Post]) -> None:
    ring = KeyRing(folder / "keys")
    with store.transaction():
        signed = [sign_post(p, ring.ensure(p.author).public_key, partial(ring.sign, p.author)) for p in posts]
        assert [reason for _, reason in Library(store.db).add(signed, lambda p: None)] == [None] * len(posts)


def test_most_useful_setter_is_named(empty: Path) -> None:
    """The most useful setter is named, with the measures in which it differs."""
    store = Store(empty / "run.db")
    rows, paid = [], []
    for g in range(1, 9):
        for i in range(20):
            name = "ada" if i < 10 else "bob"
            # ada's are at even chances and deep, bob's are solved by everybody
            rows.append(problem(g, i, name, depth=(5 if name == "ada" else 2) + (g + i) % 2))
            paid.append(outcome(rows[-1], 0.5 if name == "ada" and i > g % 3 else 1.0))
    insert(store, problems=rows, outcomes=paid, rounds=[round_of(r) for r in rows])
    found = authors.authors(store, "list_programs")
    assert [a.name for a in found] == ["ada", "bob"]
    assert found[0].against.low > 0 > found[1].against.high
    text = " ".join(authors.most_useful(found, 8))
    assert text.startswith("ada set the most useful problems in all")
    assert "8 of 8 generations" in text and "are more often learnable" in text and "are deeper" in text
    store.close()


def test_chance_lead_is_not_claimed(empty: Path) -> None:
    """A lead that chance may explain is not claimed."""
    store = Store(empty / "run.db")
    rows = [problem(g, i, "ada" if i % 2 else "bob") for g in range(1, 5) for i in range(20)]
    paid = [outcome(r, 0.5 if (7 * i) % 3 else 1.0) for i, r in enumerate(rows)]
    insert(store, problems=rows, outcomes=paid, rounds=[round_of(r) for r in rows])
    text = " ".join(authors.most_useful(authors.authors(store, "list_programs"), 4))
    assert "though not clearly" in text and "chance may explain" in text
    store.close()


def test_a_lonely_setter_is_compared_with_nobody(empty: Path) -> None:
    store = Store(empty / "run.db")
    rows = [problem(1, i, "ada") for i in range(3)]
    insert(store, problems=rows, outcomes=[outcome(r, 0.5) for r in rows], rounds=[round_of(r) for r in rows])
    assert "so there is no comparison" in authors.most_useful(authors.authors(store, "list_programs"), 1)[0]
    store.close()


def names_asked(name: str, generation: int, n: int, with_: int, without: int) -> list[dict[str, Any]]:
    """n held-out problems with a name, of which so many are solved with reading and without."""
    rows = []
    for i in range(n):
        for reading, right in ((0, without), (1, with_)):
            key = f"{name}/{generation}/{i}/{reading}"
            row = {"id": key, "generation": generation, "domain": "hidden_words", "split": "dev", "depth": 1}
            row |= {"agent": "ada", "problem": f"{name} rev | {i}", "reading": reading, "mode": "greedy", "k": 1}
            rows.append(row | {"correct": int(i < right), "answer_correct": int(i < right)})
    return rows


def test_most_helpful_post_is_named(empty: Path) -> None:
    """The post that helped most is named with its author and readers."""
    store = Store(empty / "run.db")
    posts = [
        Post("definition", who, g, w, f"{w} = rev inc", (), "") for who, g, w in (("ada", 2, "w1"), ("bob", 1, "w2"))
    ]
    post(store, empty, posts)
    insert(store, evaluations=[*names_asked("w1", 2, 60, 60, 0), *names_asked("w2", 2, 200, 60, 0)])
    # before it was posted nothing of it counts
    insert(store, evaluations=names_asked("w1", 1, 50, 0, 50))
    reads = [
        ("eve", "solve", 1.0),
        ("eve", "solve", 1.0),
        ("bob", "propose", 1.0),
        ("zoe", "beside", 0.5),
        ("zoe", "sleep", 1.0),
    ]
    rows = [
        {
            "id": str(i),
            "generation": 2,
            "phase": ph,
            "agent": a,
            "request": str(i),
            "post": posts[0].id,
            "propensity": q,
        }
        for i, (a, ph, q) in enumerate(reads)
    ]
    insert(store, reads=rows)
    first, second = post_uplift.definitions(store)
    assert (first.name, first.author, first.readers) == ("w1", "ada", {"eve": 2, "bob": 1})
    assert first.uplift and first.uplift.n == 60 and first.uplift.difference == 1.0
    assert second.uplift and second.uplift.difference == pytest.approx(0.3)
    text = " ".join(post_uplift.best([first, second]))
    assert "“w1 = rev inc” by ada (generation 2)" in text and "by eve 2 and bob 1" in text
    assert "2 clearly helped and 0 clearly harmed" in text
    assert "1 of 2 have fewer (w1)" in post_uplift.power([first, second])[0]
    store.close()


def example(author: str, g: int, i: int, title: str, cites: tuple[str, ...] = ()) -> Post:
    return Post("worked_example", author, g, title, "trace", cites, f"list_programs/g{g:04d}r{i:04d}")


def test_lineages_and_cites_are_followed(empty: Path) -> None:
    store = Store(empty / "run.db")
    root = example("ada", 1, 0, "inc rev | 1")
    child = example("bob", 2, 0, "inc rev dec | 1", (root.id,))
    grand = example("ada", 3, 0, f"inc rev dec rot | 1 {EVIL}", (child.id,))
    alone = example("ada", 3, 1, "sort | 1")
    rows = [problem(g, i, "eve", depth=d) for g, i, d in ((1, 0, 2), (2, 0, 3), (3, 0, 5), (3, 1, 1))]
    parents = (None, root.id, child.id, None)
    insert(store, problems=rows, rounds=[round_of(r, p) for r, p in zip(rows, parents, strict=True)])
    post(store, empty, [root, child, grand, alone])
    posts = citations.entries(store)
    assert [e.step for e in posts.values()] == [0, 1, 2, 0]
    assert citations.descendants(posts) == {root.id: 2, child.id: 1}
    text = " ".join(citations.lineage_findings(posts))
    assert "longest lineage has 2 steps, from generation 1 to 3" in text and "+1.50" in text
    assert "go back to 2 founders, 1 of them from earlier" in text
    source = opened(empty)
    part = citations.part(source)
    assert "0.50 of 4 posts are cited by somebody other" in part.findings[0]
    network = next(f for f in part.figures if f.key == "post-lineages").panels[0].content
    assert isinstance(network, Network) and {n.id for n in network.nodes} == {root.id, child.id, grand.id}
    markup, _, rest = EVIL.partition("\u202e")  # markup is shown as it is; drawing escapes it
    shown = next(n.text for n in network.nodes if n.id == grand.id)
    assert markup in shown and rest in shown and "\u202e" not in shown
    source.store.close()
    store.close()


def test_long_lineages_need_no_recursion() -> None:
    """Lineages of many generations need no recursion."""
    posts, before = {}, None
    for i in range(3000):
        e = citations.Entry(str(i), i, "worked_example", "ada", i, "x | 1", "", (), before, 1, i)
        posts[e.id], before = e, e.id
    assert citations.descendants(posts)["0"] == 2999
    assert set(citations.tree_heights(list(posts.values())).values()) == {0.0}


def test_families_are_joined_at_birth(empty: Path) -> None:
    store = Store(empty / "run.db")
    insert(store, agents=[agent("ada", 0), agent("bob", 1), agent("eve", 2, 4, '["ada"]')])
    insert(store, retirements=[{"name": "bob", "generation": 4, "reward": 0.0}])
    insert(
        store, phases=[{"generation": 6, "phase": "measure", "counted": 1} | {f"{k}_tokens": 0 for k in ("prompt",)}]
    )
    figure = family.agents_figure(store)
    assert figure is not None
    network = figure.panels[0].content
    assert isinstance(network, Network)
    at = {n.id: (n.x, n.group) for n in network.nodes}
    assert at["bob/end"] == (4, "retired") and at["eve/end"] == (6, "living at the end")
    assert ("ada/eve", "eve/born") in network.edges and at["ada/eve"][0] == 4
    assert "widest line is that of ada, with 2 agents" in family.births(store)[0]
    store.close()


def test_what_an_author_had_read_by_then_is_not_new(empty: Path) -> None:
    store = Store(empty / "run.db")
    first = example("ada", 1, 0, "inc rev dec rot | 1")
    copied, unread = example("bob", 2, 0, "inc rev dec rot | 9"), example("eve", 2, 1, "inc rev dec rot | 8")
    own = example("ada", 2, 2, "inc rev dec rot | 7")
    later = example("eve", 3, 0, "inc rev dec rot sort | 7")
    post(store, empty, [first, copied, unread, own, later])
    reads = [("bob", 2, "propose", first.id), ("eve", 2, "sleep", first.id)]
    rows = [
        {"id": str(i), "generation": g, "phase": ph, "agent": a, "request": "q", "post": p, "propensity": 1.0}
        for i, (a, g, ph, p) in enumerate(reads)
    ]
    insert(store, reads=rows)
    # bob copied what it read, eve read it only asleep after she wrote, ada wrote it herself before
    assert innovation.innovation(store) == [
        {"generation": 1, "posts": 1, "new": 1, "new_to_lately_read": 1},
        {"generation": 2, "posts": 3, "new": 1, "new_to_lately_read": 2},
        {"generation": 3, "posts": 1, "new": 0, "new_to_lately_read": 1},
    ]
    store.close()


# -- diversity ---------------------------------------------------------------------------------------------------


def test_collapse_is_detected(empty: Path) -> None:
    """A collapse is reported as one, a steady run is not."""
    store = Store(empty / "run.db")
    names = ("rev", "sort", "inc", "dec", "dbl", "neg", "tail", "init", "rot", "swap", "cum", "dup")
    rows = []
    for g in range(1, 17):
        kinds = 12 if g < 9 else 1  # from the ninth generation on, all problems are one
        for i in range(24):
            words = " ".join(names[(i * k + g) % kinds] for k in (1, 5, 7))
            rows.append(problem(g, i, "ada" if i % 2 else "bob", text=f"{words} | 1", behaviour_key=words))
    insert(store, problems=rows)
    found, amount = varied.diversity(store, "list_programs", 0)
    assert amount is not None and amount.problems == 24
    assert found[0]["behaviours_n1"] > 10 and found[-1]["behaviours_n1"] == 1.0 == pytest.approx(found[-1]["vendi"])
    assert found[-1]["compression"] > found[0]["compression"]
    text = diversity.collapse(diversity.changes(found, diversity.MEASURES), 16)[0]
    assert text.startswith("Collapsed") and "different behaviours (N1)" in text
    steady = diversity.changes([*found[:8], *found[:8]], diversity.MEASURES)
    assert diversity.collapse(steady, 16)[0].startswith("Nothing collapsed")
    assert "cannot be judged from 3 generations" in diversity.collapse(diversity.changes(found[:3], ()), 3)[0]
    store.close()


def test_generations_are_measured_on_equal_amounts(empty: Path) -> None:
    store = Store(empty / "run.db")
    rows = [
        problem(g, i, "ada", text=f"inc w{i} rev | 1", behaviour_key=str(i))
        for g, n in ((1, 12), (2, 60))
        for i in range(n)
    ]
    rows += [problem(3, i, "ada") for i in range(3)]  # too few to tell
    insert(store, problems=rows)
    found, amount = varied.diversity(store, "list_programs", 0)
    assert [r["generation"] for r in found] == [1, 2] and amount is not None and amount.problems == 12
    assert {r["behaviours_n0"] for r in found} == {12}
    store.close()


def entropies(values: Sequence[float], rewards: Sequence[float]) -> list[dict[str, Any]]:
    return [{"generation": i, "entropy": h, "reward": r} for i, (h, r) in enumerate(zip(values, rewards, strict=True))]


def test_entropy_law_is_found_where_it_holds() -> None:
    """The law of entropy and reward is found only where it holds."""
    falling = [2.0 - 0.05 * i for i in range(30)]
    lawful = entropies(falling, [1.0 - 0.1 * math.exp(h) + 0.002 * (-1) ** i for i, h in enumerate(falling)])
    fitted = entropy.fit(lawful)
    assert fitted is not None and fitted.identifiable
    assert fitted.a == pytest.approx(0.1, abs=0.01) and fitted.b == pytest.approx(1.0, abs=0.02)
    flat = entropy.fit(
        entropies([1.5 + 0.01 * (i % 3) for i in range(30)], [0.3 + 0.1 * ((7 * i) % 5) for i in range(30)])
    )
    assert flat is not None and not flat.identifiable
    outlier = entropy.fit(
        entropies([3.0] + [1.5 + 0.01 * (i % 3) for i in range(29)], [-1.0] + [0.3 + 0.1 * (i % 2) for i in range(29)])
    )
    assert outlier is not None and not outlier.identifiable  # one generation makes no law
    assert entropy.fit(lawful[:5]) is None and entropy.fit(entropies([1.0] * 20, [0.0] * 20)) is None


def test_without_log_probabilities_entropy_is_missing(empty: Path) -> None:
    store = Store(empty / "run.db")
    insert(store, problems=[problem(1, i, "ada", logprob=None) for i in range(20)])
    store.close()
    source = opened(empty)
    found = diversity.section(source)
    assert any("log-probabilities" in s for s in found.missing) and [f.key for f in found.figures] == [
        "diversity",
        "diversity-texts",
    ]
    source.store.close()


# -- grading and gaming ------------------------------------------------------------------------------------------


def votes(right: Sequence[tuple[int | None, int, int]]) -> list[dict[str, Any]]:
    return [{"generation": 1, "grader": "ada", "says": s, "right": r, "depth": d} for s, r, d in right]


def test_votes_are_set_against_execution() -> None:
    found = votes([(1, 1, 2)] * 60 + [(0, 0, 2)] * 30 + [(1, 0, 6)] * 10 + [(None, 0, 6)] * 3)
    text = " ".join(grading.agreement(found))
    assert "0.90 [" in text and "of 100 votes, 3 more had no answer" in text and "would agree in 0.60" in text
    assert grading.confusion(found).rows[0][1:3] == ("60", "10") and grading.confusion(found).rows[2][2] == "3"
    assert "no vote" in grading.agreement(votes([(None, 1, 1)]))[0]
    blind = votes([(s, r, 1) for s in (0, 1) for r in (0, 1)] * 5)
    assert "carry no clear information" in grading.agreement(blind)[1]


def test_unfounded_and_leaked_are_found(run: Path) -> None:
    """Posts without an accepted attempt and leaked held-out problems are found."""
    source = opened(run)
    store = source.store
    assert reward_hacking.unfounded_posts(store) == reward_hacking.leaked_problems(store) == 0
    assert "Nothing got past" in grading.section(source).findings[-1]
    post(store, run, [example(next(iter(Library(store.db).by_author())), 3, 0, "rev inc | 1 2")])
    asked = store.query("SELECT problem FROM evaluations WHERE domain = 'list_programs' LIMIT 1")[0]["problem"]
    insert(store, problems=[problem(3, 999, "ada", text=asked)])
    assert reward_hacking.unfounded_posts(store) == reward_hacking.leaked_problems(store) == 1
    assert grading.section(source).findings[-1].startswith("Gamed past the checks: 1 of")
    store.close()


def test_reviewer_labels_are_reported(run: Path) -> None:
    """Labels of a reviewer are reported if there are any."""
    source = opened(run)
    columns = "attempt TEXT PRIMARY KEY, generation INTEGER, grader TEXT, says_right INTEGER, grader_agrees INTEGER"
    source.store.db.execute(f"CREATE TABLE IF NOT EXISTS labels ({columns}, execution_correct INTEGER)")
    assert any("human decision" in s for s in grading.section(source).missing)
    source.store.db.execute("INSERT INTO labels VALUES ('a', 1, 'ada', 1, 1, 0), ('b', 1, 'ada', 0, NULL, 0)")
    found = grading.section(source)
    assert any("labelled 2 attempts, 1 of them against execution" in s for s in found.findings)
    assert not any("human decision" in s for s in found.missing)
    source.store.close()


# -- provenance --------------------------------------------------------------------------------------------------


def test_changed_receipt_is_named(run: Path) -> None:
    """Receipts are verified, and a changed one is named."""
    source = opened(run)
    assert not provenance.receipts(source.store)
    with source.store.transaction():
        source.store.db.execute(
            "INSERT INTO receipts VALUES (?, 1, 1, 'review', 'x', 'accept', '', '{}', ?, ?)",
            ["0" * 64, "0" * 64, "0" * 128],
        )
    (text,) = provenance.receipts(source.store)
    assert text.startswith("1 fault in 1 receipt") and "bad id" in text
    source.store.close()


def test_tampered_records_are_named(run: Path) -> None:
    """A tampered post, a foreign key and a changed adapter are named."""
    source = opened(run)
    text = " ".join(provenance.section(source).findings)
    assert "posts verify" in text and "signs with one key" in text and "all with the SHA-256" in text
    db = source.store.db
    db.execute("DROP TRIGGER posts_no_update")
    db.execute("UPDATE posts SET body = body || ' x' WHERE seq = 2")
    author = source.store.query("SELECT author FROM posts WHERE seq = 1")[0]["author"]
    db.execute("UPDATE agents SET public_key = 'other' WHERE name = ?", [author])
    path = next((run / "adapters").glob("g*/*/adapter_model.safetensors"))
    path.write_bytes(path.read_bytes() + b"x")
    text = " ".join(provenance.section(source).findings)
    assert "the first: post 2 (" in text and f"{author} did not sign with the key" in text
    assert "1 of these do not have the SHA-256" in text
    source.store.close()


def test_first_bad_leaf_is_named(run: Path) -> None:
    """The log is verified, and its first bad leaf is named."""
    source = opened(run)
    made = provenance.section(source)
    text = " ".join(made.findings)
    assert "under 4 signed heads" in text and "All of it is what the run says" in text and not made.missing
    source.store.db.execute("UPDATE sleeps SET tokens = tokens + 1 WHERE generation = 2")
    text = " ".join(provenance.section(source).findings)
    assert "The signed log does not hold; first: leaf" in text and "(training g0002/" in text
    source.store.db.execute("DELETE FROM heads")
    assert "no signed head, though 3 generations ended" in " ".join(provenance.section(source).findings)
    source.store.close()


def test_each_row_of_the_diet_adds_up_to_one(run: Path) -> None:
    source = opened(run)
    heat = next(f for f in provenance.section(source).figures if f.key == "diet").panels[0].content
    assert isinstance(heat, Heat)
    assert all(sum(v or 0.0 for v in row) == pytest.approx(1.0) for row in heat.values)
    source.store.close()
