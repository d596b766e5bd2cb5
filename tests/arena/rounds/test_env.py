"""The PettingZoo adapter: the library's own tests, and that it plays the same round as the arena does."""

import random
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

from arena.rounds.discrete_env import choose_among
from arena.rounds.env import CHARSET, MAX_TEXT, env, parallel_env, round_of
from arena.rounds.rewards import rewards
from arena.rounds.roles.voice import Voice
from arena.rounds.round import GRADER, SETTER, Round
from curricula.domain import Domain
from curricula.learnability import RULES
from curricula.registry import DOMAINS as REGISTERED
from curricula.registry import make_domain

PARENTS = {"list_programs": None, "hidden_words": "w0 rev | 3 1 4"}
DOMAINS = {name: make_domain(name) for name in PARENTS}
JUNK = ["", "the the the", "1) or (True", " answer 3 1 4", "３ ² \x00\n", "9" * 2000, "rev 1 answer 1 answer 2"]

both_domains = pytest.mark.parametrize("name", list(PARENTS))


@pytest.fixture
def quiet() -> Iterator[None]:
    """PettingZoo warns of every observation that is no array and of every name without a number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# -- the library's own tests -----------------------------------------------------------------------------------------


@both_domains
@pytest.mark.usefixtures("quiet")
def test_passes_the_tests_of_pettingzoo(name: str):
    def make(**rest: Any) -> Any:
        return parallel_env(DOMAINS[name], parent=PARENTS[name], **rest)

    parallel_api_test(make(), num_cycles=20)
    parallel_api_test(make(grader=False, solvers=1, attempts=1), num_cycles=20)
    parallel_seed_test(make, num_cycles=20)
    api_test(env(DOMAINS[name], parent=PARENTS[name]), num_cycles=20)
    seed_test(lambda: env(DOMAINS[name], parent=PARENTS[name]), num_cycles=20)


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("name", list(REGISTERED))
@pytest.mark.usefixtures("quiet")
def test_every_domain_passes_pettingzoo(name: str, chat: bool):
    domain, rng = make_domain(name), random.Random(0)
    problem = domain.random_problem(rng)
    made = parallel_env(domain, parent=problem.text, attempts=1, chat=chat)
    for agent in made.possible_agents:
        made.action_space(agent).seed(0)
    texts = [problem.text, "", ""]
    setter = Scripted(made.action_space(SETTER), texts)
    spaces = {a: made.action_space(a) for a in made.possible_agents} | {SETTER: setter}
    made.action_space = spaces.__getitem__  # type: ignore[assignment]
    parallel_api_test(made, num_cycles=6)
    assert not setter.texts
    api_test(env(domain, parent=problem.text, chat=chat), num_cycles=4)


def test_too_long_problem_is_rejected():
    made = parallel_env(max_text=26)
    made.reset()
    _, paid, _, _, infos = made.step(dict.fromkeys(made.agents, "rev inc sort dbl | 3 1 4"))
    assert paid[SETTER] == -0.25 and infos[SETTER]["reasons"] == ("too long",) and made.agents == []


def test_chat_seats_are_asked_in_prose():
    made = parallel_env(chat=True, solvers=1, attempts=2, grader=False)
    seen, _ = made.reset()
    assert "you set a problem" in seen[SETTER]["text"] and "rev: reverse the list" in seen[SETTER]["text"]
    seen, *_ = made.step({SETTER: "Here it is. <problem>rev inc | 3 1 4</problem>", "solver_0": ""})
    assert "> rev inc | 3 1 4" in seen["solver_0"]["text"]
    right = "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
    made.step({SETTER: "", "solver_0": f"<think>so\nso</think>\n<answer>\n{right}\n</answer>"})
    _, paid, *_ = made.step({SETTER: "", "solver_0": right})
    assert paid["solver_0"] == 2.0


@pytest.mark.parametrize("name", list(REGISTERED))
def test_hidden_parts_of_problems_are_not_shown(name: str):
    domain, rng = make_domain(name), random.Random(3)
    problem = domain.random_problem(rng)
    made = parallel_env(domain, parent=domain.random_problem(rng).text, solvers=1, attempts=1, render_mode="ansi")
    made.reset()
    seen, _, _, _, infos = made.step({SETTER: problem.text})
    hidden = set(problem.text.splitlines()) - set(problem.shown.splitlines())
    for text in (seen["solver_0"]["text"], *(i["problem"] for i in infos.values()), made.render() or ""):
        assert not hidden & set(text.splitlines())
    assert infos["solver_0"]["problem"] == problem.shown
    assert hidden or name not in ("word_problems",)


class Scripted:
    """A space that samples a script, so that the library's test plays beyond the first step."""

    def __init__(self, space: Any, texts: list[str]) -> None:
        self.space, self.texts = space, texts

    def sample(self, mask: Any = None) -> str:
        return self.texts.pop(0) if self.texts else self.space.sample()


