"""Untrusted files: configs, experiments, question sets, journals."""

from __future__ import annotations

import json
import shutil
from functools import cache
from typing import Any

import yaml
from hypothesis import strategies as st

from arena.config.schema import Config, load_config, make_config
from arena.config.shipped import ROOT
from arena.evals.dataset import read_set
from arena.experiments.file import load_experiment, make_cells
from arena.export.domain.write import read_options
from arena.export.library.find import resolve
from arena.run.journal import Journal
from arena.run.reconfigure import reconfigured
from arena.run.state import make_domains
from arena.run.store import Store
from tests.fuzz.base import DAMAGE, DEEP, JSON, Place, Target, answers, damaged

TINY = yaml.safe_load((ROOT / "configs" / "tiny.yaml").read_text())
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(20)
)
YAML = [
    *(
        BOMB,
        BOMB + "run: *u\n",
        "&a [*a]",
        "a: &a {b: *a}",
        "[" * 5000,
        "{a: " * 5000,
        "- " * 5000,
        "!!python/object:os.system x",
    ),
    *(
        "2001-99-99",
        "seed: 2001-99-99",
        "seed: 0x" + "f" * 5000,
        "seed: " + "9" * 6000,
        "seed: .inf",
        "? [a]\n: b",
        "? {a: b}\n: c",
    ),
    *(
        "\t",
        "%YAML 9.9\n---\n",
        "--- a\n--- b\n",
        "a: !!binary x",
        "!!set {a, b}",
        "!!omap [a: b]",
        "!!timestamp x",
        "!!float x",
    ),
    *(
        "seed: 1:2:3:4:5:6:7:8",
        "<<: [a]",
        "<<: {seed: 1}",
        "=",
        "!!int 0b" + "1" * 9000,
        "\ufeffseed: 1",
        "seed: \x00",
        "🦆: &🦆 *🦆",
    ),
]


