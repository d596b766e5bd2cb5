"""Overrides and YAML files mean what their text says: nothing is cut off, converted or lost without an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arena.config.bounded_yaml import yaml_data
from arena.config.schema import load_config, make_config

TEXTS = [
    "out/exp #3",
    "@cf/meta/llama-3",
    "12:30",
    "1:2:3.5",
    "2026-01-01",
    "2026-01-01 10:00:00",
    "no",
    "null",
    "007",
    "1e3",
    "0x10",
    "a: b",
    "- a",
    "[a]",
    "{a",
    "*a",
    "&a",
    "!a",
    "%a",
    "`a`",
    "=",
    "a=b",
    '"a" or "b"',
    "'",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_override_is_taken_as_written(text: str, tmp_path: Path) -> None:
    config = make_config({}, [f"engine.openai.model={text}", f"run.folder={text}", f"cluster.address={''}"])
    assert (config.engine.openai.model, config.run.folder) == (text, text)
    copy = tmp_path / "config.yaml"
    copy.write_text(config.to_yaml())
    assert load_config(copy) == config


@pytest.mark.parametrize(("text", "read"), [('"out/exp #3"', "out/exp #3"), ("'it''s'", "it's"), ('"12:30"', "12:30")])
def test_quotes_around_text_are_removed(text: str, read: str) -> None:
    assert make_config({}, [f"engine.openai.model={text}"]).engine.openai.model == read


def test_choices_are_text_and_the_rest_is_yaml() -> None:
    given = ["review.mode=off", "sinks=[]", "domains={list_programs: {share: 1}}", "engine.openai.extra.top_k=40"]
    config = make_config({}, [*given, "engine.openai.extra.day=2026-01-01", "seed=010", "limits.compute=1e6"])
    assert (config.review.mode, config.sinks, config.seed, config.limits.compute) == ("off", [], 10, 1e6)
    assert config.engine.openai.extra == {"top_k": 40, "day": "2026-01-01"}
    assert make_config({}, ["review=sample"]).review.mode == "sample"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["run.folder="], "run.folder: a path must not be empty"),
        (["model.path= "], "model.path: a path must not be empty"),
        (["run.folder=a\0b"], "run.folder: a path must be printable text"),
        (["run.folder=~nobody-here/x"], "no home folder is known for '~nobody-here'; .* write './~nobody-here/x'"),
        (["engine.openai.extra.user=a #3"], "'engine.openai.extra.user=a #3': '#' begins a comment in YAML: put the"),
        (["generations=5 # few"], "'#' begins a comment"),
        (["engine.openai.extra.user=@a"], "cannot start any token.*; put the value in quotes"),
        (["generations=1:30"], "generations: Input should be a valid integer"),
        (["limits={requests: 3, requests: 4}"], "the key 'requests' is given twice, on line 1; keep one of them"),
        (["limits.compute=1", "limits={requests: 2}"], "of 'limits.compute' would be lost, because .* sets 'limits'"),
        (["prompts.personas=[12:30, no]"], "personas.1: expected text, but YAML reads this as False: put it in quotes"),
    ],
)
def test_bad_override_is_one_line_with_the_key(overrides: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        make_config({}, overrides)
    assert "\n" not in str(error.value)


def test_section_then_key_inside_it() -> None:
    limits = make_config({}, ["limits={requests: 2}", "limits.compute=3"]).limits
    assert (limits.requests, limits.compute) == (2, 3)
    assert make_config({}, ["seed=1", "seed=2"]).seed == 2  # the last one counts, so that commands can be extended


def test_home_folder_in_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("run: {folder: ~/from_file}\n")
    assert load_config("~/mine.yaml").run.folder == f"{tmp_path}/from_file"
    config = make_config({}, ["run.folder=~", "model.path=~/models/x"])
    assert (config.run.folder, config.model.path) == (str(tmp_path), f"{tmp_path}/models/x")
    assert make_config({}, ["run.folder=a/~/b"]).run.folder == "a/~/b"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "limits:\n  tokens: 1\nseed: 3\nlimits:\n  money: 2\n",
            "the key 'limits' is given twice, on lines 1 and 4",
        ),
        ("sleep:\n  rank: 1\n  rank: 2\n", "the key 'sleep.rank' is given twice, on lines 2 and 3"),
        ('{"seed": 1, "seed": 2}', "the key 'seed' is given twice, on line 1"),
        ("x: [{a: 1}, {b: 1, 'b': 2}]", "the key 'x.1.b' is given twice"),
        ("{1: a, 0x1: b}", "the key '0x1' is given twice"),
        ("b: &b {x: 1}\na:\n  <<: *b\n  <<: *b\n", "the key 'a.<<' is given twice, on lines 3 and 4"),
        ("b: &b {x: 1}\na:\n  <<: *b\n  x: 2\n  x: 3\n", "the key 'a.x' is given twice, on lines 4 and 5"),
    ],
)
def test_key_given_twice(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        load_config(path)
    assert str(error.value).startswith(f"{path}: {says}") and "\n" not in str(error.value)


def test_merged_keys_may_be_set_again() -> None:
    assert yaml_data("b: &b {x: 1, y: 1}\na: {<<: *b, x: 2}\nc: *b")["a"] == {"x": 2, "y": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("010", "010"),
        ("0", 0),
        ("-12", -12),
        ("0x1f", 31),
        ("1.5", 1.5),
    ],
)
def test_plain_scalars(text: str, value: Any) -> None:
    found = yaml_data(text)
    assert found == value and type(found) is type(value)


def test_number_in_a_file_for_text(tmp_path: Path) -> None:
    path = tmp_path / "number.yaml"
    path.write_text("engine: {openai: {model: 12}}")
    with pytest.raises(ValueError, match=r"openai.model: expected text, but YAML reads this as 12: put it in quotes"):
        load_config(path)