@pytest.mark.usefixtures("quiet")
def test_pettingzoo_parallel_test_full_length():
    made = parallel_env(attempts=3)
    one_episode = ["rev inc | 3 1 4", "", "", "", ""]  # propose, three times solve, grade
    setter = Scripted(made.action_space(SETTER), one_episode * 2)
    spaces = {a: made.action_space(a) for a in made.possible_agents} | {SETTER: setter}
    made.action_space = spaces.__getitem__  # type: ignore[assignment]
    parallel_api_test(made, num_cycles=20)
    assert not setter.texts
    assert len(made.round.attempts) == 6


# -- both ways -------------------------------------------------------------------------------------------------------


def script(domain: Domain, rng: random.Random, solvers: int, attempts: int, grader: bool) -> list[list[str]]:
    """Texts of one round in the order of `Round.asks()`: right, wrong and junk ones."""
    problem, other = domain.random_problem(rng), domain.random_problem(rng)
    right, wrong = domain.solution(problem), domain.solution(other)
    answer_only = "rev 1 answer " + problem.answer
    heldout = domain.heldout("dev", 3)[0].text
    proposal = rng.choice([problem.text] * 7 + [heldout, *rng.sample(JUNK, 2)])

    def text() -> str:
        return rng.choice([right, right, right, wrong, answer_only, rng.choice(JUNK)])

    return [[proposal], [text() for _ in range(solvers * attempts)], *([[text()]] if grader else [])]


def play_directly(round_: Round, texts: list[list[str]]) -> Round:
    for batch in texts:
        if round_.asks():
            round_.take(batch)
    return round_


def texts_of_steps(texts: list[list[str]], solvers: tuple[str, ...], attempts: int) -> list[dict[str, str]]:
    """The same texts by step and agent; who is not asked talks all the same."""
    everyone = dict.fromkeys((SETTER, *solvers, GRADER), "rev | 1 2")
    steps = [everyone | {SETTER: texts[0][0]}]
    for number in range(attempts):
        steps.append(everyone | {s: texts[1][i * attempts + number] for i, s in enumerate(solvers)})
    if len(texts) == 3:
        steps.append(everyone | {GRADER: texts[2][0]})
    return steps


def play_parallel(made: Any, steps: list[dict[str, str]], options: dict[str, Any]) -> dict[str, float]:
    observations, _ = made.reset(seed=1, options=options)
    total: dict[str, float] = defaultdict(float)
    for number, actions in enumerate(steps):
        if not made.agents:
            assert number == 1  # only a rejected proposal ends a round early
            break
        agents = list(made.agents)
        assert all(made.observation_space(a).contains(observations[a]) for a in agents)
        observations, paid, terminated, truncated, infos = made.step({a: actions[a] for a in agents})
        for agent in agents:
            total[agent] += paid[agent]
            assert terminated[agent] == (not made.agents) and not truncated[agent]
            assert made.agents or infos[agent]["phase"] == "done"
            assert paid[agent] == 0.0 or not made.agents  # paid at the end only
    assert not made.agents
    return dict(total)