def leaves(data: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(data, dict):
        return [path]
    return [path, *(p for k, v in data.items() for p in leaves(v, (*path, k)))][1 if not path else 0 :]


@cache
def keys() -> tuple[tuple[str, ...], ...]:
    """All keys of a config."""
    return tuple(leaves(Config().model_dump(mode="json")))


def put(data: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    below = data.get(path[0]) if isinstance(data, dict) else None
    return {**(data if isinstance(data, dict) else {}), path[0]: put(below, path[1:], value)}


def used(config: Config) -> None:
    config.to_yaml()
    make_domains(config)


def config_bytes(place: Place, value: tuple[str, tuple[Any, Any]]) -> None:
    text, (edits, end) = value
    path = place.scratch / "mine.yaml"
    path.write_bytes(damaged(text.encode("utf-8", "surrogatepass"), edits, end))
    for overrides in ([], ["seed=1"]):
        with answers(str(path)):
            used(load_config(path, overrides))
    with answers():
        load_experiment(path)


def config_values(_: Place, value: tuple[tuple[str, ...], Any]) -> None:
    path, new = value
    with answers():
        used(make_config(put(TINY, path, new)))
    with answers():
        used(make_config(json.loads(json.dumps(TINY)), [f"{'.'.join(path)}={new}"]))


def overrides(place: Place, value: list[str]) -> None:
    with answers():
        used(make_config(json.loads(json.dumps(TINY)), value))
    folder = place.scratch / "reconfigured"
    folder.mkdir(exist_ok=True)
    shutil.copy(place.run / "config.yaml", folder)
    with answers():
        used(reconfigured(folder, value))
    with answers():
        read_options(value)


EXPERIMENT = {
    "name": "mine",
    "question": "Which?",
    "base": "configs/tiny.yaml",
    "common": {"generations": 1},
    "arms": {"a": {}, "b": {"rounds.vary": 0.5}},
    "seeds": [0, 1],
    "metrics": ["final_heldout"],
    "baseline": "a",
}


def experiment(place: Place, value: tuple[str, Any]) -> None:
    key, new = value
    path = place.scratch / "experiment.yaml"
    try:
        text = yaml.safe_dump(EXPERIMENT | {key: new})
    except (yaml.YAMLError, ValueError):
        return
    path.write_text(text, encoding="utf-8", errors="replace")
    home = place.scratch / "experiments"
    with answers(str(path)):
        found = load_experiment(path)
        for cell in make_cells(found, path, home / found.name, final=False):
            assert cell.folder.resolve().is_relative_to(home.resolve())


LINES = st.one_of(
    st.dictionaries(
        st.sampled_from(["question", "answer", "checker", "domain", "problem", "id", "level", "x"]), JSON
    ).map(json.dumps),
    JSON.map(json.dumps),
    DEEP,
    st.text(max_size=40),
    st.just('{"question": "What is 2 + 2?", "answer": "4"}'),
    st.just('{"domain": "list_programs", "problem": "rev inc | 3 1 4"}'),
)


def question_sets(place: Place, value: tuple[list[str], tuple[Any, Any]]) -> None:
    lines, (edits, end) = value
    path = place.scratch / "mine.jsonl"
    path.write_bytes(damaged("\n".join(lines).encode("utf-8", "surrogatepass"), edits, end))
    with answers(str(path)):
        found = read_set(path, domains())
        assert found.levels() is not None and found.limited(1)


@cache
def domains() -> dict[str, Any]:
    return make_domains(make_config(json.loads(json.dumps(TINY))))


ENTRY = {"generation": 1, "phase": "solve", "digest": "0", "key": "k", "text": "t", "finish": "stop",
         "prompt_tokens": 1, "generated_tokens": 1, "logprob": None}  # fmt: skip


def journal(place: Place, value: tuple[list[Any], tuple[Any, Any]]) -> None:
    rows, (edits, end) = value
    path = place.scratch / "journal.jsonl"
    text = "\n".join(r if isinstance(r, str) else json.dumps(ENTRY | dict([r])) for r in rows)
    path.write_bytes(damaged(text.encode("utf-8", "surrogatepass"), edits, end))
    with answers(str(path)):
        held = Journal(path, {(1, "propose")})
        held.found("k", "0")
        held.empty()
        held.close()
        Journal(path).close()


def names(place: Place, word: str) -> None:
    """The name of a post as typed by a user."""
    store = Store(place.run / "run.db")
    try:
        with answers():
            resolve(store, word)
    finally:
        store.close()


NAMED = st.sampled_from(["seed", "run.name", "limits.money", "domains.x.share", "a.b", ".", ""]) | st.text(max_size=8)
SET = ["", "=", "=1", "=[", "=&a [*a]", "={{", "=9e999", "=../..", "=2001-99-99", "=" + "[" * 3000]
OVERRIDES = st.lists(st.tuples(NAMED, st.sampled_from(SET) | st.text(max_size=8)).map("".join), max_size=3)
BYTES = st.tuples(st.sampled_from([(ROOT / "configs" / "tiny.yaml").read_text(), *YAML]), DAMAGE)
PARTS = st.sampled_from([*EXPERIMENT, "final_seeds", "series", "marks", "zzz"])
ARMS = st.dictionaries(st.sampled_from(["..", "a", "a\n", "run.name"]), JSON, max_size=2)
ROWS = st.lists(st.tuples(st.sampled_from([*ENTRY, "unused"]), JSON) | LINES, max_size=4)
WORDS = st.text(max_size=30) | st.sampled_from(["%", "' OR 1 --", "0" * 70, "a\0", "\ud800"])
TARGETS = [
    Target("config bytes", BYTES, config_bytes, 30),
    Target("config values", st.tuples(st.deferred(lambda: st.sampled_from(keys())), JSON), config_values, 40),
    Target("overrides", OVERRIDES, overrides, 20),
    Target("experiment files", st.tuples(PARTS, JSON | ARMS), experiment, 20),
    Target("question sets", st.tuples(st.lists(LINES, max_size=4), DAMAGE), question_sets, 40),
    Target("journal", st.tuples(ROWS, DAMAGE), journal, 30),
    Target("names of posts", WORDS, names, 15),
]
