"""The code of docs/add_a_domain.md works as it stands: its class is a domain, its config loads, a round is played."""

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.config.registries import make_domain
from arena.config.schema import make_config, notices
from arena.config.shipped import ROOT
from arena.evals.play import person
from arena.rounds.rewards import rewards
from arena.rounds.roles import setter, solver
from arena.rounds.roles.voice import Voice
from arena.rounds.round import Round
from arena.run.state import make_domains
from curricula import default_prose
from curricula.default_prose import missing
from curricula.domain import SPLITS, Domain, Problem, Rejection, Spoken, Verdict
from curricula.learnability import RULES
from curricula.registry import DOMAINS

DOC = (ROOT / "docs" / "add_a_domain.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL)


def load() -> ModuleType:
    source, _ = blocks("python")
    module = ModuleType("small_sums")
    exec(compile(source, "docs/add_a_domain.md", "exec"), module.__dict__)
    return module


SMALL_SUMS = load().SmallSums
DOMAIN = SMALL_SUMS()
PATH = "small_sums:SmallSums"


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The page's file, in a folder on Python's path."""
    source, _ = blocks("python")
    (tmp_path / "small_sums.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("small_sums", None)


def test_page_defines_a_domain():
    assert isinstance(DOMAIN, Domain)
    assert not isinstance(object(), Domain)


def test_page_imports_the_protocol_only():
    source, _ = blocks("python")
    imported = re.findall(r"^(?:from|import) (\S+)", source, re.MULTILINE)
    assert {m for m in imported if m.split(".")[0] not in sys.stdlib_module_names} == {"curricula.domain"}


@pytest.mark.usefixtures("importable")
def test_config_names_it_by_import_path():
    (config,) = (c for c in map(yaml.safe_load, blocks("yaml")) if "domains" in c)
    domains = make_domains(make_config(config))
    assert list(domains) == ["small_sums"] and type(domains["small_sums"]).__name__ == "SmallSums"


@pytest.mark.usefixtures("importable")
def test_round_is_played_with_it():
    domain = make_domain(PATH)
    round_ = Round("r0", domain, "ada", ("bob", "eve"), attempts_each=1, grader="cy", parent="add 1 2")
    assert round_.asks()[0].prompt == "propose add 1 2 ->"
    round_.take(["add 12 31"])
    assert {a.prompt for a in round_.asks()} == {"solve add 12 31 think"}
    round_.take(["answer 43", "answer 42"])
    round_.take(["answer 43"])
    assert round_.phase == "done" and round_.solve_rate == 0.5
    assert [pay for _, _, _, pay in rewards(round_, RULES["variance"], -0.25)] == [1.0, 1.0, 0.0, 1.0]


@pytest.mark.usefixtures("importable")
def test_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]):
    (example,) = (b for b in blocks("text") if "parallel_env" in b)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/add_a_domain.md", "exec"), names)
    (said,) = re.findall(r"# (1\.0 .*)$", example, re.MULTILINE)
    assert capsys.readouterr().out.strip() == said


@given(st.one_of(st.text(), st.lists(st.sampled_from(["add", "answer", "12", "007", "²", "9" * 5000])).map(" ".join)))
@settings(max_examples=200, deadline=None)
def test_parsing_and_verifying_are_total(text: str):
    found = DOMAIN.parse_proposal(text)
    assert isinstance(found, Rejection) or DOMAIN.parse_proposal(found.text) == found == DOMAIN.problem(found.text)
    assert isinstance(DOMAIN.verify(DOMAIN.problem("add 12 30"), text), Verdict)


def test_requirements_of_the_page_hold():
    rng = random.Random(0)
    for depth in DOMAIN.depths:
        keys = [{p.heldout_key for p in DOMAIN.heldout(split, depth)} for split in SPLITS]
        assert len(keys[0]) == len(keys[1]) == 10 and not keys[0] & keys[1]
        for problem in (p for split in SPLITS for p in DOMAIN.heldout(split, depth)):
            _, a, b = problem.text.split()
            for text in (problem.text, f"add {b} {a}"):
                found = DOMAIN.parse_proposal(text)
                assert isinstance(found, Rejection) and found.reason == "held-out"
        for _ in range(50):
            problem = DOMAIN.random_problem(rng, depth)
            assert problem.depth == depth and DOMAIN.parse_proposal(problem.text) == problem
            assert DOMAIN.verify(problem, DOMAIN.solution(problem)).correct
            assert isinstance(DOMAIN.parse_proposal(DOMAIN.mutate(problem.text, rng)), Problem | Rejection)
    for text in ("answer 042", "answer 4 2", "answer -42", "answer ４２", "answer 42 answer 42", "42"):
        assert not DOMAIN.verify(DOMAIN.problem("add 12 30"), text).correct


CHAT = ["prompts.style=chat", "engine.kind=openai", "engine.openai.api=chat", "engine.openai.model=m"]


def chat_config(path: str) -> Any:
    return make_config({"domains": {path: {"share": 1.0}}}, CHAT)


def test_page_words_chat_prompts(importable: None) -> None:
    """The second example of the page: the domain's own words are used."""
    module = ModuleType("spoken_sums")
    exec(compile(blocks("python")[1], "docs/add_a_domain.md", "exec"), module.__dict__)
    domain = module.SmallSums()
    assert isinstance(domain, Domain) and isinstance(domain, Spoken)
    voice, problem = Voice(chat=True), domain.problem("add 12 30")
    assert "A problem is a sum of two numbers" in setter.ask(voice, domain, "ivo", "add 1 2").user
    assert "> add 1 2" in setter.ask(voice, domain, "ivo", "add 1 2").user
    assert "Add the two numbers:\n> add 12 30" in solver.ask(voice, domain, "ivo", problem, ()).user


def test_chat_prompts_without_own_words(importable: None) -> None:
    """They hold the description, an example with its solution in the right form, and the problem."""
    (note,) = [n for n in notices(chat_config(PATH)) if "small_sums" in n]
    assert "has no setting and no asking" in note and "docstring" in note
    domain, voice = make_domain(PATH), Voice(chat=True)
    asked = setter.ask(voice, domain, "ivo", "add 1 2").user
    assert "Sums of two numbers of up to three digits." in asked and "propose" not in asked
    assert asked.count("> add ") == 3 and "Vary this one:\n> add 1 2" in asked and "malformed, too long" in asked
    problem = domain.problem("add 12 30")
    asked = solver.ask(voice, domain, "ivo", problem, ()).user
    assert "The problem:\n> add 12 30" in asked and asked.startswith("Sums of two numbers")
    example, solution = re.findall(r"^> (.*)$", asked, re.MULTILINE)[:2]
    assert domain.verify(domain.problem(example), solution).correct and example != problem.text
    assert asked == solver.ask(voice, make_domain(PATH), "ivo", problem, ()).user  # the same in every process
    shown = solver.ask(voice, domain, "ivo", domain.problem(example), ()).user
    assert shown.count(f"> {example}\n") == 1  # its own solution is not the example


def test_domain_with_one_of_the_methods(importable: None) -> None:
    class Half(SMALL_SUMS):
        def asking(self, problem: Problem) -> str:
            return f"own words: {problem.text}"

    asked = solver.ask(Voice(chat=True), Half(), "ivo", DOMAIN.problem("add 1 2"), ()).user
    assert asked == "own words: add 1 2"
    assert "Sums of two numbers" in setter.ask(Voice(chat=True), Half(), "ivo", None).user


def test_chat_without_any_description(importable: None, tmp_path: Path) -> None:
    (source,) = blocks("python")[:1]
    bare = source.replace('    """Sums of two numbers of up to three digits."""\n', "")
    (tmp_path / "bare_sums.py").write_text(bare, encoding="utf-8")
    with pytest.raises(ValueError, match="bare_sums:SmallSums has no setting and no asking, and no docstring"):
        chat_config("bare_sums:SmallSums")
    assert make_config({"domains": {"bare_sums:SmallSums": {"share": 1.0}}})  # the bare style needs none


def test_shipped_domains_have_own_words() -> None:
    assert not {name: missing(kind) for name, kind in DOMAINS.items() if missing(kind)}


def test_person_is_asked_in_the_same_words(importable: None) -> None:
    class Playing:
        domain = DOMAIN

    problem = DOMAIN.problem("add 12 30")
    assert person.asked(Playing(), problem, whole=True) == default_prose.asking(DOMAIN, problem)  # type: ignore[arg-type]
    assert person.asked(Playing(), problem, whole=False) == "add 12 30"  # type: ignore[arg-type]
    assert "Sums of two numbers" in person.setting(Playing())  # type: ignore[arg-type]