def play_in_turn(made: Any, steps: list[dict[str, str]], options: dict[str, Any]) -> dict[str, float]:
    made.reset(seed=1, options=options)
    total: dict[str, float] = {}
    turns: dict[str, int] = defaultdict(int)
    for agent in made.agent_iter():
        _, reward, terminated, truncated, _ = made.last()
        if terminated or truncated:
            total[agent] = reward
            made.step(None)
        else:
            made.step(steps[turns[agent]][agent])
            turns[agent] += 1
    return total


@both_domains
def test_environment_round_equals_arena_round(name: str):
    domain, rng, outcomes = DOMAINS[name], random.Random(0), set()
    for _ in range(60):
        solvers, attempts, grader = rng.randint(1, 3), rng.randint(1, 3), rng.random() < 0.7
        rule, invalid = rng.choice(["variance", "inverse"]), rng.choice([-0.25, -1.0])
        parent = domain.random_problem(rng).text
        texts = script(domain, rng, solvers, attempts, grader)
        made = parallel_env(domain, solvers, attempts, grader, rule, invalid, PARENTS[name])
        in_turn = env(domain, solvers, attempts, grader, rule, invalid, PARENTS[name])
        grader_seat = GRADER if grader else None
        direct = play_directly(
            Round("env", domain, SETTER, made.solvers, attempts, grader_seat, parent, voice=Voice(rule=RULES[rule])),
            texts,
        )
        steps = texts_of_steps(texts, made.solvers, attempts)
        paid = play_parallel(made, steps, {"parent": parent})
        assert play_in_turn(in_turn, steps, {"parent": parent}) == paid
        expected = dict.fromkeys(made.possible_agents, 0.0)
        for seat, _, _, reward in rewards(direct, RULES[rule], invalid):
            expected[seat] += reward
        for played in (round_of(made), round_of(in_turn)):
            assert played.proposal == direct.proposal
            assert played.attempts == direct.attempts
            assert played.verdicts == direct.verdicts
            assert played.grade == direct.grade
            assert played == direct
        assert paid == expected
        outcomes |= {v.reason for v in direct.verdicts}
        outcomes |= {direct.rejection.reason} if direct.rejection else set()
    assert {"ok", "no answer", "held-out", "malformed"} <= outcomes
    assert len(outcomes) >= 7


# -- what an episode shows -------------------------------------------------------------------------------------------


def test_agents_see_only_their_own_prompt():
    made = parallel_env(solvers=2, attempts=2)
    right = "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
    seen = []
    observations, infos = made.reset(options={"parent": "sort | 2 1"})
    for text in ("rev inc | 3 1 4", right, "junk", right, None):
        seen.append({agent: o["text"] for agent, o in observations.items() if o["text"]})
        if text is not None:
            observations, _, _, _, infos = made.step(dict.fromkeys(made.agents, text))
    solve = "solve rev inc | 3 1 4 think"
    asked = {"solver_0": solve, "solver_1": solve}
    assert seen == [{"setter": "propose sort ->"}, asked, asked, {"grader": solve}, {}]
    assert infos["solver_0"] == {"phase": "done", "problem": "rev inc | 3 1 4", "reasons": ("ok", "no answer")}
    assert infos["setter"]["reasons"] == ("ok",)
    assert infos["grader"]["reasons"] == ("agrees with execution",)


def test_infos_by_phase():
    made = parallel_env()
    _, infos = made.reset()
    assert all(i == {"phase": "propose", "reasons": ()} for i in infos.values())
    _, _, _, _, infos = made.step(dict.fromkeys(made.agents, "rev inc | 3 1 4"))
    assert all(i == {"phase": "solve", "problem": "rev inc | 3 1 4", "reasons": ()} for i in infos.values())


