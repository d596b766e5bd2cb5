"""Export: training sets without held-out problems, typed tables, a book that escapes hostile text."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from agents.adapters import AdapterLayout
from agents.checkpoint import BaseModel, weights_digest
from arena.config.schema import Config, load_config
from arena.config.shipped import SEED_FOLDER
from arena.export import tables as tables_module
from arena.export.card import COMPLETION_FIELDS, TRACE_FIELDS
from arena.export.export import MANIFEST, PARTS, export_run, parts_of
from arena.export.heldout_guard import Guard
from arena.export.traces import COMPLETION, TRACE
from arena.loop import play
from arena.run.state import Arena, make_domains
from arena.run.store import Store
from arena.text import code, fence
from culture.posts import Post, SignedPost
from tests.helpers.command import ratchet


def silent(part: str, done: int, total: int) -> None: ...


def export(run: Path, to: Path, parts: tuple[str, ...] = PARTS, adapters: str = "latest") -> dict[str, Any]:
    store = Store(run / "run.db")
    try:
        return export_run(store, load_config(run / "config.yaml"), run, to, parts, adapters, silent)
    finally:
        store.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def front(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text().split("---\n")[1])
    return found


def hexes(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def exported(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("export") / "out"
    export(undisturbed, to)
    return to


@pytest.fixture
def copied(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of a run that a test may change."""
    return Path(shutil.copytree(undisturbed, tmp_path / "run"))


def heldout(run: Path) -> str:
    """A held-out problem of the run's main domain, of a depth that is held out by program."""
    return make_domains(load_config(run / "config.yaml"))["list_programs"].heldout("test", 4)[0].text


# -- traces -----------------------------------------------------------------------------------------------------------


def shape(value: Any, kind: Any) -> None:
    """Assert that `value` has the declared type; anything but a list may be None."""
    if isinstance(kind, list):
        assert isinstance(value, list)
        for item in value:
            shape(item, kind[0])
    elif value is not None and isinstance(kind, dict):
        assert list(value) == list(kind)
        for key, of in kind.items():
            shape(value[key], of)
    elif value is not None:
        assert isinstance(value, {"string": str, "int64": int, "float64": float, "bool": bool}[kind])


def test_trace_fields_types_and_docs(exported: Path):
    traces, pairs = lines(exported / "traces.jsonl"), lines(exported / "completions.jsonl")
    assert len(traces) == 45 and len(pairs) > 30
    for row in traces:
        shape(row, TRACE)
    for row in pairs:
        shape(row, COMPLETION)
    assert set(TRACE) == set(TRACE_FIELDS) and set(COMPLETION) == set(COMPLETION_FIELDS)
    for part in ("proposal", "problem", "grade"):
        assert set(re.findall(r"`(\w+)`", TRACE_FIELDS[part])) >= set(TRACE[part]), part
    assert set(re.findall(r"`(\w+)`", TRACE_FIELDS["attempts"])) >= set(TRACE["attempts"][0])


def test_traces_equal_the_store(exported: Path, undisturbed: Path):
    store, traces = Store(undisturbed / "run.db"), lines(exported / "traces.jsonl")
    assert [t["round"] for t in traces] == [r["id"] for r in store.query("SELECT id FROM rounds ORDER BY rowid")]
    attempts = {a["id"]: a for t in traces for a in t["attempts"]}
    stored = store.query("SELECT * FROM attempts")
    assert len(stored) == len(attempts)
    for row in stored:
        found = attempts[row["id"]]
        assert (found["text"], found["correct"], found["step"]) == (row["text"], bool(row["correct"]), row["step"])
    grades = [t["grade"] for t in traces if t["grade"]]
    assert len(grades) == store.query("SELECT COUNT(*) AS n FROM grades")[0]["n"] > 0
    rates = {t["round"]: t["outcome"]["solve_rate"] for t in traces}
    assert rates == {r["round"]: r["solve_rate"] for r in store.query("SELECT * FROM outcomes")}
    reads = sum(len(t["proposal"]["read"]) + sum(len(a["read"]) for a in t["attempts"]) / 2 for t in traces)
    n = "SELECT COUNT(*) AS n FROM reads WHERE phase IN ('propose', 'solve')"
    assert reads == store.query(n)[0]["n"] > 0  # the two attempts of a seat share the posts that were read


