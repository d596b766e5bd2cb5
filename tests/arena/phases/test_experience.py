"""What agents are trained on of their own: the advantages of attempts, steps, proposals and grades."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import arena.loop as loop
from arena.config.culture import SleepSection
from arena.config.schema import load_config
from arena.phases import experience
from arena.phases.experience import Credit, advantages, credits_of
from arena.phases.records import Produced
from arena.phases.registry import SPECS
from arena.rounds.roles.voice import BARE
from arena.rounds.round import Round
from arena.run.fold import Reply
from arena.run.state import Arena
from curricula.list_programs import ListPrograms
from tests.helpers.brief_runs import BRIEF, brief, digest
from tests.helpers.crashes import die_inside_every_transaction, play_through

LIST = ListPrograms()
RIGHT = "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
LUCKY = "inc 4 2 5 ; rev 5 2 4 answer 5 2 4"
HALF = "rev 4 1 3 ; inc 5 2 5 answer 5 2 5"
WRONG = "rev 3 1 4 ; inc 4 2 5 answer 4 2 5"
VOICED = SimpleNamespace(voice=BARE)
LEARNER = ["sleep.objective=policy_gradient", "sleep.credit=step", "sleep.attempts=32", "sleep.grades=8"]


def config(credit: str = "trace", **objective: object) -> SleepSection:
    given = {"objective": {"kind": "policy_gradient", **objective}} if objective else {}
    return SleepSection.model_validate({"credit": credit, **given})


def played(*texts: str) -> Round:
    """A round of one solver that wrote these texts."""
    made = Round("g0001/r0000", LIST, "ivo", ("tess",), len(texts))
    made.set_problem("", LIST.problem("rev inc | 3 1 4"))
    made.set_attempts(texts, [LIST.verify(LIST.problem("rev inc | 3 1 4"), text) for text in texts])
    return made


def weights(credit: Credit, text: str) -> list[float]:
    """The weight of each word, and of the end."""
    found, at = [], 0
    for word in text.split(" "):
        at += len(word)
        found.append(next((w for a, b, w in credit.spans if a < at <= b), credit.weight))
        at += 1
    return [*found, credit.weight]


@pytest.mark.parametrize(("credit", "expected"), [("answer", [1.0, 1.0, 0.0, 0.0]), ("trace", [1.0, 0.0, 0.0, 0.0])])
def test_imitation_of_whole_attempts(credit: str, expected: list[float]) -> None:
    """`answer` also imitates luck; nothing is imitated where all attempts are right."""
    round_ = played(RIGHT, LUCKY, HALF, WRONG)
    assert [c.weight for c in credits_of(round_, config(credit))] == expected
    assert not any(c.counts for c in credits_of(played(RIGHT, RIGHT), config(credit)))


def test_imitation_of_prefixes() -> None:
    found = credits_of(played(RIGHT, HALF, WRONG), config("prefix"))
    assert weights(found[0], RIGHT) == [1.0] * 14
    assert weights(found[1], HALF) == [1.0] * 5 + [0.0] * 9
    assert not found[2].counts
    (alone,) = credits_of(played(HALF), config("prefix"))  # also where nobody was right
    assert weights(alone, HALF) == [1.0] * 5 + [0.0] * 9


def test_advantages_of_a_group() -> None:
    """Reward less the group's mean, with `deviation` in standard deviations; nothing where all came out alike."""
    round_ = played(RIGHT, HALF, WRONG, WRONG)
    assert [c.weight for c in credits_of(round_, config(clip="ppo"))] == [0.75, -0.25, -0.25, -0.25]
    scaled = [c.weight for c in credits_of(round_, config(deviation=True))]
    assert scaled == pytest.approx([3**0.5, *[-(3**-0.5)] * 3])
    for same in (RIGHT, WRONG):
        assert not any(c.counts for c in credits_of(played(same, same), config(deviation=True)))
    assert advantages([], config()) == []


def test_prefixes_are_not_blamed() -> None:
    """With a policy gradient the verified steps of a failure count like a success, the rest as the failure it is."""
    found = credits_of(played(RIGHT, HALF), config("prefix", clip="ppo"))
    assert weights(found[0], RIGHT) == [0.5] * 14
    assert weights(found[1], HALF) == [0.5] * 5 + [-0.5] * 9


def test_steps_are_compared_with_the_same_step() -> None:
    """Step 1: right, right, wrong. Step 2: right, wrong. What follows a mistake has no weight."""
    found = credits_of(played(RIGHT, HALF, WRONG), config("step", clip="ppo"))
    third = pytest.approx(1 / 3)
    assert weights(found[0], RIGHT) == [third] * 5 + [0.5] * 4 + [0.0] * 5
    assert weights(found[1], HALF) == [third] * 5 + [-0.5] * 4 + [0.0] * 5
    assert weights(found[2], WRONG) == [pytest.approx(-2 / 3)] * 5 + [0.0] * 9


def test_half_as_baseline() -> None:
    """All attempts count, also where they came out alike."""
    half = {"baseline": "half"}
    assert [c.weight for c in credits_of(played(RIGHT, WRONG, WRONG), config(**half))] == [0.5, -0.5, -0.5]
    (found,) = credits_of(played(HALF), config("step", **half))
    assert weights(found, HALF) == [0.5] * 5 + [-0.5] * 4 + [0.0] * 5
    (found,) = credits_of(played(HALF), config("prefix", **half))
    assert weights(found, HALF) == [0.5] * 5 + [-0.5] * 9


