"""A domain, payment rule, engine, sink and kind of post of a user's own, in a module outside this repository, are named
by import path and need no change here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from arena.config.schema import make_config
from arena.config.shipped import ROOT
from arena.run.store import Store
from culture.kinds import POST_KINDS

MODULE = '''
import hashlib
import json
import re

from agents.engine import Completion
from agents.engine_spec import EngineSpec
from culture.kinds import PostKind
from culture.posts import Post
from curricula.learnability import PaymentRule
from small_sums import SmallSums

RULE = PaymentRule("cautious", lambda p: p * (1 - p), "p(1-p)", "You are paid little", "little")
NOT_A_RULE = 3


def dice(key, sides):
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % sides


class Sums:
    """Adds, and is wrong at times."""

    def __init__(self, wrong):
        self.wrong = wrong

    def generate(self, requests):
        found = []
        for r in requests:
            numbers = re.findall(r"\\d+", str(r.prompt))
            if str(r.prompt).startswith("propose"):
                text = f"add {dice(r.key + 'a', 1000)} {dice(r.key + 'b', 1000)}"
            else:
                text = f"answer {int(numbers[-2]) + int(numbers[-1]) + (dice(r.key, 10) < self.wrong)}"
            found.append(Completion(r.key, text, "stop", len(numbers), 2, float("nan")))
        return found

    def set_adapters(self, adapters):
        raise AssertionError("nothing is trained")

    def count_tokens(self, text):
        return len(text.split())


def open_engine(config, base, tokenizer, folder):
    assert base is tokenizer is folder is None
    return Sums(**config.engine.options)


ENGINE = EngineSpec("sums", open_engine, has_weights=False, version="sums 1")


class JsonLines:
    def __init__(self, folder):
        self.path = folder / "scalars.jsonl"

    def scalars(self, generation, values):
        with self.path.open("a") as file:
            file.write(json.dumps([generation, sorted(values)]) + "\\n")

    def text(self, generation, name, text): ...

    def close(self): ...


def write(state, shelves):
    for r in state.generation.rounds:
        if r.problem is not None and r.solve_rate == 1.0:
            body = "everybody solves this" if int(r.id[-1]) % 2 else "untrue"
            yield Post("hint", r.author, state.generation.index, r.problem.text, body, (), f"{r.domain.name}/{r.id}")


def check(post, domain):
    return None if post.body != "untrue" else "untrue, for once"


HINT = PostKind("hint", "Hints.", most=2, write=write, check=check)
'''
CONFIG = """
run: {name: mine, folder: FOLDER}
generations: 3
domains: {"small_sums:SmallSums": {share: 1.0}}
population: {agents: 3}
engine: {kind: "mine:ENGINE", threads: 1, options: {wrong: 2}}
rounds: {per_agent: 5, solvers: 2, attempts: 2, grade: 0.5, vary: 0.2}
rewards: {setter: "mine:RULE"}
library: {kinds: [worked_example, "mine:HINT"]}
turnover: {every: 2, window: 2, inherit: nothing}
measure: {per_depth: 1, final_per_depth: 2, passes: 1}
sinks: ["mine:JsonLines"]
"""
EXPERIMENT = """
name: own
question: Does it run?
base: CONFIG
arms: {cautious: {}, plain: {rewards.setter: variance}}
baseline: plain
seeds: [0]
final_seeds: [100]
metrics: [learnable_per_generation]
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the user's modules and config."""
    folder = tmp_path_factory.mktemp("user")
    source, *_ = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "add_a_domain.md").read_text(), re.M | re.S)
    (folder / "small_sums.py").write_text(source)
    (folder / "mine.py").write_text(MODULE)
    (folder / "mine.yaml").write_text(CONFIG.replace("FOLDER", str(folder / "runs")))
    return folder


