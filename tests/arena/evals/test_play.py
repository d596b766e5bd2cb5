"""`play` through a pipe: solving, setting, messages for invalid input, leaving early, every domain."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.cells import cell_len
from rich.console import Console

from arena import loop
from arena.config.schema import load_config
from arena.config.shipped import ROOT
from arena.evals.play.game import Game
from arena.evals.play.person import play_person
from arena.evals.play.run_agents import open_agents
from arena.evals.play.terminal import Quit, Terminal
from arena.run.state import Arena
from arena.run.store import Store
from curricula.registry import DOMAINS, make_domain
from tests.helpers.command import ratchet
from tests.helpers.openai_server import Reply, Server, completion
from tests.helpers.scripted_agents import PERSONAS, ScriptedAgents


class Typed:
    """Lines that a person types; `out` collects the screen."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines, self.out = list(lines), io.StringIO()

    def __call__(self) -> str:
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    @property
    def terminal(self) -> Terminal:
        return Terminal(self, self.out)


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(undisturbed, tmp_path / "run"))


def play_game(
    run: Path, typed: Typed, rounds: int = 2, domain: str | None = None, seed: int = 0, agents: int = 4
) -> Path:
    store = Store(run / "run.db")
    try:
        return play_person(run, store, load_config(run / "config.yaml"), domain, rounds, agents, seed, typed.terminal)
    finally:
        store.close()


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answers(run: Path, rounds: int, domain: str | None = None) -> list[str]:
    """The right answers of the game with seed 0."""
    store = Store(run / "run.db")
    game = Game(open_agents(run, store, load_config(run / "config.yaml"), 4, domain), 0)
    found = [p.problem.answer for p in game.problems(rounds)]
    store.close()
    return found


def test_person_solves_sets_and_scores(run: Path) -> None:
    before = hashlib.sha256((run / "run.db").read_bytes()).hexdigest()
    first, _ = answers(run, 2)
    typed = Typed(["hint", first, "nonsense", "foo", "[bold]rev[/] | 1 2", "rev inc | 3 1 4", "dbl | 0 1"])
    path = play_game(run, typed)
    assert path == run / "play" / "0001.jsonl"
    said = typed.out.getvalue()
    assert "The answer is right (only the answer)." in said and "Wrong: no answer." in said
    assert "Not a valid problem: malformed (expected 'program | digits', got 'foo')." in said
    assert "Not a valid problem: unknown name ([bold]rev[/])." in said
    found = events(path)
    assert [e["event"] for e in found] == ["game", "solved", "solved", "rejected", "rejected", "set", "set", "score"]
    assert found[1]["hinted"] and not found[2]["hinted"]
    one = found[5]
    share = sum(t["right"] for t in one["tries"]) / len(one["tries"])
    assert len(one["tries"]) == 6 and one["pay"] == 4 * share * (1 - share)
    score = found[-1]["players"]
    assert score["you"]["right"] == 1 and score["you"]["tried"] == 2 and len(score["you"]["pay"]) == 2
    assert all(score[a]["tried"] >= 1 for a in found[0]["agents"])
    assert "Score" in said and "the agents" in said
    assert hashlib.sha256((run / "run.db").read_bytes()).hexdigest() == before


def test_game_depends_on_the_seed(run: Path) -> None:
    lines = ["1", "rev inc | 3 1 4"]
    first, second = (events(play_game(run, Typed(lines), rounds=1)) for _ in range(2))
    assert first == second and (run / "play" / "0002.jsonl").is_file()
    other = events(play_game(run, Typed(lines), rounds=1, seed=1))
    assert other[1]["problem"] != first[1]["problem"]


def test_names_come_with_definitions(run: Path) -> None:
    typed = Typed(["hint", "1", "w0 rev | 1 2 3"])
    found = events(play_game(run, typed, rounds=1, domain="hidden_words"))
    assert found[1]["problem"].startswith("w") or " w" in found[1]["problem"]
    assert [e["event"] for e in found] == ["game", "solved", "set", "score"]


@pytest.mark.parametrize("lines", [[], ["quit"], ["1", " EXIT "], ["1", "rev"], ["```", "several", "lines"]])
def test_person_may_leave_at_any_time(run: Path, lines: list[str]) -> None:
    typed = Typed(lines)
    found = events(play_game(run, typed, rounds=1))
    assert "left" in [e["event"] for e in found] and "You left the game." in typed.out.getvalue()
    assert ("Score" in typed.out.getvalue()) == (found[-1]["event"] == "score") == (len(lines) == 2)


def test_three_invalid_problems_cost_the_penalty(run: Path) -> None:
    domain = Game(open_agents(run, Store(run / "run.db"), load_config(run / "config.yaml"), 2, None), 0).domain
    heldout = domain.heldout("test", 4)[0].text
    found = events(play_game(run, Typed(["1", "x", heldout, "rev rev | 1 2"]), rounds=1))
    assert [e["reason"] for e in found if e["event"] == "rejected"] == ["malformed", "held-out", "no-op"]
    assert heldout not in json.dumps(found) and found[-1]["players"]["you"]["pay"] == [-0.25]


def test_multiline_input_and_control_characters() -> None:
    typed = Typed(["```", "def f(x):", "    return quit", "quit", "```", "\ud800", "quit"])
    terminal = typed.terminal
    assert terminal.ask() == "def f(x):\n    return quit\nquit"
    assert terminal.ask() == "?"
    with pytest.raises(Quit):
        terminal.ask()
    terminal.say("\x1b[2J[red]no[/red]\u202e")
    terminal.table("t", ("[b]", "x"), [("[red]\x07", "1")])
    assert "\\x1b[2J[red]no[/red]\\u202e" in typed.out.getvalue() and "[red]\\x07" in typed.out.getvalue()