def test_values_as_baseline() -> None:
    """The agent's own forecast in place of the group's mean, where it has one."""
    round_ = played(RIGHT, WRONG)
    given = SleepSection.model_validate(
        {"objective": {"kind": "policy_gradient", "baseline": "value"}, "value": {"examples": 8}}
    )
    assert [c.weight for c in credits_of(round_, given, [0.9, 0.2])] == pytest.approx([0.1, -0.2])
    assert [c.weight for c in credits_of(round_, given, [None, 0.2])] == pytest.approx([0.5, -0.2])
    with pytest.raises(ValueError, match=r"there is no value function: set value\.examples"):
        config(baseline="value")


@pytest.mark.parametrize(("signed", "expected"), [(False, {RIGHT: 1.0}), (True, {RIGHT: 1.0, WRONG: -1.0})])
def test_equal_attempts_are_one_example(signed: bool, expected: dict[str, float]) -> None:
    """Imitation of one of them; with a policy gradient all their advantages."""
    made = config(clip="ppo") if signed else config()
    round_ = played(RIGHT, RIGHT, WRONG, WRONG)
    replies = {f"g0001/r0000/solver_0/{i}": Reply(a.text, (-1.0,)) for i, a in enumerate(round_.attempts)}
    state = SimpleNamespace(
        config=SimpleNamespace(
            sleep=made.model_copy(update={"attempts": 9}),
            library=SimpleNamespace(network="all"),
            population=SimpleNamespace(agents=3),
        ),
        places={"ivo": 0, "tess": 1, "luz": 2},
        generation=SimpleNamespace(rounds=[round_], replies=replies, index=1),
        rng=lambda *at: random.Random(str(at)),
    )
    found = experience.attempts(state, VOICED, "tess", experience.round_credits(state))  # type: ignore[arg-type]
    assert {e.completion: e.weight for e in found} == expected and len(found) == len(expected)
    assert not experience.attempts(state, VOICED, "luz", experience.round_credits(state))  # type: ignore[arg-type]
    state.config.sleep = state.config.sleep.model_copy(update={"attempts_of": "read"})
    found = experience.attempts(state, VOICED, "luz", experience.round_credits(state))  # type: ignore[arg-type]
    assert {e.completion: e.weight for e in found} == expected and {e.agent for e in found} == {"luz"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a policy gradient."""
    folder = tmp_path_factory.mktemp("experience")
    with brief(folder, "calm", *LEARNER) as arena:
        loop.play(arena)
    return folder / "calm"


def test_examples_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own texts alone, as sampled, within the limits; rewards less their mean."""
    seen = []

    def watch(arena: Arena) -> Produced:
        state, models = arena.state, arena.models
        for agent in state.main_agents:
            rows = {r["text"] for r in state.store.query("SELECT text FROM attempts WHERE agent = ?", [agent])}
            own = experience.attempts(state, models, agent, experience.round_credits(state))
            assert {e.completion for e in own} <= rows and len(own) <= 32
            set_ = experience.proposals(state, models, agent)
            assert sum(e.weight for e in set_) == pytest.approx(0, abs=1e-6)
            graded = experience.grades(state, models, agent)
            assert len(graded) <= 8
            for e in (*own, *set_, *graded):
                assert e.agent == agent and e.sampled and (e.weight or e.spans)
            seen.append((len(own), len(set_), len(graded)))
        return before(arena)

    before = SPECS["sleep"].play
    specs = {**loop.SPECS, "sleep": replace(loop.SPECS["sleep"], play=watch)}
    monkeypatch.setattr(loop, "SPECS", specs)
    monkeypatch.setattr(loop, "PHASES", tuple(specs[spec.name] for spec in loop.PHASES))
    more = "rounds.per_agent=8", "rounds.temperature=1.3", "sleep.proposals=99"
    with brief(tmp_path, "watched", *LEARNER, *more) as arena:
        loop.play(arena)
    assert all(map(sum, zip(*seen, strict=True)))


def test_crashes_change_nothing(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log-probabilities from sampling survive a crash between sampling and training."""
    die_inside_every_transaction(monkeypatch)
    assert play_through(brief(tmp_path, "dying", *LEARNER)) == digest(stored)


def test_value_function_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates are stored from the second generation on, attempts that they end are wrong and teach the value function
    nothing, and crashes change nothing."""
    given = [*LEARNER, "sleep.value.examples=12", "sleep.value.stop_below=0.6", "sleep.value.spared=0.2"]
    given += ["sleep.objective.kind=policy_gradient", "sleep.objective.baseline=value", "rounds.per_agent=8"]
    given.remove("sleep.objective=policy_gradient")
    with brief(tmp_path, "calm", *given) as arena:
        loop.play(arena)
        rows = arena.store.query("SELECT generation, estimates, stopped, correct FROM attempts")
        assert all((r["estimates"] is None) == (r["generation"] == 1) for r in rows)
        stopped = [r for r in rows if r["stopped"]]
        assert stopped and not any(r["correct"] for r in stopped)
        state = arena.state
        taught = [o.completion for a in state.main_agents for o in experience.outcomes(state, arena.models, a)]
        assert len(taught) <= 12 * len(state.main_agents)
    die_inside_every_transaction(monkeypatch)
    assert play_through(brief(tmp_path, "dying", *given)) == digest(tmp_path / "calm")


def test_log_probabilities_are_stored_if_needed(stored: Path, undisturbed: Path) -> None:
    for folder, needed in ((stored, True), (undisturbed, False)):
        with Arena.open(folder) as arena:
            for table in ("attempts", "grades"):
                rows = arena.store.query(f"SELECT logprobs FROM {table}")
                assert rows and all((r["logprobs"] is not None) is needed for r in rows)


@pytest.mark.parametrize("key", ["sleep.credit=step", "sleep.grades=4"])
def test_imitation_takes_no_signed_weights(key: str) -> None:
    with pytest.raises(ValueError, match=r"but the objective is likelihood: set objective to policy_gradient"):
        load_config("configs/tiny.yaml", [*BRIEF, key])
