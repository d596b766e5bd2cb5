"""The reference of config keys: complete, the same on the page as on the command line, and a config of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from arena.config.reference import NAMED, entries, explained_yaml, lines, markdown
from arena.config.schema import Config, load_config, make_config
from arena.config.shipped import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def test_page_is_generated() -> None:
    """After a change of a key: `python -c "from arena.config.reference import markdown; print(markdown(), end='')"`."""
    assert (ROOT / "docs" / "config_reference.md").read_text(encoding="utf-8") == markdown()


def test_every_key_is_documented() -> None:
    found = entries()
    assert not [e.key for e in found if len(e.text) < 10]
    assert len({e.key for e in found}) == len(found) > 130

    def dotted(data: object, at: str = "") -> list[str]:
        if not isinstance(data, dict) or not data or at in ("library.most", "engine.openai.extra", "sleep.exercises"):
            return [at]
        below = {NAMED if at == "domains" else k: v for k, v in data.items()}
        return [key for k, v in below.items() for key in dotted(v, f"{at}.{k}" if at else k)]

    assert set(dotted(Config().model_dump(mode="json"))) <= {e.key for e in found}


def test_lines_of_one_key() -> None:
    assert lines("rounds.vary") == [
        "rounds.vary: number, at least 0 and at most 1; default 0.75",
        "    Share of proposals that vary a parent problem from the library.",
    ]
    assert lines("limits.requests")[0] == "limits.requests: integer or null, at least 1; default null"
    assert lines("rewards.setter")[0] == (
        "rewards.setter: one of variance, inverse, or an import path; default variance"
    )
    assert lines("cluster.address")[0] == "cluster.address: one of '', auto, local, inline; default ''"


def test_lines_of_a_section_and_of_all() -> None:
    store = lines("store")
    assert store[0].startswith("[store] ") and sum(line.startswith("store.") for line in store) == 3
    assert "\n".join(store) in "\n".join(lines())
    assert all(len(line) <= 120 for line in lines())


@pytest.mark.parametrize(("key", "near"), [("library.forgett", "library.forget"), ("slep.rank", "sleep.rank")])
def test_unknown_key_names_the_nearest(key: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"unknown key {key!r}; did you mean {near!r}"):
        lines(key)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_explained_yaml_is_the_same_config(path: Path) -> None:
    config = load_config(path)
    text = explained_yaml(config)
    assert make_config(yaml.safe_load(text)) == config
    assert "# Share of proposals" in text or "Share of proposals that vary" in text
