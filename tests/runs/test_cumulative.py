"""Does culture accumulate: a chain of mortals against lives of their own, and what a change is made of."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest

from agents.identity import KeyRing
from arena.config.schema import load_config
from arena.loop import play
from arena.report.metrics.lineage import Descent, readings, variations
from arena.run.state import Arena
from arena.run.store import Store
from culture.library import Library
from culture.posts import Post, sign_post
from culture.transmission import price

# -- social and individual learning ------------------------------------------------------------------------------

AGENTS, GENERATIONS, SEEDS = 3, 8, (0, 1, 2)
SHARED = [
    f"population.agents={AGENTS}",
    f"generations={GENERATIONS}",
    "domains.hidden_words.levels=4",
    "sleep.enabled=false",  # frozen weights: what lasts is what was written
    "rounds.per_agent=1",
    "rounds.grade=0",
    "library.kinds=[definition]",
    "measure.per_depth=0",
    "measure.final_per_depth=1",
    "measure.passes=1",
]
MORTAL, IMMORTAL = ["turnover.policy=age", "turnover.life=1"], ["turnover.policy=none", "library.network=self"]
ARMS = {
    "chain": MORTAL,
    "alone": [*MORTAL, "library.network=self"],
    "forgetful": [*IMMORTAL, "library.reading=false"],
    "diarist": IMMORTAL,
}


def names_found(folder: Path, arm: str, guesser: str, guesses: int) -> list[list[int]]:
    """By seed: how many names each lineage guessed right, of mortals all together, of three immortals each one.

    A lineage has `guesses` guesses a place and generation of the chain, so an immortal has as many as the chain.
    """
    mortal, found = arm in ("chain", "alone"), []
    for seed in SEEDS:
        given = [f"run.folder={folder}", f"run.name={arm}-{guesser}-{seed}", f"seed={seed}", *SHARED, *ARMS[arm]]
        given += [f"rounds.guesser={guesser}", f"rounds.guesses={guesses if mortal else guesses * AGENTS}"]
        with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
            play(arena)
            rows = arena.store.query("SELECT agent, name, correct FROM guesses")
        agents = sorted({r["agent"] for r in rows})
        assert len(agents) == (AGENTS * GENERATIONS if mortal else AGENTS)
        lives = [agents] if mortal else [[a] for a in agents]
        for life in lives:
            assert sum(r["agent"] in life for r in rows) == AGENTS * GENERATIONS * guesses
        found.append([len({r["name"] for r in rows if r["correct"] and r["agent"] in life}) for life in lives])
    return found


def mean(found: list[list[int]]) -> float:
    return sum(sum(lives) / len(lives) for lives in found) / len(found)


@pytest.mark.slow
def test_chain_with_library_beats_one_life(tmp_path: Path) -> None:
    """Cook et al. 2024 ("Artificial Generational Intelligence"): social with individual learning beats a single
    lifetime. Individual learning is search here. The controls say where the gain comes from: mortals who read nobody
    find no more than a life without notes, and an immortal with notes of its own no less than the chain: what
    accumulates is what is written down, and dying costs it nothing."""
    found = {arm: names_found(tmp_path, arm, "search", 2) for arm in ARMS}
    for chain, life in zip(found["chain"], found["forgetful"], strict=True):
        assert chain[0] > max(life), found
    assert mean(found["chain"]) >= 1.5 * mean(found["forgetful"]), found
    assert mean(found["chain"]) >= 1.5 * mean(found["alone"]), found
    assert mean(found["chain"]) >= 0.7 * mean(found["diarist"]), found


@pytest.mark.slow
def test_chain_beats_one_life_with_model_guesses(tmp_path: Path) -> None:
    """The same holds if the language model guesses."""
    found = {arm: names_found(tmp_path, arm, "self", 24) for arm in ("chain", "forgetful")}
    assert mean(found["chain"]) >= 1.25 * mean(found["forgetful"]), found


# -- what a change is made of ------------------------------------------------------------------------------------


def parts(descent: Descent) -> tuple[Fraction, Fraction, Fraction]:
    """Cov(w, z) / mean w, E[w dz] / mean w, and the change of the mean of z (Price 1970), without rounding."""
    z = {k: Fraction(v) for k, v in descent.parents.items()}
    children = {k: [Fraction(t) for (parent,), t in descent.offspring if parent == k] for k in z}
    n, w = len(z), {k: Fraction(len(c)) for k, c in children.items()}
    mean_w, mean_z = sum(w.values(), Fraction(0)) / n, sum(z.values(), Fraction(0)) / n
    selection = sum(((w[k] - mean_w) * (z[k] - mean_z) for k in z), Fraction(0)) / n / mean_w
    transmission = sum((sum(children[k], Fraction(0)) - w[k] * z[k] for k in z), Fraction(0)) / n / mean_w
    born = [t for c in children.values() for t in c]
    return selection, transmission, sum(born, Fraction(0)) / len(born) - mean_z


def test_lineage_is_read_from_the_run(empty: Path) -> None:
    """Of three worked examples of generation 1, one was varied twice into deeper ones, one once, one never."""
    store, ring = Store(empty / "run.db"), KeyRing(empty / "keys")
    key, made = ring.ensure("ada").public_key, list[Post]()
    plan = [(1, 2, None), (1, 4, None), (1, 3, None), (2, 3, 0), (2, 4, 0), (3, 4, 1), (3, 5, 4)]
    with store.transaction():
        for i, (g, depth, parent) in enumerate(plan):
            about = f"list_programs/r{i}"
            made.append(Post("worked_example", "ada", g, f"rev {i} | 1", "x", (), about))
            whose = None if parent is None else made[parent].id
            store.insert({"rounds": [{"id": f"r{i}", "generation": g, "number": i, "parent_post": whose}]})
            store.insert({"problems": [{"round": f"r{i}", "generation": g, "depth": depth}]})
        # a problem that was varied from a worked example and became none has no descendants to be counted
        store.insert({"rounds": [{"id": "r9", "generation": 3, "number": 9, "parent_post": made[0].id}]})
        store.insert({"problems": [{"round": "r9", "generation": 3, "depth": 9}]})
        named = [Post("definition", "ada", 1, name, f"{name} = rev inc") for name in ("w0", "w8")]
        signed = [sign_post(p, key, partial(ring.sign, "ada")) for p in (*made, *named)]
        assert [why for _, why in Library(store.db).add(signed, lambda p: None)] == [None] * 9
        read = {"generation": 2, "agent": "bob", "request": "q", "propensity": 1.0}
        whats = [("solve", named[1]), ("propose", named[1]), ("solve", named[0]), ("sleep", named[0])]
        store.insert({"reads": [{"id": f"{i}", "phase": p, "post": d.id, **read} for i, (p, d) in enumerate(whats)]})
    varied, read_ = variations(store)[1], readings(store)[2]
    assert list(varied.parents.values()) == [2, 4, 3]
    assert varied.offspring == [((made[0].id,), 3), ((made[0].id,), 4), ((made[1].id,), 4)]
    assert parts(varied) == (Fraction(-1, 3), Fraction(1), Fraction(2, 3))
    assert read_.parents == {named[0].id: 1.0, named[1].id: 2.0} and len(read_.offspring) == 3
    assert parts(read_) == (Fraction(1, 6), Fraction(0), Fraction(1, 6))
    assert list(readings(store)) == [2] and list(variations(store)) == [1, 2, 3]
    assert variations(store)[3].offspring == [] and len(variations(store)[2].parents) == 2
    store.close()


@pytest.mark.slow
def test_price_parts_add_up_exactly(tmp_path: Path) -> None:
    """On a run as it was played: of depths of worked examples, and of levels of definitions that were read."""
    given = [f"run.folder={tmp_path}", "generations=5", "sleep.enabled=false", "rounds.per_agent=20", "rounds.vary=1"]
    given += ["rounds.guesser=search", "domains.hidden_words.levels=3", "measure.per_depth=0"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:
        play(arena)
    store = Store(tmp_path / "tiny" / "run.db")
    descents = [*variations(store).values(), *readings(store).values()]
    store.close()
    told = [parts(d) for d in descents if d.offspring]
    assert len(told) >= 6
    for selection, transmission, change in told:
        assert selection + transmission == change
    by_measure = [price(d.parents, d.offspring) for d in descents if d.offspring]
    for exact, rounded in zip(told, by_measure, strict=True):
        parts_ = (rounded.selection, rounded.transmission, rounded.change)
        assert parts_ == pytest.approx([float(x) for x in exact], abs=1e-12)
    assert any(s for s, _, _ in told) and any(t for _, t, _ in told)
