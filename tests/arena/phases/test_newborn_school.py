"""Schools on early and late worked examples: who learns what, that all begin alike, and that nobody else notices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from agents.learner import Example
from arena.phases.measure.newborn_school import PUPIL, classes, schooled
from arena.run.state import Arena
from curricula.replay import Entry
from tests.helpers.culture_runs import entry, peopled

SCHOOLS = [f"school_{hard}{when}" for when in ("early", "late", "any") for hard in ("", "hard_")]


@contextmanager
def played(folder: Path, *overrides: str, school: int = 3) -> Iterator[Arena]:
    """Nine generations with two worked examples each, one of them hard, and one with names."""
    given = (f"measure.ratchet.school={school}", "measure.final_per_depth=1", "sleep.seed_examples=2", *overrides)
    with peopled(folder, "played", *given, generation=9) as arena:
        for g in range(1, 10):
            for rate in (0.1, 0.9):
                entry(arena, arena.state.living[0], g, f"{g}/{rate}", rate, f"rev | {g} {int(10 * rate)} 4")
            named = Entry(f"{g}/named", "hidden_words", "x", "w0 | 3 1 4", "w0 rev", 0.5, g)
            arena.state.bank.add([named])
        yield arena


def test_classes_are_equal_and_of_their_third(tmp_path: Path) -> None:
    with played(tmp_path) as arena:
        found = classes(arena.state, 3)
        assert set(found) == {"school_none", *SCHOOLS} and found.pop("school_none") == []
        for name, entries in found.items():
            assert len(entries) == len({e.post for e in entries}) == 3
            born = {"early": range(1, 4), "late": range(7, 10), "any": range(1, 10)}[name.rpartition("_")[2]]
            assert all(e.generation in born and e.domain == "list_programs" for e in entries), name
        assert classes(arena.state, 3)["school_late"] == found["school_late"]


def test_hard_classes_are_harder(tmp_path: Path) -> None:
    with played(tmp_path) as arena:
        rates = {n: sum(e.solve_rate for e in x) / len(x) for n, x in classes(arena.state, 6).items() if x}
        assert rates["school_early"] == rates["school_late"] == 0.5  # there are six
        rates = {n: sum(e.solve_rate for e in x) / len(x) for n, x in classes(arena.state, 3).items() if x}
        assert all(rates[f"school_hard_{w}"] < 0.5 for w in ("early", "late", "any"))


def test_too_few_examples_give_no_school(tmp_path: Path) -> None:
    with played(tmp_path, school=7) as arena:
        assert classes(arena.state, 7) == {} and schooled(arena) == []
        assert arena.models.tokens.trained == 0


@pytest.mark.parametrize("given", [("measure.ratchet.school=0",), ("sleep.enabled=false",)])
def test_no_school_when_off_or_without_learner(given: tuple[str, ...], tmp_path: Path) -> None:
    with played(tmp_path, *given) as arena:
        assert schooled(arena) == []


def test_pupils_differ_only_in_their_class(tmp_path: Path) -> None:
    with played(tmp_path) as arena:
        learner = arena.models.learner
        assert learner is not None
        before = {k: v.clone() for k, v in learner.state.items()}
        slept: dict[str, Sequence[Example]] = {}
        starts, sleep, add = [], learner.sleep, learner.add

        def watched(examples: Sequence[Example], seed: str):  # type: ignore[no-untyped-def]
            slept[examples[0].agent] = examples
            return sleep(examples, seed)

        def adds(name: str, row: torch.Tensor) -> None:
            starts.append(row.clone())
            add(name, row)

        learner.sleep, learner.add = watched, adds  # type: ignore[method-assign]
        rows = schooled(arena)
        assert set(slept) == {f"{PUPIL}-{n}" for n in ("school_none", *SCHOOLS)}
        assert all(torch.equal(s, starts[0]) for s in starts)
        assert {len(x) for n, x in slept.items() if not n.endswith("none")} == {3 + 2}
        assert len(slept[f"{PUPIL}-school_none"]) == 2
        lessons = [[(e.prompt, e.completion) for e in x[-2:]] for x in slept.values()]
        assert all(x == lessons[0] for x in lessons)  # the same of the seed's own school

        assert {(r["mind"], r["generation"], r["needs"]) for r in rows} == {("schooled", 9, 0)}
        asked = Counter(r["library"] for r in rows)
        assert set(asked) == {"school_none", *SCHOOLS} and len(set(asked.values())) == 1
        problems = {n: [r["problem"] for r in rows if r["library"] == n] for n in asked}
        assert all(p == problems["school_none"] for p in problems.values())
        assert len({r["id"] for r in rows}) == len(rows)

        assert learner.names == arena.state.living
        assert all(torch.equal(v, before[k]) for k, v in learner.state.items())
        assert arena.models.tokens.trained > 0
        learner.sleep, learner.add = sleep, add  # type: ignore[method-assign]
        assert schooled(arena) == rows