@pytest.fixture
def importable(user: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(user)
    yield user
    for name in ("mine", "small_sums"):
        sys.modules.pop(name, None)
    POST_KINDS.pop("hint", None)


def ratchet(user: Path, *arguments: str, code: int = 0) -> str:
    """What the command line prints, started in the user's folder with their modules on the path."""
    env = os.environ | {"PYTHONPATH": f"{user}{os.pathsep}{ROOT}"}
    command = [sys.executable, str(ROOT / "run_arena.py"), *arguments]
    done = subprocess.run(command, cwd=user, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_run_of_them_all(user: Path) -> None:
    """It is played, stopped and resumed; its library is verified, analysed and exported."""
    dry = ratchet(user, "run", "mine.yaml", "--dry-run")
    assert "mine:RULE" in dry and "a server's model cannot be trained" in dry
    assert "requests" in ratchet(user, "run", "mine.yaml", "-q", "limits.requests=150")
    run = user / "runs" / "mine"
    ratchet(user, "resume", str(run), "-q", "limits.requests=100000")
    store = Store(run / "run.db")
    assert {r["domain"] for r in store.query("SELECT DISTINCT domain FROM problems")} == {"small_sums"}
    paid = {r["setter_reward"] for r in store.query("SELECT setter_reward FROM outcomes WHERE solve_rate = 0.75")}
    assert paid == {0.1875}  # p(1-p), where variance pays 0.75
    assert store.query("SELECT COUNT(*) AS n FROM posts WHERE kind = 'hint'")[0]["n"] > 0
    refused = store.query("SELECT DISTINCT reason FROM refusals")
    assert {"reason": "untrue, for once"} in refused
    assert store.meta()["engine"] == "sums 1"
    store.close()
    told = [json.loads(line) for line in (run / "mine.JsonLines" / "scalars.jsonl").read_text().splitlines()]
    assert {generation for generation, _ in told} == {0, 1, 2, 3}
    ratchet(user, "run", "mine.yaml", "-q", "run.name=whole")
    assert ratchet(user, "digest", str(run)) == ratchet(user, "digest", str(user / "runs" / "whole"))
    ratchet(user, "library", str(run), "verify")
    ratchet(user, "analyze", str(run))
    ratchet(user, "export", str(run))
    hint = next((user / "runs" / "mine").rglob("hints.md")).read_text()
    assert "everybody solves this" in hint and hint.startswith("# Hints\n\nHints.")


@pytest.mark.slow
def test_cells_of_an_experiment(user: Path) -> None:
    (user / "own.yaml").write_text(EXPERIMENT.replace("CONFIG", str(user / "mine.yaml")))
    ratchet(user, "experiment", "own.yaml")
    results = json.loads(next(user.rglob("results.json")).read_text())
    assert set(results["arms"]) == {"cautious", "plain"}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("rewards.setter=mine:RULES", "'mine:RULES': 'mine' has no attribute 'RULES'; did you mean 'RULE'?"),
        (
            "rewards.setter=mine:NOT_A_RULE",
            "expected an object of type curricula.learnability.PaymentRule, found a",
        ),
        (
            "rewards.setter=mien:RULE",
            "'mien:RULE': module 'mien' is not found; install it, or add",
        ),
        ("rewards.setter=varience", "unknown payment rule 'varience'; did you mean 'variance'?"),
        ("rewards.setter='mine:'", "is not an import path of the form 'package.module:Name'"),
        ("engine.kind=mine:RULE", "expected an object of type agents.engine_spec.EngineSpec, found a PaymentRule"),
        ("engine.kind=broken:ENGINE", "importing 'broken' failed: ZeroDivisionError: division by zero"),
        ("engine.kind=subprocess:Popen", "found the class Popen"),
        ("sinks=[mine:Sums]", "class Sums lacks scalars, text, close"),
        ("sinks=[shutil:rmtree]", "expected a class with the methods scalars, text, close, found a function"),
        ("domains={'mine:Sums': {}}", "class Sums lacks propose_prompt, parse_proposal"),
        ("domains={'subprocess:Popen': {args: [ls]}}", "class Popen lacks propose_prompt"),
        ("library.kinds=[mine:RULE]", "expected an object of type culture.kinds.PostKind, found a PaymentRule"),
        ("library.kinds=[recipe]", "unknown kind of post 'recipe'"),
    ],
)
def test_errors_name_the_key_and_the_text(override: str, says: str, importable: Path) -> None:
    (importable / "broken.py").write_text("1 / 0")
    with pytest.raises(ValueError) as error:
        make_config({}, [override])
    told = str(error.value)
    assert says in told and override.partition("=")[0] in told and "\n" not in told


def test_setters_are_shown_the_sentence_of_their_rule(importable: Path) -> None:
    """Every rule says what it pays; only `variance` says that half of the attempts should succeed."""
    from arena.rounds.roles import setter
    from arena.rounds.roles.voice import make_voice
    from curricula.list_programs import ListPrograms

    said = {}
    for rule in ("variance", "inverse", "mine:RULE"):
        config = make_config({}, ["prompts.style=chat", f"rewards.setter={rule}"])
        said[rule] = str(setter.ask(make_voice(config, lambda agent: 0), ListPrograms(), "ada", None))
    assert "You are paid most when about half of their attempts solve it: a problem that everybody" in said["variance"]
    assert "half" not in said["inverse"] and "You are paid more the fewer of their attempts solve it" in said["inverse"]
    assert "agents. You are paid little, and one that is not in the asked form costs you." in said["mine:RULE"]