def test_rejected_proposal_ends_the_episode():
    made = parallel_env(invalid=-0.5, render_mode="ansi")
    made.reset()
    _, paid, terminated, _, infos = made.step(dict.fromkeys(made.agents, "the the the"))
    assert paid == {"setter": -0.5, "solver_0": 0.0, "solver_1": 0.0, "grader": 0.0}
    assert all(terminated.values()) and made.agents == []
    assert infos["setter"]["reasons"] == ("malformed",)
    assert made.render() == "phase: done\nrejected: malformed"


@both_domains
def test_random_text_is_legal_and_loses(name: str):
    domain = DOMAINS[name]
    for seed in range(20):
        made = parallel_env(domain, parent=PARENTS[name])
        made.reset()
        for i, agent in enumerate(made.possible_agents):
            made.action_space(agent).seed(100 * seed + i)
        total: dict[str, float] = defaultdict(float)
        sampled = {a: made.action_space(a).sample() for a in made.agents}
        if seed % 2:  # let every other round get past its random setter
            sampled[SETTER] = domain.random_problem(random.Random(seed)).text
        while made.agents:
            _, paid, _, _, _ = made.step(sampled)
            for agent, reward in paid.items():
                total[agent] += reward
            sampled = {a: made.action_space(a).sample() for a in made.agents}
        assert total == {a: 0.0 if seed % 2 or a != SETTER else -0.25 for a in made.possible_agents}
        assert not any(v.correct or v.answer_correct for v in made.round.verdicts)


@both_domains
def test_every_reference_text_is_in_the_spaces(name: str):
    domain, rng = DOMAINS[name], random.Random(0)
    made = parallel_env(domain, parent=PARENTS[name])
    problems = [domain.random_problem(rng, d) for d in domain.depths for _ in range(20)]
    problems += [p for d in domain.depths for p in domain.heldout("dev", d)]
    for problem in problems:
        for text in (problem.text, domain.solution(problem)):
            assert made.action_space(SETTER).contains(text), text
        assert made.observation_space("solver_0").contains({"text": domain.solve_prompt(problem, ())})


def test_longest_solution_fits_an_action():
    domain = DOMAINS["hidden_words"]
    made = parallel_env(domain, parent="w0")
    problem = domain.problem("w0 w1 w2 w3 w4 w5 | 1 2 3 4 5 6")  # six definitions, twelve primitives
    assert problem.depth == 12
    assert made.action_space("solver_0").contains(domain.solution(problem))


