"""The fold takes what was computed or stored: nothing is parsed or verified twice, and resume judges nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from arena.config.schema import load_config
from arena.loop import play
from arena.phases.order import LOOP
from arena.phases.registry import PHASES, SPECS
from arena.run.fold import Generation
from arena.run.state import Arena
from curricula.domain import Domain, Problem, Rejection, Verdict
from tests.helpers.crashes import Crash

WORDS = ("domains.list_programs.share=0.5", "domains.hidden_words.share=0.5", "rounds.guesser=search")


def start(folder: Path, *overrides: str) -> Arena:
    given = [f"run.folder={folder}", "run.name=run", "generations=2", "rounds.grade=0.5", *overrides]
    return Arena.create(load_config("configs/tiny.yaml", given))


class Counted:
    """A run whose domains count what they parse and verify, by the phase in progress."""

    def __init__(self, arena: Arena) -> None:
        self.phase, self.calls = "", Counter[tuple[str, str]]()
        for domain in arena.state.domains.values():
            self._wrap(domain)

    def _wrap(self, domain: Domain) -> None:
        parse, verify = domain.parse_proposal, domain.verify

        def parse_proposal(text: str) -> Problem | Rejection:
            self.calls[self.phase, "parse"] += 1
            return parse(text)

        def counted_verify(problem: Problem, text: str) -> Verdict:
            self.calls[self.phase, "verify"] += 1
            return verify(problem, text)

        domain.parse_proposal = parse_proposal  # type: ignore[method-assign]
        domain.verify = counted_verify  # type: ignore[method-assign]

    def __call__(self, event: str, data: dict[str, object]) -> None:
        if event == "phase":  # what is called between two of these is the phase, its storing and its fold
            self.phase = str(data["phase"])


@pytest.mark.parametrize("overrides", [(), WORDS], ids=["programs", "words"])
def test_each_text_is_judged_once(overrides: tuple[str, ...], tmp_path: Path) -> None:
    with start(tmp_path, *overrides) as arena:
        counted = Counted(arena)
        play(arena, counted)
        n = {t: arena.store.query(f"SELECT COUNT(*) AS n FROM {t}")[0]["n"] for t in ("problems", "attempts", "grades")}
        tried = arena.store.query("SELECT SUM(k) AS n FROM evaluations WHERE generation > 0")[0]["n"]
    assert n["problems"] and n["attempts"] and n["grades"]
    assert counted.calls["propose", "parse"] == n["problems"]
    assert counted.calls["solve", "verify"] == n["attempts"]
    assert counted.calls["grade", "verify"] == n["grades"]
    assert counted.calls["measure", "verify"] + counted.calls["final", "verify"] == tried
    silent = {"read", "propose", "sleep", "turnover"}
    assert not [at for at in counted.calls if at[1] == "verify" and at[0] in silent]
    assert not [at for at in counted.calls if at[1] == "parse" and at[0] in {"solve", "grade", "sleep", "turnover"}]


@pytest.mark.parametrize("overrides", [(), WORDS], ids=["programs", "words"])
@pytest.mark.parametrize("last", LOOP)
def test_resume_judges_nothing(last: str, overrides: tuple[str, ...], tmp_path: Path) -> None:
    """A run that died after any phase is opened and brought to where it was without a parse or a verification, and
    its rounds are those of the process that died."""

    def crash(event: str, data: dict[str, object]) -> None:
        if event == "done" and (data["generation"], data["phase"]) == (1, last):
            raise Crash

    with start(tmp_path, *overrides) as arena:
        with pytest.raises(Crash):
            play(arena, crash)
        before, seen, bank = arena.state.generation, set(arena.state.seen), list(arena.state.bank.entries)
    with Arena.open(tmp_path / "run") as arena:
        counted = Counted(arena)
        arena.state.generation = Generation(1)
        for phase in PHASES[: LOOP.index(last) + 1]:
            if phase.resume_from:
                phase.fold(arena, {table: arena.store.rows(table, 1) for table in phase.resume_from})
        assert not counted.calls
        assert arena.state.seen == seen and arena.state.bank.entries == bank
        now = arena.state.generation
        assert [vars(r) | {"seen": None, "domain": r.domain.name, "voice": None} for r in now.rounds] == [
            vars(r) | {"seen": None, "domain": r.domain.name, "voice": None} for r in before.rounds
        ]
        assert now.right_guesses == before.right_guesses and now.wrong_guesses == before.wrong_guesses


def test_a_finished_run_opens_without_judging(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("judged again")

    monkeypatch.setattr("curricula.list_programs.ListPrograms.parse_proposal", never)
    monkeypatch.setattr("curricula.list_programs.ListPrograms.verify", never)
    with Arena.open(undisturbed) as arena:
        assert play(arena)


def test_declarations_and_order_agree() -> None:
    assert tuple(p.name for p in PHASES) == LOOP
    assert {p.name for p in SPECS.values() if p.seals} == {"baseline", "measure"}
    assert {p.name for p in SPECS.values() if not p.counted} == {"baseline", "measure", "final"}
