"""The models and roles of a mixed population in a config."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from arena.config.schema import load_config, make_config, yaml_data

TEACHER: dict[str, Any] = {"places": [0], "engine": {"kind": "openai", "openai": {"model": "m"}}}


def mixed(*overrides: str) -> Any:
    return make_config({"population": {"agents": 4, "models": {"teacher": copy.deepcopy(TEACHER)}}}, overrides)


def test_places_have_models_and_the_rest_are_main() -> None:
    config = mixed("population.models.small={places: [2], model: {path: seed}}", "engine.threads=3")
    assert [config.population.at(p) for p in range(4)] == ["teacher", "main", "small", "main"]
    assert config.sleep.enabled and config.remote_models == ["teacher"]
    teacher, small = config.of_model("teacher"), config.of_model("small")
    assert teacher.engine.model_name == "m" and teacher.engine.threads == 3 and not teacher.population.models
    assert small.model.path == "seed" and small.engine.kind == "torch" and config.of_model("main") is config
    assert make_config(yaml_data(config.to_yaml())) == config


def test_roles_belong_to_places() -> None:
    config = mixed("population.models.main={roles: [solve]}", "population.models.teacher.roles=[set, grade]")
    having = {role: config.population.having(role) for role in ("set", "solve", "grade", "guess", "write")}
    assert having == {"set": [0], "solve": [1, 2, 3], "grade": [0], "guess": [], "write": []}


def test_prices_of_a_model_are_its_own_or_the_limits() -> None:
    small = "population.models.small={places: [2], model: {path: seed}}"
    assert mixed(small).model_prices == {}
    found = mixed(small, "limits.prices={prompt: 1, generated: 2}").model_prices
    assert {name: (p.prompt, p.generated) for name, p in found.items()} == {"teacher": (1, 2)}
    own = mixed(small, "limits.money=5", "population.models.teacher.prices={prompt: 3, generated: 4}").model_prices
    assert {name: (p.prompt, p.generated) for name, p in own.items()} == {"teacher": (3, 4)}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("population.models.teacher.places=[]", "models.teacher.places is empty: name the places"),
        ("population.models.teacher.places=[4]", "models.teacher.places has 4: places are 0 to 3"),
        ("population.models.teacher.places=[0, 0]", "models.teacher.places has 0, which teacher has already"),
        ("population.models.teacher.places=[0, 1, 2, 3]", "at least one must be left to the config's own model"),
        (
            "population.models.teacher.model.path=seed",
            "engine.kind openai has its model elsewhere: leave out model.path",
        ),
        ("population.models.b={places: [1]}", "population.models.b.model.path is missing"),
        ("population.models.b={places: [0], model: {path: seed}}", "models.b.places has 0, which teacher has already"),
        ("population.models={1b: {places: [1], model: {path: seed}}}", "does not begin with a digit"),
        ("population.models.main.places=[1]", "models.main is the config's own model and engine: only its roles"),
        ("population.models.teacher.roles=[set, grad]", "did you mean 'grade'?"),
        ("population.models.teacher.roles=[set, write]", "population.models.teacher.roles has write without solve"),
        ("population.models.main={roles: [set]}", "only 0 of those who solve are not the author"),
        ("population.models.teacher.plces=[1]", "'population.models.teacher.plces'; did you mean 'places'?"),
        ("population.models.teacher.engine.openai.modl=x", "did you mean 'model'?"),
        ("population.models.teacher.engine.openai.url=http://me:pw@x/v1", "no user, password"),
        ("population.models.teacher.prices={prompt: 1}", "population.models.teacher.prices.generated is missing"),
        ("prompts.style=chat", "population.models.teacher.engine.openai.api is completions"),
        ("limits.money=3", "limits.money is set, but limits.prices.prompt is missing"),
    ],
)
def test_a_wrong_mixture_is_refused_in_one_line(override: str, says: str) -> None:
    with pytest.raises(ValueError) as error:
        mixed(override)
    assert says in str(error.value) and "\n" not in str(error.value) and "pw" not in str(error.value)


def test_nobody_who_sets_is_refused() -> None:
    with pytest.raises(ValueError, match="no agent has the role set"):
        mixed("population.models.main={roles: [solve]}", "population.models.teacher.roles=[solve]")


def test_a_mixed_population_is_refused_on_a_cluster() -> None:
    with pytest.raises(ValueError, match="names teacher, but the run is played on a cluster"):
        mixed("cluster.islands=2", "cluster.address=inline")


def test_one_model_stays_one_model() -> None:
    config = load_config("configs/tiny.yaml")
    assert config.population.others == {} and config.model_prices == {} and config.population.may(0, "set")
