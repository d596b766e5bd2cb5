"""Promises of docs/security.md that no other test covers: no unpickling, no objects from YAML, no control characters on
the terminal, limits on templates and servers, and no code execution from run.db."""

from __future__ import annotations

import ast
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

import agents.template_worker
from agents.prompt import Chat
from agents.template import ChatTemplate
from arena.cli.app import app, one_line
from arena.config.bounded_yaml import yaml_data
from arena.config.schema import load_config
from arena.run.integrity import DamagedError
from tests.test_architecture import TREES, called


def test_loaders_never_execute_code():
    """Only safetensors are loaded: torch and numpy can unpickle, YAML can construct objects, and model folders can
    contain code."""
    loads = {
        "torch.load",
        "np.load",
        "numpy.load",
        "yaml.load",
        "yaml.full_load",
        "yaml.unsafe_load",
        "pandas.read_pickle",
    }
    found = [
        f"{path}:{node.lineno} {called(node)}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node) in loads
    ]
    assert not found
    trusted = [
        f"{path}:{node.value.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle")
        if not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert not trusted


def test_stored_paths_are_checked():
    """`folder / row["path"]` would follow any path in a database."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and "['path']" in ast.unparse(node.right)
    ]
    assert not found


BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [x]\n" + "".join(f"b{i}: &b{i} [*{'a' if not i else f'b{i - 1}'}, *a, *a]\n" for i in range(3)), None),
        (
            "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
            "more than",
        ),
        ("&a [*a]", "more than"),
        ("[" * 2000, "deep"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("x: !!timestamp 2001-99-99", "month"),
        ("x" * 1_000_001, "letters"),
    ],
)
def test_yaml_is_bounded_plain_data(text: str, says: str | None) -> None:
    if says is None:
        assert yaml_data(text)
        return
    with pytest.raises(ValueError, match=says):
        yaml_data(text)


def test_yaml_bomb_in_config(tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(BOMB)
    with pytest.raises(ValueError, match=r"bomb\.yaml"):
        load_config(path)


def test_errors_have_no_control_characters() -> None:
    assert one_line(ValueError("a\x1b[2J\nb\u202ec")) == "a [2J b c"
    assert len(one_line(ValueError("x" * 10**6))) < 2100
    assert one_line(ValueError("")) == "ValueError"


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{{ messages[-1].content }}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}",
        "{{ 'x'.ljust(10 ** 11) }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
    ],
)
def test_template_limits(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that exceeds time or memory gives a one-line error, and the next template works."""
    ChatTemplate("{{ messages[-1].content }}", "good", {})  # starts the process
    monkeypatch.setattr(agents.template_worker, "TIMEOUT", 1.0)
    with pytest.raises(ValueError, match="the chat template in bad"):
        ChatTemplate(source, "bad", {}).render(Chat("", "hello", "", False))
    monkeypatch.setattr(agents.template_worker, "TIMEOUT", 60.0)
    assert ChatTemplate("{{ messages[-1].content }}!", "good", {}).render(Chat("", "hi", "", False)).text.endswith("!")


STRANGE = {
    "view": "DROP TABLE rewards; CREATE VIEW rewards AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r)"
    " SELECT n generation FROM r",
    "trigger": "CREATE TRIGGER t AFTER INSERT ON control BEGIN DELETE FROM rounds; END",
    "lacks the table": "DROP TABLE agents",
    "lacks the column": "ALTER TABLE rounds RENAME COLUMN domain TO realm",
    "computes": "DROP TABLE collapse; CREATE TABLE collapse (generation, agent, perplexity, tail_mass, distinct_2,"
    " depth, entropy AS (1))",
    "descends from": "UPDATE agents SET parents = json_array(name)",
    "phases are of": "UPDATE phases SET generation = generation + 1000000000",
    "generation 4611686018427387904": "UPDATE evaluations SET generation = 4611686018427387904",
}


@pytest.mark.parametrize("says", STRANGE)
def test_foreign_run_db_is_refused(undisturbed: Path, tmp_path: Path, says: str) -> None:
    for command in (["digest"], ["analyze"], ["resume"], ["watch"]):
        run = tmp_path / command[0]
        shutil.copytree(undisturbed, run)
        with sqlite3.connect(run / "run.db") as db:
            db.executescript(STRANGE[says])
        done = CliRunner().invoke(app, [*command, str(run)])
        assert isinstance(done.exception, ValueError) and says in str(done.exception), done.exception
        assert str(run / "run.db") in str(done.exception)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE problems SET depth = 'deep'", "table problems.*, column depth"),
        ("UPDATE attempts SET notes = '{'", "table attempts, row 1, column notes"),
        ("UPDATE rounds SET solvers = x'ff'", "table rounds, row 1, column solvers"),
        ("UPDATE problems SET features = '[1]'", "table problems, row 1, column features"),
    ],
)
def test_damaged_row_is_named(undisturbed: Path, tmp_path: Path, damage: str, says: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    with sqlite3.connect(run / "run.db") as db:
        db.execute(damage)
    exceptions = [
        CliRunner().invoke(app, words).exception
        for words in (["analyze", str(run), "--no-plots"], ["export", str(run)], ["library", str(run), "tree", "w1"])
    ]
    assert all(e is None or isinstance(e, ValueError) for e in exceptions), exceptions
    assert any(re.search(says, str(e)) for e in exceptions), exceptions


def test_other_file_is_not_modified(undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(undisturbed / "config.yaml", run)
    with sqlite3.connect(run / "run.db") as db:
        db.execute("CREATE TABLE bookmarks (url)")
    before = (run / "run.db").read_bytes()
    for command in ("digest", "resume", "analyze"):
        assert isinstance(CliRunner().invoke(app, [command, str(run)]).exception, ValueError)
    assert (run / "run.db").read_bytes() == before


def test_incomplete_run_is_not_resumed(undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    with sqlite3.connect(run / "run.db") as db:
        db.execute("DELETE FROM outcomes")
    done = CliRunner().invoke(app, ["resume", str(run)])
    assert isinstance(done.exception, DamagedError)
    assert f"{run}/run.db cannot be read: table outcomes lacks the round" in str(done.exception)
