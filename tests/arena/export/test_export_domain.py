"""`export-domain`: a dataset without the sealed test set, and an environment with the verifier as its reward."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import tomllib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.config.shipped import ROOT
from arena.export.domain.environment import package_name
from arena.export.domain.rows import FIELDS, ROW, Judge, problems
from arena.export.domain.write import export_domain, read_options
from curricula.domain import Verdict
from curricula.registry import DOMAINS, make_domain
from tests.helpers.command import ratchet

N = 24
JUDGE = Judge("list_programs", {})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every registered domain, exported."""
    folder = tmp_path_factory.mktemp("domains")
    for name in DOMAINS:
        export_domain(name, {}, folder / name, N)
    return {name: folder / name for name in DOMAINS}


def rows(folder: Path, split: str) -> list[dict[str, Any]]:
    return list(pq.read_table(folder / "data" / f"{split}.parquet").to_pylist())


@pytest.mark.parametrize("name", list(DOMAINS))
def test_splits_hold_no_test_problem(written: dict[str, Path], name: str) -> None:
    judge, train, dev = Judge(name, {}), rows(written[name], "train"), rows(written[name], "dev")
    domain = judge.domain
    assert len(train) == N and {r["depth"] >= domain.depths[0] for r in train} == {True}
    assert len({r["id"] for r in train + dev}) == len(train) + len(dev)
    assert [r["id"] for r in train] == [p.text_key for p in problems(domain, "train", N)]  # deterministic
    assert {r["id"] for r in dev} == {p.text_key for d in domain.depths for p in domain.heldout("dev", d)}
    sealed = {p.heldout_key for d in domain.depths for p in domain.heldout("test", d)}
    for r in [*train, *dev[:: max(1, len(dev) // 40)]]:
        problem = domain.problem(r["problem"])
        assert problem.heldout_key not in sealed and r["answer"] == problem.answer
        assert r["question"] == problem.shown and r["domain"] == name
        assert domain.verify(problem, r["solution"]).correct
        assert [m["role"] for m in r["messages"]] == ["system", "user", "assistant"]
        assert judge.verdict(r["problem"], r["messages"][2]["content"]).correct
    assert not any(domain.is_heldout(domain.problem(r["problem"])) for r in train)
    with pytest.raises(ValueError, match="sealed"):
        next(problems(domain, "test", 1))


def test_names_come_with_their_meaning(written: dict[str, Path]) -> None:
    for r in rows(written["hidden_words"], "train"):
        assert r["notes"] and all(f"> {note}" in r["messages"][1]["content"] for note in r["notes"])
        assert r["prompt"].startswith("lib w")


@pytest.mark.parametrize("name", list(DOMAINS))
def test_domain_card_types(written: dict[str, Path], name: str) -> None:
    front = yaml.safe_load((written[name] / "README.md").read_text().split("---\n")[1])
    (config,) = front["configs"]
    assert {f["split"]: (written[name] / f["path"]).is_file() for f in config["data_files"]} == {
        "train": True,
        "dev": True,
    }
    names = [f["name"] for f in front["dataset_info"]["features"]]
    assert names == list(ROW) == list(FIELDS) == pq.read_schema(written[name] / "data" / "train.parquet").names
    manifest = json.loads((written[name] / "export.json").read_text())
    found = {p.relative_to(written[name]).as_posix() for p in written[name].rglob("*") if p.is_file()}
    assert set(manifest["files"]) == found - {"export.json"} and manifest["rows"]["train"] == N


@pytest.mark.parametrize("name", list(DOMAINS))
def test_environment_is_a_package(written: dict[str, Path], name: str) -> None:
    folder, package = written[name] / "environment", package_name(name)
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == package.replace("_", "-")
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["project"]["dependencies"] == [f"{own['name']}=={own['version']}", "verifiers==0.4.0"]
    source = (folder / package / "__init__.py").read_text()
    compile(source, package, "exec")
    assert "def load_environment(**options" in source and f"NAME, OPTIONS = {name!r}, {{}}" in source


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_any_reply_has_a_verdict(reply: str) -> None:
    assert isinstance(JUDGE.verdict("rev inc | 3 1 4", reply), Verdict)


def test_options_reach_domain_and_environment(tmp_path: Path) -> None:
    assert read_options(["kinds=[deduction, induction]"]) == {"kinds": ["deduction", "induction"]}
    options = read_options(["world=3", "levels=1"])
    assert options == {"world": 3, "levels": 1}
    said = export_domain("hidden_words", options, tmp_path / "out", 2)
    assert said[0].startswith("dataset: 2 problems in train, ") and said[-1] == f"wrote {tmp_path / 'out'}"
    source = (tmp_path / "out" / "environment" / "ratchet_hidden_words" / "__init__.py").read_text()
    assert "{'world': 3, 'levels': 1}" in source
    world = make_domain("hidden_words", world=3).world  # type: ignore[attr-defined]
    (first, *_) = rows(tmp_path / "out", "train")
    (name,) = {n.partition(" ")[0] for n in first["notes"]}
    assert first["notes"] == [f"{name} = {' '.join(world.bodies[name])}"]
    export_domain("hidden_words", {"levels": 1}, tmp_path / "out", 1)  # replaces an export
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").write_text("")
    for to, name, given_, says in (
        (tmp_path / "mine", "hidden_words", {}, "was not written by export"),
        (tmp_path / "new", "hidden_word", {}, "did you mean 'hidden_words'"),
        (tmp_path / "new", "hidden_words", {"wrld": 1}, "does not take these options"),
    ):
        with pytest.raises(ValueError, match=says):
            export_domain(name, given_, to, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "out"]
    for word in ("world", "world=", "wor ld=1", "world=[]", "world={a: 1}", "world={"):
        with pytest.raises(ValueError, match="not of the form"):
            read_options([word])


@pytest.mark.parametrize("name", list(DOMAINS))
def test_datasets_loads_the_export(written: dict[str, Path], name: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    found = datasets.load_dataset(str(written[name]), cache_dir=str(tmp_path))
    assert list(found) == ["train", "dev"] and found["train"].num_rows == N
    assert found["train"][0] == rows(written[name], "train")[0]


@pytest.mark.parametrize("name", list(DOMAINS))
def test_verifiers_scores_replies(written: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vf = pytest.importorskip("verifiers.v1", reason="verifiers is not installed")
    monkeypatch.syspath_prepend(str(written[name] / "environment"))
    module = importlib.import_module(package_name(name))
    (task, *rest) = module.load_environment(split="dev", num_tasks=5).taskset
    assert len(rest) == 4 and task.data.system_prompt.startswith("You are a solver")
    domain = module.JUDGE.domain
    solution = domain.solution(domain.problem(task.data.problem))
    for reply, reward in ((f"<think>hm</think>\n<answer>{solution}</answer>", 1.0), ("<answer>no</answer>", 0.0)):
        about = {"type": "RatchetTask", "data": task.data}
        trace = vf.Trace(task=about, agent=vf.AgentInfo.model_construct(), root_reply=reply)
        asyncio.run(task.score(trace))
        assert (trace.reward, trace.metrics["right_answer"]) == (reward, reward)


def test_export_domain_command(tmp_path: Path) -> None:
    done = ratchet("export-domain", "list_programs", "--to", str(tmp_path / "x"), "--n", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "dataset: 3 problems in train, 800 in dev"
