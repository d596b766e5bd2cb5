"""`eval`: a run's agents and the base model on a user's own sets, without changing the run."""

from __future__ import annotations

import csv
import fcntl
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from agents.adapters import AdapterLayout, Adapters
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.tokenizer import Tokenizer
from arena.cli.app import app
from arena.config.schema import load_config
from arena.evals.results import as_csv, as_data, write
from arena.evals.run_eval import Result, Wanted, examine
from arena.evals.sampling import requests
from arena.run.adapters import FILES, stored_adapters
from arena.run.store import Row, Store
from tests.helpers.culture_runs import define, peopled
from tests.helpers.openai_server import Reply, Server, completion

CHECK = "def check(answer):\n    return answer.split() == sorted(answer.split())"
HOSTILE = "def check(answer):\n    while True:\n        pass"
LINES = [
    {"domain": "list_programs", "problem": "rev inc | 3 1 4"},
    {"domain": "list_programs", "problem": "sort dbl neg | 9 2 5"},
    {"question": "solve dec | 3 1 think", "answer": "2 0", "level": 1},
    {"question": "solve sort | 3 1 2 think", "checker": CHECK, "level": 1},
    {"domain": "list_programs", "problem": "cum rot inc swap | 7 2 5 1"},
]
QUIET = {"listen": lambda text: None, "tell": lambda done, total: None}


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of a finished run in another folder."""
    shutil.copytree(undisturbed, tmp_path / "moved")
    return tmp_path / "moved"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return written(tmp_path / "mine.jsonl", LINES)


def written(path: Path, lines: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def ask(folder: Path, file: Path, **wanted: Any) -> Result:
    (result,) = examine(folder, [file], Wanted(**{"k": 2, **wanted}), **QUIET)
    return result


def recorded(run: Path) -> dict[int, list[Row]]:
    return stored_adapters(run, Store(run / "run.db"), load_config(run / "config.yaml")).recorded


def texts(result: Result) -> dict[tuple[str, int, int | None], str]:
    return {
        (j.reply.question.player.name, j.reply.question.item.line, j.reply.sample): j.reply.text for j in result.judged
    }


def tell(*arguments: object) -> Any:
    """Run the command line with the error handling of `main`."""
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_eval_is_reproducible_and_read_only(run: Path, mine: Path) -> None:
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and not p.name.startswith("run.db-")}
    one = ask(run, mine, agents="all")
    assert {p: p.read_bytes() for p in before} == before
    agents = [r["name"] for r in recorded(run)[3]]
    assert [p.name for p in one.selection.players] == [*agents, "base"] and one.selection.generation == 3
    found = texts(one)
    assert len(found) == len(one.judged) == len(LINES) * len(one.selection.players) * 3
    assert texts(ask(run, mine, agents="all")) == found
    asked = [j.reply.question for j in one.judged if j.reply.sample is None]
    keys = {r.key for _, _, r in requests(asked, one.options)}
    assert len(keys) == len(LINES) * 3  # the same sampling keys for all agents
    some = texts(ask(run, mine, agents=agents[1], limit=2))  # sampling does not depend on the other agents and items
    assert some and some.items() <= found.items()


def test_each_agent_uses_its_adapter(run: Path, mine: Path, base: BaseModel, tokenizer: Tokenizer) -> None:
    store, layout = Store(run / "run.db"), AdapterLayout(base.config, 4, 8.0)
    row = recorded(run)[2][0]
    name, noise = row["name"], 0.1 * torch.randn(layout.size, generator=torch.Generator().manual_seed(1))
    sha = layout.save_peft(noise, run / row["path"], "agents/seed")  # clearly different from the base model
    store.db.execute("UPDATE checkpoints SET sha256 = ? WHERE path = ?", [sha, row["path"]])
    store.close()
    engine = TorchEngine(base, tokenizer)
    engine.set_adapters(Adapters(base, layout, [name], layout.load_peft(run / row["path"])[None]))
    result = ask(run, mine, agents=name, generation=2, max_tokens=24)
    for j in result.judged:
        if j.reply.sample is None:
            adapter = name if j.reply.question.player.name == name else None
            (done,) = engine.generate([Request("x", j.reply.question.prompt, adapter, 24, 0.0)])
            assert done.text == j.reply.text
    found = texts(result)
    assert sum(found[name, line, None] != found["base", line, None] for line in range(1, len(LINES) + 1)) >= 2


def test_verdicts_by_domain_answer_and_checker(run: Path, mine: Path) -> None:
    by_line: dict[int, set[tuple[str, bool, str]]] = {}
    for j in ask(run, mine).judged:
        by_line.setdefault(j.reply.question.item.line, set()).add((j.answer, j.correct, j.reason))
    assert ("5 2 4", True, "ok") in by_line[1]
    assert all(right == (said == "2 0") for said, right, _ in by_line[3])
    assert all(right == (said.split() == sorted(said.split())) for said, right, _ in by_line[4])
    assert any(right for _, right, _ in by_line[3]) and any(right for _, right, _ in by_line[4])


def test_result_files_are_complete_and_equal(run: Path, mine: Path, tmp_path: Path) -> None:
    result = ask(run, mine)
    paths = write(result, tmp_path / "out")
    assert [p.name for p in paths] == [f"mine-g3.{kind}" for kind in ("json", "csv", "png", "svg")]
    data = json.loads(paths[0].read_text())
    assert data["set"]["items"] == 5 and data["generation"] == 3 and data["replies"] == len(result.judged)
    assert {d["minus"] for d in data["differences"]} == {"base"}
    rows = list(csv.DictReader(paths[1].open(newline="")))
    assert len(rows) == len(result.judged) and {r["player"] for r in rows} == {"base", data["agents"][0]}
    greedy = [int(r["correct"]) for r in rows if r["player"] == "base" and r["sample"] == "greedy"]
    shown = next(r for r in data["rows"] if r["who"] == "base" and r["level"] == "all")
    assert shown["greedy"]["mean"] == sum(greedy) / len(greedy)
    again = ask(run, mine)
    assert as_data(again) == data and as_csv(again) == paths[1].read_text()


def test_contaminated_items_leave_clean_score(run: Path, tmp_path: Path) -> None:
    store = Store(run / "run.db")
    sql = "SELECT DISTINCT text FROM problems WHERE valid AND domain = 'list_programs' LIMIT 2"
    known = [{"domain": "list_programs", "problem": r["text"]} for r in store.query(sql)]
    result = ask(run, written(tmp_path / "known.jsonl", [*known, *LINES]))
    assert set(result.met) == {1, 2} and result.scores.row("base", "clean")["items"] == len(LINES)
    from arena.evals.display import findings

    assert any("2 of 7 items had occurred in the run (2 set as a problem" in line for line in findings(result))


def test_hostile_and_broken_checkers(run: Path, tmp_path: Path) -> None:
    result = ask(run, written(tmp_path / "bad.jsonl", [{"question": "solve rev | 1 2 think", "checker": HOSTILE}]), k=1)
    assert not any(j.correct for j in result.judged) and as_data(result)["checker_failures"]["time"] >= 2
    for code, says in (("def check(answer) return", "syntax"), ("def chek(answer):\n    return True", "no function")):
        with pytest.raises(ValueError, match=rf"broken\.jsonl line 1: the checker .*{says}"):
            ask(run, written(tmp_path / "broken.jsonl", [{"question": "x", "checker": code}]))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"generation": 1}, "no adapters of generation 1 .* retention removed .* there are those of generation 2, 3"),
        ({"agents": "nobody"}, "generation 3 has no agent 'nobody'"),
        ({"agents": "99"}, "--agents 99: there are 3 agents in generation 3"),
        ({"agents": ","}, "--agents is empty"),
        ({"max_tokens": 5000}, r"mine\.jsonl line 1: .*exceed the model's .*5 lines are too long"),
    ],
)
def test_wrong_options_name_the_right_ones(wanted: dict[str, Any], says: str, run: Path, mine: Path) -> None:
    with pytest.raises(ValueError, match=says):
        ask(run, mine, **wanted)


def test_playing_or_damaged_run_is_refused(run: Path, mine: Path) -> None:
    with open(run / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="is being played by another process"):
            ask(run, mine)
    row = recorded(run)[3][0]
    weights = run / row["path"] / FILES[1]
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match="is not what the run wrote"):
        ask(run, mine, agents=row["name"])


def test_reading_and_weights_are_separate_arms(tmp_path: Path) -> None:
    with peopled(tmp_path, "still", "sleep.enabled=false", generation=1) as arena:
        name = "w0"
        define(arena, 1, arena.state.living[0], name)
        with arena.store.transaction():
            arena.store.insert({"phases": [{"generation": 1, "phase": "measure"}]})
    file = written(
        tmp_path / "words.jsonl", [{"domain": "hidden_words", "problem": f"{name} | {x} 1 4"} for x in range(6)]
    )
    result = ask(tmp_path / "still", file, library=True)
    assert result.scores.arms == ("model", "model, reading")
    notes = {j.reply.question.player.reads: j.reply.question.notes for j in result.judged}
    assert notes[False] == () and notes[True][0].startswith(f"{name} = ")
    found = result.scores.difference("model, reading", "model")
    assert found and found["greedy"]["mean"] > 0.5 and found["greedy"]["low"] > 0


def test_server_model_answers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    said: list[str] = []
    with Server(lambda path, body, before: Reply(completion("of course, answer 2 0"))) as server:
        to = ["engine.kind=openai", f"engine.openai.url={server.url}", "engine.openai.model=seed"]
        to += ["limits.prices={prompt: 0, generated: 1000}"]
        with peopled(tmp_path, "served", *to, generation=1) as arena, arena.store.transaction():
            arena.store.insert({"phases": [{"generation": 1, "phase": "measure"}]})
        (result,) = examine(tmp_path / "served", [mine], Wanted(k=2), said.append, QUIET["tell"])
        assert [p.name for p in result.selection.players] == ["model"] and sum(server.served.values()) == len(LINES) * 3
    assert {j.reply.question.item.line for j in result.judged if j.correct} == {3}
    assert any("all agents are the same model, which runs on a server" in s for s in said)
    assert any("15 requests (5 items, 1 player, 3 answers each); at most" in s for s in said)
    assert any(s.endswith(", 1.68 USD") for s in said)  # 15 answers of 112 tokens


def test_chat_wording_and_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    said = "<think>Is the answer 5?</think>It is <answer>forty two</answer> or <answer>\n42.0\n</answer>."
    message = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9}}
    file = written(
        tmp_path / "talk.jsonl",
        [
            {"question": "What is 6 times 7?", "answer": "42", "system": "You reckon."},
            {"domain": "list_programs", "problem": "rev inc | 3 1 4"},
        ],
    )
    with Server(lambda path, body, before: Reply(message)) as server:
        to = ["engine.kind=openai", f"engine.openai.url={server.url}", "engine.openai.model=seed"]
        chat = ["engine.openai.api=chat", "prompts.style=chat", "prompts.personas=[You are grim.]"]
        with peopled(tmp_path, "talks", *to, *chat, generation=1) as arena, arena.store.transaction():
            arena.store.insert({"phases": [{"generation": 1, "phase": "measure"}]})
        result = ask(tmp_path / "talks", file, k=1)
    assert [(j.reply.question.item.line, j.correct, j.answer) for j in result.judged if j.reply.sample is None] == [
        (1, True, "42.0"),
        (2, False, ""),
    ]
    wordings = {tuple(m["content"] for m in body["messages"]) for body in server.bodies if "messages" in body}
    assert len(wordings) == 2 and not any("grim" in text for texts in wordings for text in texts)
    (asked,) = [texts for texts in wordings if texts[-1] == "What is 6 times 7?"]
    assert asked[0].startswith("You reckon.\n") and "<answer>" in asked[0]


def test_eval_command_table_and_json(run: Path, mine: Path) -> None:
    done = tell("eval", run, mine, "--k", "2", "--agents", "all")
    assert done.exit_code == 0, done.output
    assert "mine: pass@1, greedy" in done.output and "agents - base" in done.output and "agent by agent" in done.output
    assert (run / "eval" / "mine-g3.csv").is_file()
    done = tell("eval", run, mine, "--k", "1", "--json", "--out", run / "elsewhere")
    assert [s["set"]["name"] for s in json.loads(done.stdout)["sets"]] == ["mine"]
    assert (run / "elsewhere" / "mine-g3.png").is_file()


def test_wrong_command_leaves_no_files(run: Path, tmp_path: Path) -> None:
    for arguments in ((tmp_path / "nowhere", "x.jsonl"), (run, tmp_path / "x.jsonl")):
        done = tell("eval", *arguments)
        assert isinstance(done.exception, ValueError) and "\n" not in str(done.exception)
    assert not (run / "eval").exists()
