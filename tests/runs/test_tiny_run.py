"""A real tiny run, looked at from outside: what the store says happened is what should have happened."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import torch

from agents.engine import Request
from arena.config.schema import load_config
from arena.config.shipped import SEED_FOLDER
from arena.loop import play
from arena.run.state import Arena
from arena.run.store import Store
from culture.library import Library


@pytest.fixture(scope="module")
def store(undisturbed: Path) -> Store:
    return Store(undisturbed / "run.db")


def test_author_solvers_and_grader_differ(store: Store) -> None:
    rounds = store.query("SELECT * FROM rounds")
    assert len(rounds) == 3 * 3 * 5
    for r in rounds:
        seats = [r["author"], *json.loads(r["solvers"]), *([r["grader"]] if r["grader"] else [])]
        assert len(set(seats)) == len(seats)
    sql = "SELECT COUNT(*) AS n FROM attempts a JOIN rounds r ON a.round = r.id WHERE a.agent = r.author"
    assert store.query(sql)[0]["n"] == 0


def test_solve_rate_counts_all_attempts(store: Store) -> None:
    sql = """SELECT o.solve_rate AS p, AVG(a.correct) AS mean, COUNT(*) AS n, o.learnable, o.setter_reward AS pay
             FROM outcomes o JOIN attempts a ON a.round = o.round GROUP BY o.round"""
    rows = store.query(sql)
    assert rows and all(r["n"] == 2 for r in rows)  # one solver, two attempts
    for r in rows:
        assert r["p"] == pytest.approx(r["mean"]) and r["learnable"] == (0 < r["p"] < 1)
        assert r["pay"] == pytest.approx(4 * r["p"] * (1 - r["p"]))


def test_rejected_proposals_keep_their_reason(store: Store) -> None:
    sql = "SELECT p.*, o.setter_reward AS pay FROM problems p JOIN outcomes o ON o.round = p.round WHERE NOT valid"
    for r in store.query(sql):
        assert r["reason"] != "ok" and r["pay"] == -0.25 and r["text"] is None and r["proposal"] is not None


def test_library_verifies_and_posts_were_checked(undisturbed: Path) -> None:
    with Arena.open(undisturbed) as arena:
        assert arena.state.library.count() > 0 and arena.state.library.verify() == []
        for entry in arena.state.bank.entries:
            domain = arena.state.domains[entry.domain]
            assert domain.verify(domain.problem(entry.text), entry.solution).correct


def test_a_tampered_post_is_found(undisturbed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run.db"
    copy.write_bytes((undisturbed / "run.db").read_bytes())
    store = Store(copy)
    store.db.execute("DROP TRIGGER IF EXISTS posts_no_update")
    for (name,) in store.db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        store.db.execute(f"DROP TRIGGER {name}")
    store.db.execute("UPDATE posts SET title = title || ' 0' WHERE seq = (SELECT MIN(seq) FROM posts)")
    assert len(Library(store.db).verify()) >= 1


def test_what_was_read_is_logged_by_phase(store: Store) -> None:
    phases = {r["phase"]: r["n"] for r in store.query("SELECT phase, COUNT(*) AS n FROM reads GROUP BY phase")}
    parents = store.query("SELECT COUNT(*) AS n FROM rounds WHERE parent_post IS NOT NULL")[0]["n"]
    assert phases["propose"] == parents > 0 and phases["sleep"] > 0
    shown = [n for r in store.query("SELECT notes FROM attempts") for n in json.loads(r["notes"])]
    assert phases.get("solve", 0) <= len(shown)  # one read a solver, shown in each of its attempts


def test_definitions_make_names_solvable(tmp_path: Path) -> None:
    """With the definitions of all names posted, problems with names are solved by reading and never without."""
    overrides = [f"run.folder={tmp_path}", "run.name=read", "generations=0", "measure.final_per_depth=40"]
    with Arena.create(load_config("configs/tiny.yaml", overrides)) as arena:
        words = arena.state.words_domain()
        assert words is not None
        problems = words.heldout("dev", 1)[:40]
        rates = {}
        for reading in (True, False):
            prompts = [
                words.solve_prompt(p, [words.definition(n, words.world.bodies[n]) for n in p.names] if reading else [])
                for p in problems
            ]
            done = arena.models.generate([Request(f"{i}", t, None, 100, 0.0) for i, t in enumerate(prompts)])
            right = [words.verify(p, c.text).correct for p, c in zip(problems, done, strict=True)]
            rates[reading] = sum(right) / len(right)
    assert rates[True] > rates[False] + 0.4


def test_keys_are_private(undisturbed: Path, store: Store) -> None:
    keys = list((undisturbed / "keys").glob("*.pem"))
    assert len(keys) == 5 and all(  # four agents' and the arena's, which signs the log
        stat.S_IMODE(k.stat().st_mode) == 0o600 for k in keys
    )
    assert all(len(r["signature"]) == 128 for r in store.query("SELECT signature FROM posts"))


def test_weakest_retires_and_best_reproduces(store: Store) -> None:
    gone = store.query("SELECT * FROM retirements")
    born = store.query("SELECT * FROM agents WHERE born > 0")
    assert len(gone) == len(born) == 1 and gone[0]["generation"] == born[0]["born"] == 2
    parents = json.loads(born[0]["parents"])
    assert parents and parents[0] != gone[0]["name"] and born[0]["inherited"] == "weights"
    assert not store.query("SELECT 1 FROM rounds WHERE generation = 3 AND author = ?", [gone[0]["name"]])
    assert store.query("SELECT 1 FROM rounds WHERE generation = 3 AND author = ?", [born[0]["name"]])


def test_old_adapters_are_pruned(undisturbed: Path) -> None:
    assert sorted(p.name for p in (undisturbed / "adapters").iterdir()) == ["g0002", "g0003"]


def test_agents_load_in_transformers_and_peft(undisturbed: Path) -> None:
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    with Arena.open(undisturbed) as arena:
        name = arena.state.living[0]
        problems = [p for d in (1, 2, 3, 4) for p in arena.state.main.heldout("dev", d)[:4]]
        prompts = [arena.state.main.solve_prompt(p, ()) for p in problems]
        ours = [c.text for c in arena.models.engine.generate([Request(p, p, name, 60, 0.0) for p in prompts])]
        rows = arena.store.query("SELECT * FROM checkpoints WHERE name = ? ORDER BY generation", [name])
    base = transformers.AutoModelForCausalLM.from_pretrained(SEED_FOLDER, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(SEED_FOLDER)
    model = peft.PeftModel.from_pretrained(base, undisturbed / rows[-1]["path"]).eval()
    for prompt, text in zip(prompts, ours, strict=True):
        inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            out = model.generate(**inputs, max_new_tokens=60, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert tokenizer.decode(out, skip_special_tokens=True) == text


def test_network_self_trains_on_own_posts(tmp_path: Path) -> None:
    overrides = [f"run.folder={tmp_path}", "run.name=alone", "library.network=self", "generations=2"]
    with Arena.create(load_config("configs/tiny.yaml", overrides)) as arena:
        play(arena)
        sql = """SELECT COUNT(*) AS n FROM reads r JOIN posts p ON p.id = r.post
                 WHERE r.phase = 'sleep' AND p.author != r.agent"""
        assert arena.store.query(sql)[0]["n"] == 0


@pytest.mark.parametrize("setter", ["frozen", "mutator", "uniform", "seed"])
def test_every_setter_plays(setter: str, tmp_path: Path) -> None:
    overrides = [f"run.folder={tmp_path}", f"run.name={setter}", f"rounds.setter={setter}", "generations=2"]
    with Arena.create(load_config("configs/tiny.yaml", overrides)) as arena:
        play(arena)
        rows = arena.store.query("SELECT valid, tokens FROM problems")
        assert sum(r["valid"] for r in rows) > len(rows) / 2
        assert (sum(r["tokens"] for r in rows) > 0) == (setter == "frozen")


def test_newborn_inherits_the_library(tmp_path: Path) -> None:
    overrides = [f"run.folder={tmp_path}", "run.name=born", "turnover.inherit=library", "sleep.newborn=64"]
    with Arena.create(load_config("configs/tiny.yaml", overrides)) as arena:
        play(arena)
        child = arena.store.query("SELECT name FROM agents WHERE born = 2")[0]["name"]
        read = {
            r["agent"]: r["n"]
            for r in arena.store.query(
                "SELECT agent, COUNT(*) AS n FROM reads WHERE phase = 'sleep' AND generation = 3 GROUP BY agent"
            )
        }
        assert read[child] >= max(read.values())


def test_compute_limit_ends_the_run(tmp_path: Path) -> None:
    overrides = [f"run.folder={tmp_path}", "run.name=short", "limits.compute=1000", "generations=50"]
    with Arena.create(load_config("configs/tiny.yaml", overrides)) as arena:
        play(arena)
        assert arena.store.query("SELECT MAX(generation) AS g FROM phases")[0]["g"] == 1
        assert arena.store.compute() >= 1000