def test_prompts_equal_those_of_the_run(exported: Path, undisturbed: Path):
    """The total tokens of all prompts equal the engine's count for the phase."""
    from agents.tokenizer import Tokenizer
    from arena.config.shipped import SEED_FOLDER

    tokenizer, store = Tokenizer(SEED_FOLDER), Store(undisturbed / "run.db")
    for generation in (1, 2, 3):
        mine = [t for t in lines(exported / "traces.jsonl") if t["generation"] == generation]
        asked = sum(tokenizer.count(a["prompt"]) for t in mine for a in t["attempts"])
        sql = "SELECT prompt_tokens AS n FROM phases WHERE generation = ? AND phase = 'solve'"
        counted = store.query(sql, [generation])[0]["n"]
        n = sum(len(t["attempts"]) for t in mine)
        assert counted in (asked, asked + n), (counted, asked, n)  # with or without a beginning-of-text token


def test_completions_are_verified_or_paid(exported: Path):
    traces = {t["round"]: t for t in lines(exported / "traces.jsonl")}
    pairs = lines(exported / "completions.jsonl")
    right = {a["id"]: a for t in traces.values() for a in t["attempts"] if a["correct"]}
    solvers = [p for p in pairs if p["role"] == "solver"]
    assert {p["attempt"] for p in solvers} == set(right) and len(solvers) == len(right)
    for p in solvers:
        assert (p["prompt"], p["completion"]) == (right[p["attempt"]]["prompt"], right[p["attempt"]]["text"])
    setters = [p for p in pairs if p["role"] == "setter"]
    assert {p["round"] for p in setters} == {r for r, t in traces.items() if t["outcome"]["setter_reward"] > 0}
    assert all(p["weight"] == traces[p["round"]]["outcome"]["setter_reward"] for p in setters)


def test_base_and_generated_problems(copied: Path, tmp_path: Path):
    store = Store(copied / "run.db")
    store.db.execute("UPDATE rounds SET setter = CASE WHEN number % 2 THEN 'frozen' ELSE 'uniform' END")
    store.close()
    export(copied, tmp_path / "out", ("traces",))
    traces = lines(tmp_path / "out" / "traces.jsonl")
    assert {t["setter"]: t["proposal"]["prompt"] is None for t in traces} == {"frozen": False, "uniform": True}
    setters = [p for p in lines(tmp_path / "out" / "completions.jsonl") if p["role"] == "setter"]
    assert setters and {p["agent"] for p in setters} == {None}


# -- held-out problems ------------------------------------------------------------------------------------------------


def test_rejected_heldout_proposal_is_withheld(copied: Path, tmp_path: Path):
    store, text = Store(copied / "run.db"), heldout(copied)
    round_ = store.query("SELECT round FROM problems WHERE valid = 0")[0]["round"]
    sql = "UPDATE problems SET proposal = ?, reason = 'held-out', detail = ? WHERE round = ?"
    store.db.execute(sql, [text, text, round_])
    store.db.execute("INSERT INTO refusals VALUES ('x', 1, 'luz', ?, 'held-out problem', NULL)", [text])
    store.close()
    manifest = export(copied, tmp_path / "out", ("traces", "tables", "card"))
    assert manifest["withheld"] >= 2
    (trace,) = [t for t in lines(tmp_path / "out" / "traces.jsonl") if t["round"] == round_]
    assert (trace["proposal"]["text"], trace["proposal"]["detail"]) == (None, None)
    assert trace["proposal"]["reason"] == "held-out"
    for path in ("traces.jsonl", "completions.jsonl", "README.md"):
        assert text not in (tmp_path / "out" / path).read_text()
    for table in ("problems", "refusals"):
        rows = pq.read_table(tmp_path / "out" / "tables" / f"{table}.parquet").to_pylist()
        assert text not in json.dumps(rows)


def test_training_sets_hold_no_heldout_problem(exported: Path, undisturbed: Path):
    guard = Guard(make_domains(load_config(undisturbed / "config.yaml")).values())
    for t in lines(exported / "traces.jsonl"):
        said = [t["proposal"]["text"], t["proposal"]["parent"], *(r["title"] for r in t["proposal"]["read"])]
        assert not any(guard.holds(text) for text in said if text)
    for p in lines(exported / "completions.jsonl"):
        assert not guard.holds(p["completion"])
        assert not guard.holds(p["prompt"].removeprefix("solve ").removesuffix(" think"))


def test_heldout_guard_by_text_and_program(undisturbed: Path):
    guard, text = Guard(make_domains(load_config(undisturbed / "config.yaml")).values()), heldout(undisturbed)
    program = text.partition("|")[0]
    assert guard.holds(text) and guard.holds(f"{program}| 1 2")
    assert not guard.holds("inc | 1 2") and not guard.holds(program) and not guard.holds("\x00`")