def test_spaces_are_stable_and_take_empty_text():
    made = parallel_env()
    for agent in made.possible_agents:
        assert made.action_space(agent) is made.action_space(agent)
        assert made.observation_space(agent) is made.observation_space(agent)
        assert made.action_space(agent).contains("")
        assert made.action_space(agent).contains(CHARSET * (MAX_TEXT // len(CHARSET)))


def test_round_length_comes_from_arguments():
    for solvers, attempts, grader in ((1, 1, False), (2, 3, True), (3, 2, False)):
        made = parallel_env(solvers=solvers, attempts=attempts, grader=grader)
        made.reset()
        assert len(made.agents) == 1 + solvers + grader
        steps = 0
        while made.agents:
            made.step(dict.fromkeys(made.agents, "rev inc | 3 1 4"))
            steps += 1
        assert steps == 1 + attempts + grader
        assert len(made.round.attempts) == solvers * attempts


def test_render_tells_the_round_in_a_few_lines():
    made = parallel_env(attempts=1, render_mode="ansi")
    made.reset()
    assert made.render() == "phase: propose"
    for text in ("rev inc | 3 1 4", "rev 4 1 3 ; inc 5 2 4 answer 5 2 4", "the the the"):
        made.step(dict.fromkeys(made.agents, text))
    assert made.render() == (
        "phase: done\nproblem: rev inc | 3 1 4\nsolver_0: ok\nsolver_1: ok\ngrader: no answer, no vote"
    )
    silent = parallel_env()
    silent.reset()
    assert silent.render() is None
    assert made.metadata["name"] and made.metadata["render_modes"] == ["ansi"]


# -- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"domain": "list_program"}, "unknown domain 'list_program'"),
        ({"solvers": 0}, "solvers=0"),
        ({"attempts": 0}, "attempts=0"),
        ({"rule": "variation"}, "unknown payment rule 'variation'"),
        ({"render_mode": "human"}, "unknown render mode 'human'"),
        ({"max_text": 0}, "max_text=0"),
    ],
)
def test_wrong_arguments_raise(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        parallel_env(**arguments)


def test_too_long_parent_raises():
    made = parallel_env()
    with pytest.raises(ValueError, match="parent does not fit an observation of 512 characters"):
        made.reset(options={"parent": "rev " * 200 + "| 1 2"})
    assert made.agents == []
    with pytest.raises(ValueError, match="needs a parent"):
        parallel_env(DOMAINS["hidden_words"]).reset()


def test_invalid_steps_raise():
    made = parallel_env()
    with pytest.raises(ValueError, match="call reset"):
        made.step({})
    made.reset()
    with pytest.raises(ValueError, match="setter is asked to propose and gave None"):
        made.step({})
    made.step({SETTER: "rev inc | 3 1 4"})
    with pytest.raises(ValueError, match="solver_1 is asked to solve and gave 3"):
        made.step({"solver_0": "", "solver_1": 3})  # type: ignore[dict-item]
    made.step({"solver_0": "", "solver_1": ""})
    made.step({"solver_0": "", "solver_1": ""})
    made.step({GRADER: ""})
    with pytest.raises(ValueError, match="the round is over"):
        made.step({})


@pytest.mark.parametrize("chat", [False, True])
def test_missing_parent_says_how_to_give_one(chat: bool):
    if chat:
        parallel_env("hidden_words", chat=True).reset()  # in prose, a setter is told the names
    for made in (parallel_env("hidden_words"), env("hidden_words")):
        with pytest.raises(ValueError, match=r"needs a parent text .*: give one with parallel_env\(") as error:
            made.reset()
    form = r"parallel_env\(..., parent='([^']+)'\) or reset\(options=\{'parent': '([^']+)'\}\)$"
    said = re.search(form, str(error.value))
    assert said and said[1] == said[2]
    assert parallel_env("hidden_words", parent=said[1]).reset()[0][SETTER]["text"].startswith("propose ")
    assert parallel_env("hidden_words").reset(options={"parent": said[1]})[0][SETTER]["text"].startswith("propose ")


@pytest.mark.parametrize("parent", [5, ["w0 rev | 3 1 4"], b"w0 rev"])
def test_parent_of_another_type(parent: Any):
    for name in REGISTERED:
        with pytest.raises(ValueError, match=r"parent must be the text of a problem, such as '.*, got "):
            parallel_env(name, parent=parent).reset()


@pytest.mark.parametrize("domain", [5, None, REGISTERED["hidden_words"]])
def test_domain_of_another_type(domain: Any):
    with pytest.raises(ValueError, match="domain must be a name or an instance of a domain, got "):
        parallel_env(domain)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"parnet": "rev | 1"}, "unknown option 'parnet' of reset; did you mean 'parent'?"),
        ({"parent": "rev | 1", "Parents": 1}, "unknown option 'Parents' of reset; did you mean 'parent'?"),
        ({"world": 3}, "unknown option 'world' of reset; expected parent"),
        ({7: 3}, "unknown option 7 of reset; expected parent"),
    ],
)
def test_unknown_options_of_reset_are_refused(options: dict[Any, Any], says: str) -> None:
    for made in (parallel_env("list_programs"), env("list_programs"), choose_among(parallel_env("list_programs"))):
        with pytest.raises(ValueError, match=re.escape(says)):
            made.reset(options=options)
