"""Configs: strict, documented, repeatable."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agents.hub import NAME
from agents.named_models import MODELS
from arena.config.culture import MeasureSection
from arena.config.schema import load_config, make_config
from arena.config.shipped import SEED_FOLDER
from arena.run.state import make_domains, model_folder
from curricula.domain import heldout_depths
from curricula.list_programs import ListPrograms
from curricula.word_problems import WordProblems

CONFIGS = sorted(Path("configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_resolved_copy_is_the_same_config(path: Path, tmp_path: Path) -> None:
    """Every shipped config loads, and its resolved copy equals it."""
    config = load_config(path)
    copy = tmp_path / "config.yaml"
    copy.write_text(config.to_yaml())
    assert load_config(copy) == config


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_shipped_config_is_documented(path: Path) -> None:
    """Every shipped config is documented and names existing domains and models."""
    config = load_config(path)
    assert f"`{path}`" in Path("docs/configs.md").read_text() and path.read_text().startswith("# ")
    assert config.run.name == path.stem and list(make_domains(config)) == list(config.domains)
    if config.model.path == "seed":
        assert model_folder(config) == SEED_FOLDER
        return
    assert "hidden_words" not in config.domains  # reading definitions is the shipped seed's
    if config.model.path in MODELS:
        assert "--get-model" in path.read_text()
        return
    assert NAME.fullmatch(config.model.path) and config.model.path in path.read_text().partition("hf download ")[2]
    assert config.sleep.seed_examples == 0


def test_measured_depths() -> None:
    """Depths beyond the usual ones are measured where they are named; a depth that a domain lacks is left out."""
    domain = ListPrograms()
    assert MeasureSection().depths_of(domain) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert MeasureSection(depths=[0, 3, 8, 9, 12, 13]).depths_of(domain) == [3, 8, 9, 12]
    assert MeasureSection(depths=[2, 9]).depths_of(WordProblems()) == [2]
    assert all(domain.is_heldout(p) for depth in heldout_depths(domain) for p in domain.heldout("dev", depth))


def test_overrides_of_nested_keys() -> None:
    """Overrides reach nested keys and keep YAML types."""
    config = make_config({}, ["sleep.rank=8", "sleep.enabled=false", "limits.compute=1e6", "run.name=x"])
    assert (config.sleep.rank, config.sleep.enabled, config.limits.compute, config.run.name) == (8, False, 1e6, "x")


def test_domain_options_are_kept() -> None:
    data = yaml.safe_load("domains: {list_programs: {share: 0.5}, hidden_words: {share: 0.5, levels: 2}}")
    assert make_config(data).domains["hidden_words"].options == {"levels": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sleep: {rnk: 3}", "unknown key 'sleep.rnk'; did you mean 'rank'?"),
        ("sleep: 3", "sleep"),
        ("- 1", "must hold a mapping"),
        ("a: [", "not YAML"),
        ("generations: many", "generations"),
        ("domains: {}", "add up to 1"),
        ("zzz: 1", "unknown key 'zzz'; expected one of run, seed"),
    ],
)
def test_a_bad_file_is_refused_by_name(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.yaml") as error:
        load_config(path)
    assert says in str(error.value) and "\n" not in str(error.value)