@pytest.mark.parametrize("where", ["problem", "post"])
def test_played_heldout_problem_ends_the_export(where: str, copied: Path, tmp_path: Path):
    store, text = Store(copied / "run.db"), heldout(copied)
    if where == "problem":
        store.db.execute("UPDATE problems SET text = ? WHERE round = (SELECT MIN(round) FROM attempts)", [text])
    else:
        put(store, Post("worked_example", "luz", 3, text, "x"))
    store.close()
    with pytest.raises(ValueError, match="held-out problem"):
        export(copied, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


# -- tables -----------------------------------------------------------------------------------------------------------


def test_tables_rows_and_types(exported: Path, undisturbed: Path):
    store = Store(undisturbed / "run.db")
    for name in tables_module.tables(store):
        table = pq.read_table(exported / "tables" / f"{name}.parquet")
        stored = store.query(f"SELECT * FROM {name} ORDER BY rowid")
        assert table.num_rows == len(stored) and table.column_names == [c.name for c in store.db[name].columns]
    attempts = pq.read_table(exported / "tables" / "attempts.parquet")
    kinds = {f.name: str(f.type) for f in attempts.schema}
    assert (kinds["correct"], kinds["step"], kinds["logprob"]) == ("bool", "int64", "double")
    assert kinds["notes"] == "list<element: string>"
    assert attempts["correct"].to_pylist() == [
        bool(r["correct"]) for r in store.query("SELECT correct FROM attempts ORDER BY rowid")
    ]
    evaluations = pq.read_table(exported / "tables" / "evaluations.parquet")
    assert str(evaluations.schema.field("correct").type) == "int64"  # a count out of k, not a boolean


def test_posts_verify_from_their_table(exported: Path):
    rows = pq.read_table(exported / "tables" / "posts.parquet").to_pylist()
    for r in rows:
        post = Post(r["kind"], r["author"], r["generation"], r["title"], r["body"], tuple(r["cites"]), r["about"])
        assert post.id == r["id"] and SignedPost(post, r["public_key"], r["signature"]).verify()
    assert rows


def test_tables_are_written_in_batches(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables_module, "BATCH", 7)
    export(copied, tmp_path / "out", ("tables",))
    file = pq.ParquetFile(tmp_path / "out" / "tables" / "attempts.parquet")
    assert max(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)) == 7
    assert file.metadata.num_rows == Store(copied / "run.db").query("SELECT COUNT(*) AS n FROM attempts")[0]["n"]


def test_wrong_column_type_is_named(copied: Path, tmp_path: Path):
    store = Store(copied / "run.db")
    store.db.execute("UPDATE attempts SET tokens = 'many' WHERE rowid = 1")
    store.close()
    with pytest.raises(ValueError, match="table attempts, column tokens"):
        export(copied, tmp_path / "out", ("tables",))
    assert not list(tmp_path.glob("*out*"))


# -- adapters ---------------------------------------------------------------------------------------------------------


def test_adapters_are_peft_folders(undisturbed: Path, tmp_path: Path):
    manifest = export(undisturbed, tmp_path / "a", ("adapters",))
    names = manifest["adapters"]
    assert len(names) == 3 and all(n.startswith("adapters/g0003/") for n in names)
    for name in names:
        assert sorted(p.name for p in (tmp_path / "a" / name).iterdir()) == [
            "adapter_config.json",
            "adapter_model.safetensors",
            "base_model.json",
        ]
        there = undisturbed / name / "adapter_model.safetensors"
        assert (tmp_path / "a" / name / "adapter_model.safetensors").read_bytes() == there.read_bytes()
    assert len(export(undisturbed, tmp_path / "b", ("adapters",), "all")["adapters"]) == 6
    (two,) = {n.split("/")[1] for n in export(undisturbed, tmp_path / "c", ("adapters",), "2")["adapters"]}
    assert two == "g0002"
    with pytest.raises(
        ValueError, match=r"adapters of generation 7 .* wrote none then; there are those of generation 2, 3"
    ):
        export(undisturbed, tmp_path / "d", ("adapters",), "7")


def test_exported_adapter_belongs_to_its_base(undisturbed: Path, tmp_path: Path):
    name = export(undisturbed, tmp_path / "a", ("adapters",))["adapters"][0]
    config, folder = load_config(undisturbed / "config.yaml"), tmp_path / "a" / name
    layout = AdapterLayout(BaseModel.load(SEED_FOLDER).config, config.sleep.rank, config.sleep.alpha)
    layout.load_peft(folder, weights_digest(SEED_FOLDER))
    recorded, other = weights_digest(SEED_FOLDER)[:16], "cd" * 32
    with pytest.raises(ValueError, match=f"on seed with the weights {recorded}, the base model here has {other}"):
        layout.load_peft(folder, other)