def test_play_errors(run: Path, empty: Path) -> None:
    with pytest.raises(ValueError, match="has no domain 'hidden_word'; did you mean 'hidden_words'"):
        play_game(run, Typed([]), domain="hidden_word")
    with pytest.raises(ValueError, match="has no agents yet"):
        play_game(empty, Typed([]))
    shutil.rmtree(run / "adapters")
    with pytest.raises(ValueError, match=r"no adapters of generation 3 .* missing \(adapters/g0003/.* there are none"):
        play_game(run, Typed(["1"]), rounds=1)


def test_play_against_a_server_model(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    hostile = "[red]\x1b]0;x\x07 rev | 1"
    with Server(lambda path, body, before: Reply(completion(hostile))) as server:
        config = load_config(run / "config.yaml").to_yaml()
        made = load_config(run / "config.yaml", ["engine.kind=openai", f"engine.openai.url={server.url}",
                           "engine.openai.model=seed", "sleep.enabled=false"])  # fmt: skip
        assert config != made.to_yaml()
        (run / "config.yaml").write_text(made.to_yaml(), encoding="utf-8")
        typed = Typed([*"123456", "rev inc | 3 1 4"])
        found = events(play_game(run, typed, rounds=6, agents=2))
    at_the_table, authors = found[0]["agents"], {e["author"] for e in found if e["event"] == "solved"}
    assert len(at_the_table) == 2 and authors - set(at_the_table)  # an author of a stored problem need not be a player
    assert authors <= set(found[-1]["players"])
    assert not found[1]["now"] and "once set" in typed.out.getvalue()  # the proposals were invalid
    assert found[7]["pay"] == 0.0 and "\x1b" not in typed.out.getvalue()


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of one generation in all domains, by careful, sloppy and hostile agents; the server keeps running."""
    folder, domains = tmp_path_factory.mktemp("careless"), {name: make_domain(name) for name in DOMAINS}
    with Server(ScriptedAgents(domains)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        shares = ", ".join(f"{name}: {{share: {1 / len(DOMAINS)}}}" for name in DOMAINS)
        given = [
            f"run.folder={folder}", "generations=1", f"domains={{{shares}}}", "engine.kind=openai",
            "engine.openai.model=seed", f"engine.openai.url={server.url}", "engine.openai.api=chat",
            "prompts.style=chat", f"prompts.personas={json.dumps(PERSONAS)}", "rounds.per_agent=4",
            "rounds.max_tokens=512", "sleep.enabled=false", "measure.final_per_depth=1", "turnover.every=0",
        ]  # fmt: skip
        base = yaml.safe_load((ROOT / "configs" / "tiny.yaml").read_text())
        base.pop("domains"), base.pop("sleep"), base.pop("turnover")
        (folder / "c.yaml").write_text(yaml.safe_dump(base))
        with Arena.create(load_config(folder / "c.yaml", given)) as arena:
            loop.play(arena)
        yield folder / "tiny"


@pytest.mark.parametrize("name", list(DOMAINS))
def test_play_in_every_domain(careless: Path, name: str) -> None:
    domain = make_domain(name)
    if hasattr(domain, "world"):
        domain = make_domain(name, world=load_config(careless / "config.yaml").seed)
    store = Store(careless / "run.db")
    game = Game(open_agents(careless, store, load_config(careless / "config.yaml"), 3, name), 5)
    solutions = [domain.solution(p.problem) for p in game.problems(3)]
    store.close()
    mine = domain.random_problem(random.Random(1)).text
    lines = [line for text in [*solutions, "[/]", mine, mine] for line in ("```", *text.split("\n"), "```")]
    typed = Typed(lines)
    found = events(play_game(careless, typed, rounds=3, domain=name, seed=5))
    said = typed.out.getvalue()
    assert said.count("\nRight.") == 3 and "\x1b" not in said and "\u202e" not in said
    assert found[-1]["players"]["you"]["right"] == 3 and [e["event"] for e in found].count("set") == 2
    assert found[-2]["event"] == "left"  # before the third
    assert not domain.is_heldout(domain.problem(found[1]["problem"]))


def test_play_command_through_a_pipe(run: Path) -> None:
    done = ratchet("play", str(run), "--rounds", "1", "--agents", "2", given="1\nquit\n")
    assert done.returncode == 0, done.stderr
    assert "You left the game." in done.stdout and "Score" in done.stdout and not done.stderr


TEXT = "A worked example explains how the list 3 1 4 is reversed and incremented, 日本語の説明 と 한국어 문장 too. " * 3
"""Words of one and of two columns a character; none is longer than 20 columns."""


@pytest.mark.parametrize("width", [40, 80, 120])
def test_lines_break_between_words(width: int) -> None:
    out = io.StringIO()
    at = Terminal(read=lambda: "", out=out)
    at.console = Console(file=out, force_terminal=True, width=width, highlight=False, color_system=None)
    at.say(TEXT)
    lines = out.getvalue().splitlines()
    assert len(lines) > 2 and all(cell_len(line) <= width for line in lines)
    assert [word for line in lines for word in line.split()] == TEXT.split()


def test_pipe_gets_whole_lines() -> None:
    out = io.StringIO()
    Terminal(read=lambda: "", out=out).say(TEXT)
    assert out.getvalue() == TEXT + "\n"
