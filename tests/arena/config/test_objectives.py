"""The config section of the objective: a choice between sections, by name alone or with options."""

from __future__ import annotations

import pytest
import yaml

from agents.objectives import Likelihood, PolicyGradient
from arena.config.reference import explained_yaml, lines
from arena.config.schema import load_config, make_config, notices

TINY = "configs/tiny.yaml"


def test_name_alone_stands_for_the_defaults() -> None:
    assert load_config(TINY).sleep.objective.make() == Likelihood()
    short = load_config(TINY, ["sleep.objective=policy_gradient", "sleep.attempts=8"])
    long = load_config(TINY, ["sleep.objective.kind=policy_gradient", "sleep.attempts=8"])
    assert short == long and short.sleep.objective.make() == PolicyGradient()


def test_options_reach_the_objective() -> None:
    given = {"kind": "policy_gradient", "clip": "ppo", "high": 0.5, "normalise": "constant", "kl": 0.1, "floor": -2}
    made = make_config({"sleep": {"objective": given}}).sleep.objective.make()
    assert made == PolicyGradient(clip="ppo", high=0.5, normalise="constant", kl=0.1, floor=-2.0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sleep.objective=policygradient"], r"unknown kind 'policygradient'.*did you mean 'policy_gradient'\?"),
        (["sleep.objective.clip=ppo"], r"sleep\.objective: it needs a key kind: likelihood or policy_gradient"),
        (["sleep.objective.kind=policy_gradient", "sleep.objective.clup=ppo"], r"'sleep\.objective\.clup'; did you"),
        (["sleep.objective.kind=likelihood", "sleep.objective.kl=1"], r"unknown key 'sleep\.objective\.kl'"),
        (
            ["sleep.objective.kind=policy_gradient", "sleep.objective.clip=x"],
            r"\.objective\.clip is 'x': expected",
        ),
        (
            ["sleep.value.examples=8", "engine.kind=vllm"],
            r"vllm shows no hidden states: use engine\.kind=torch",
        ),
    ],
)
def test_mistakes_are_named(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_config(TINY, overrides)


def test_reference_names_each_variant() -> None:
    """Options say to which variant they belong, and the kind is there once."""
    text = "\n".join(lines("sleep.objective"))
    assert text.count("sleep.objective.kind: one of likelihood, policy_gradient; default likelihood") == 1
    assert "sleep.objective.kl: number, at least 0; default 0.0\n    With `policy_gradient`: " in text
    config = load_config(TINY, ["sleep.objective=policy_gradient", "sleep.attempts=8"])
    assert make_config(yaml.safe_load(explained_yaml(config))) == config


def test_policy_gradient_without_attempts_is_noticed() -> None:
    found = notices(load_config(TINY, ["sleep.objective=policy_gradient"]))
    assert any("sleep.attempts is 0" in line for line in found)
    assert not notices(load_config(TINY, ["sleep.objective=policy_gradient", "sleep.attempts=8"]))