def test_changed_adapter_is_refused(copied: Path, tmp_path: Path):
    weights = next((copied / "adapters" / "g0003").glob("*/adapter_model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ValueError, match="not what the run wrote"):
        export(copied, tmp_path / "out", ("adapters",))


def test_run_without_adapters(copied: Path, tmp_path: Path):
    shutil.rmtree(copied / "adapters")
    for which in ("latest", "all", "3"):
        with pytest.raises(ValueError, match=r"missing \(adapters/g000.* there are none; .* --only traces,tables"):
            export(copied, tmp_path / "out", PARTS, which)
    assert not list(tmp_path.glob("*out*"))
    assert "adapters" not in export(copied, tmp_path / "out", ("traces", "card"))


def test_untrained_run_has_no_adapters(tmp_path: Path):
    given = [f"run.folder={tmp_path}", "generations=1", "sleep.enabled=false", "measure.final_per_depth=1"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
        play(arena)
    assert export(arena.folder, tmp_path / "out", ("adapters", "card"))["adapters"] == []
    assert "no adapters: the run has written none" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(ValueError, match="the run has trained nobody"):
        export(arena.folder, tmp_path / "other", ("adapters",), "1")


# -- the book ---------------------------------------------------------------------------------------------------------


def put(store: Store, post: Post) -> None:
    """Insert a post without any check."""
    seq = store.query("SELECT MAX(seq) AS n FROM posts")[0]["n"] + 1
    row = [post.id, seq, post.generation, post.kind, post.author, post.title, post.body, json.dumps(post.cites)]
    store.db.execute("INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', '', '')", [*row, post.about])


def test_book_order(exported: Path, undisturbed: Path):
    store = Store(undisturbed / "run.db")
    contents = re.findall(r"\]\(([^)]+)\): ([\d,]+)", (exported / "library" / "README.md").read_text())
    assert contents[0][0] == "definitions.md"
    assert sum(int(n.replace(",", "")) for _, n in contents) == store.query("SELECT COUNT(*) AS n FROM posts")[0]["n"]
    assert {name for name, _ in contents} | {"README.md"} == {p.name for p in (exported / "library").iterdir()}
    for post in store.query("SELECT * FROM posts"):
        (page,) = [p.read_text() for p in (exported / "library").iterdir() if f'"p-{post["id"][:16]}"' in p.read_text()]
        assert fence(post["body"]) in page and f"### {code(post['title'])}" in page
    depths = [int(d) for name, _ in contents for d in re.findall(r"list_programs-depth-(\d+)", name)]
    assert depths == sorted(depths) and len(depths) > 1


def test_book_links(exported: Path):
    found = 0
    for page in (exported / "library").iterdir():
        for file, anchor in re.findall(r"\]\(([\w-]+\.md)#(p-[0-9a-f]{16})\)", page.read_text()):
            assert f'<a id="{anchor}"></a>' in (exported / "library" / file).read_text()
            found += 1
    assert found


HOSTILE = "```\n# Owned\n<script>alert(1)</script>\n````` [x](javascript:y)\n\u202egnp.exe"


def test_hostile_text_stays_in_its_block(copied: Path, tmp_path: Path):
    store = Store(copied / "run.db")
    for kind in ("worked_example", "lesson"):
        put(store, Post(kind, "a`b", 3, "t`<img src=x>`](y)\n# Title", HOSTILE))
    store.close()
    export(copied, tmp_path / "out", ("library",))
    for name in ("worked-examples.md", "lessons.md"):
        page = (tmp_path / "out" / "library" / name).read_text()
        outside = without_code(page)
        for word in ("Owned", "script", "img", "Title", "javascript", "\u202e"):
            assert word not in outside, outside
        assert page.count("\n# ") == 1 and "\n###### " not in page  # "# Owned" is there, inside
        assert "\\u202egnp.exe" in page


def without_code(page: str) -> str:
    """Markdown without code blocks and spans, as CommonMark delimits them."""
    kept, marks = [], ""
    for line in page.split("\n"):
        fence_ = re.match(r"^(`{3,})([^`]*)$", line)
        if marks:
            if fence_ and len(fence_.group(1)) >= len(marks) and not fence_.group(2).strip():
                marks = ""
        elif fence_:
            marks = fence_.group(1)
        else:
            kept.append(re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", line))
    assert not marks, "a block is open at the end"
    return "\n".join(kept)


@pytest.mark.parametrize("text", ["", "`", "a``b", "`` ` ``", "x" * 9, "`" * 40, " ", "a\nb", "\x1b[31m\x00"])
def test_fences_outlast_backticks(text: str):
    assert without_code(fence(text)) == "" and without_code(code(text)) in ("", "(empty)")
    assert "\n" not in code(text) and "\x1b" not in code(text) + fence(text)


def test_empty_library_is_a_title_page(copied: Path, tmp_path: Path):
    store = Store(copied / "run.db")
    for trigger in ("posts_no_delete",):
        store.db.execute(f"DROP TRIGGER {trigger}")
    store.db.execute("DELETE FROM posts")
    store.close()
    export(copied, tmp_path / "out", ("library",))
    (page,) = (tmp_path / "out" / "library").iterdir()
    assert "Nothing was posted" in page.read_text()


# -- the card, and the folder as a whole ------------------------------------------------------------------------------


def test_cards_name_existing_files(exported: Path):
    main, tables = front(exported / "README.md"), front(exported / "tables" / "README.md")
    assert [c["config_name"] for c in main["configs"]] == ["completions", "traces"]
    assert {f["split"] for c in main["configs"] for f in c["data_files"]} == {"train"}
    assert {f["split"] for c in tables["configs"] for f in c["data_files"]} == {"records"}
    for folder, card in ((exported, main), (exported / "tables", tables)):
        assert sum(c["default"] for c in card["configs"]) == 1
        for c in card["configs"]:
            assert (folder / c["data_files"][0]["path"]).is_file()
    rows = json.loads((exported / MANIFEST).read_text())["tables"]
    assert {c["config_name"] for c in tables["configs"]} == {name for name, n in rows.items() if n}
    assert 0 in rows.values()
    declared = {i["config_name"]: [f["name"] for f in i["features"]] for i in main["dataset_info"]}
    assert declared == {"completions": list(COMPLETION), "traces": list(TRACE)}


def test_card_has_provenance_without_paths(exported: Path, undisturbed: Path):
    text = (exported / "README.md").read_text()
    assert Store(undisturbed / "run.db").digest() in text
    assert str(undisturbed.parent) not in text
    (config,) = re.findall(r"```yaml\n(.*?)\n```", text, flags=re.S)
    assert Config.model_validate(yaml.safe_load(config)).generations == 3


def test_exports_are_equal_and_listed(exported: Path, undisturbed: Path, tmp_path: Path):
    export(undisturbed, tmp_path / "again")
    assert hexes(tmp_path / "again") == hexes(exported)
    assert set(json.loads((exported / MANIFEST).read_text())["files"]) | {MANIFEST} == set(hexes(exported))


def test_export_replaces_only_an_export(undisturbed: Path, tmp_path: Path):
    to = tmp_path / "out"
    export(undisturbed, to)
    export(undisturbed, to, ("library",))
    assert not (to / "traces.jsonl").exists() and (to / "library").is_dir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "mine", tmp_path / "file", undisturbed, undisturbed.parent):
        with pytest.raises(ValueError, match=str(place)):
            export(undisturbed, place)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_export_of_a_run_in_progress(copied: Path, tmp_path: Path):
    store = Store(copied / "run.db")
    for table in ("attempts", "grades", "outcomes"):
        store.db.execute(f"DELETE FROM {table} WHERE generation = 3")
    store.db.execute("DELETE FROM problems WHERE generation = 3 AND round > 'g0003r0007'")
    store.close()
    export(copied, tmp_path / "out", ("traces", "card"))
    late = [t for t in lines(tmp_path / "out" / "traces.jsonl") if t["generation"] == 3]
    assert len(late) == 8 and all(t["outcome"] is None and t["attempts"] == [] for t in late)


def test_unknown_part_names_the_nearest():
    assert parts_of("") == PARTS and parts_of("card, traces") == ("traces", "card")
    with pytest.raises(ValueError, match="unknown part 'trace'; did you mean 'traces'"):
        parts_of("trace")


@pytest.mark.slow
def test_export_command_default_folder(copied: Path):
    done = ratchet("export", str(copied), "--only", "traces,library,card")
    assert done.returncode == 0, done.stderr
    assert "45 rounds and" in done.stdout and done.stdout.strip().endswith(f"wrote {copied / 'export'}")
    assert not done.stderr and (copied / "export" / "README.md").is_file()
