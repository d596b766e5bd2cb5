"""The analysis of small stores built by hand, whose figures can be counted on fingers."""

import io
import json

import pytest
from rich.console import Console

from arena.config.schema import make_config
from arena.phases.order import LOOP
from arena.report.figures.figure import spread
from arena.report.metrics.heldout import telling
from arena.report.metrics.run_summary import analyze
from arena.report.source import Source
from arena.report.terminal import print_report
from arena.report.write import build_sections
from arena.run.store import Store


def config(generations=2, domains=("list_programs", "hidden_words")):
    share = 1 / len(domains)
    data = {"run": {"name": "by-hand"}, "seed": 7, "generations": generations}
    return make_config(data | {"domains": {name: {"share": share} for name in domains}})


def printed(store, config, width=80):
    """What `analyze --no-plots` prints."""
    console = Console(width=width, file=io.StringIO())
    source = Source(store.path.parent, store, config, analyze(store, config))
    print_report(console, source, build_sections(source, replay=False))
    return console.file.getvalue()


def phase(g, name, prompt=10, generated=20, trained=0, counted=1):
    tokens = {"prompt_tokens": prompt, "generated_tokens": generated, "trained_tokens": trained}
    return {"generation": g, "phase": name, **tokens, "counted": counted}


def problem(g, number, depth=None, reason="ok", behaviour="b", domain="list_programs"):
    row = dict.fromkeys(("proposal", "detail", "text_key", "features", "logprob", "tokens"))
    row |= {"text": f"rev {number} | 1" if reason == "ok" else None}
    row |= {"round": f"g{g}r{number}", "generation": g, "domain": domain, "author": "ada"}
    return row | {"valid": int(reason == "ok"), "reason": reason, "depth": depth, "behaviour_key": behaviour}


def outcome(g, number, rate):
    learnable = int(rate is not None and 0 < rate < 1)
    return {
        "round": f"g{g}r{number}",
        "generation": g,
        "solve_rate": rate,
        "learnable": learnable,
        "setter_reward": 0.0,
    }


def evaluation(g, mode, depth, problem, correct, k=1, reading=None, domain="list_programs", agent="ada"):
    row = {"id": f"{g}/{mode}/{depth}/{problem}/{reading}/{agent}", "generation": g, "domain": domain, "split": "dev"}
    row |= {"depth": depth, "agent": agent, "problem": problem, "reading": reading, "mode": mode, "k": k}
    return row | {"correct": correct, "answer_correct": correct}


def post(g, seq, kind, author, title, body, cites=()):
    row = {"id": f"id{seq}", "seq": seq, "generation": g, "kind": kind, "author": author, "title": title, "body": body}
    return row | {"cites": json.dumps(list(cites)), "about": "", "public_key": "", "signature": ""}


def read(number, g, phase, post):
    row = {"id": f"read{number}", "generation": g, "phase": phase, "agent": "ada", "request": "r"}
    return row | {"post": post, "propensity": 1.0}


def agent(number, name, born=0, parents=(), inherited="nothing"):
    row = {"name": name, "number": number, "born": born, "parents": json.dumps(list(parents))}
    return row | {"inherited": inherited, "public_key": ""}


def names_rows(g, mode, results):
    """Rows for {problem: (right with reading, right without)}."""
    return [
        evaluation(g, mode, 1, text, right, reading=reading, domain="hidden_words")
        for text, (with_, without) in results.items()
        for reading, right in ((0, without), (1, with_))
    ]


@pytest.fixture
def store(tmp_path):
    """Two generations, finished: every table has a few rows."""
    made = Store(tmp_path / "run.db", create=True)
    phases = [phase(0, "birth", 0, 0), phase(0, "baseline", 100, 200, counted=0)]
    for g in (1, 2):
        phases += [
            phase(g, name, 0, 0, counted=int(name != "measure")) for name in LOOP if name not in ("solve", "sleep")
        ]
        phases += [phase(g, "solve"), phase(g, "sleep", 0, 0, 5)]
    phases.append(phase(2, "final", 1, 1, counted=0))
    full = [(3, "a", 0, 1), (3, "b", 1, 1), (4, "c", 0, 1), (4, "d", 0, 0), (1, "e", 1, 1)]  # (.., before, after)
    records = {
        "phases": phases,
        "telemetry": [
            {"generation": p["generation"], "phase": p["phase"], "seconds": 0.5, "finished": ""} for p in phases
        ],
        "agents": [agent(0, "ada"), agent(1, "bob"), agent(2, "cy", 2, ["ada"], "weights")],
        "retirements": [{"name": "bob", "generation": 2, "reward": 0.1}],
        "rewards": [
            {"generation": 1, "agent": "ada", "role": "solver", "reward": 1.0, "n": 1},
            {"generation": 2, "agent": "ada", "role": "solver", "reward": 0.0, "n": 3},
        ],
        "problems": [
            problem(1, 0, 2, behaviour="x"),
            problem(1, 1, 5, behaviour="y"),
            problem(1, 2, reason="duplicate", behaviour=None),
            problem(2, 0, 4),
            problem(2, 1, reason="held-out", behaviour=None),
        ],
        "outcomes": [
            outcome(1, 0, 1.0),
            outcome(1, 1, 0.5),
            outcome(1, 2, None),
            outcome(2, 0, 0.25),
            outcome(2, 1, None),
        ],
        "grades": [
            {
                "id": f"grade{i}",
                "generation": 1,
                "round": "g1r0",
                "attempt": "",
                "grader": "bob",
                "text": "",
                "answer": None,
                "says_correct": agrees,
                "agrees": agrees,
            }
            for i, agrees in enumerate((1, 1, 0, None))
        ],
        "guesses": [
            {
                "id": f"q{i}",
                "generation": 1,
                "agent": "ada",
                "name": "w1",
                "prompt": "",
                "text": "",
                "correct": c,
                "reason": "",
            }
            for i, c in enumerate((0, 1))
        ],
        "posts": [
            post(1, 1, "definition", "ada", "w1", "w1 = rev inc"),
            post(1, 2, "worked_example", "bob", "rev | 1 2", "rev 2 1 answer 2 1", ["id1"]),
            post(2, 3, "worked_example", "bob", "inc [b] | 1", "inc 2 answer 2", ["id2"]),
        ],
        "reads": [read(0, 2, "propose", "id2"), read(1, 2, "solve", "id1"), read(2, 2, "sleep", "id3")],
        "evaluations": [
            *(evaluation(0, "full", d, p, before) for d, p, before, _ in full),
            *(evaluation(2, "full", d, p, after) for d, p, _, after in full),
            evaluation(0, "pass", 3, "a", 0, k=4),
            evaluation(0, "pass", 3, "b", 1, k=4),
            evaluation(1, "greedy", 3, "a", 1),
            evaluation(2, "greedy", 3, "a", 0),
            *names_rows(1, "greedy", {"w1 rev | 1": (1, 0), "rev w2 | 1": (0, 0)}),
            *names_rows(2, "greedy", {"w1 rev | 1": (0, 1)}),
            *names_rows(2, "full", {"w1 rev | 1": (1, 0), "w1 inc | 2": (0, 0), "w2 inc | 2": (0, 0)}),
        ],
    }
    with made.transaction():
        made.insert(records)
    yield made
    made.close()


def test_generations_hold_what_was_set_and_solved(store):
    first, second = analyze(store, config())["generations"]
    assert (first["proposed"], first["valid"], first["learnable"]) == (3, 2, 1)
    assert (first["mean_difficulty"], first["solve_rate"]) == (3.5, 0.75)
    assert (first["depths"], first["rejections"]) == ({"2": 1, "5": 1}, {"duplicate": 1})
    assert (first["guesses"], first["right_guesses"]) == (2, 1)
    assert first["grader_agreement"] == pytest.approx(2 / 3)
    assert (second["posts"], second["reads"]) == (1, 2)
    assert second["seconds"] == pytest.approx(0.5 * len(LOOP))  # without the final evaluation


def test_tokens_of_evaluation_are_told_apart(store):
    found = analyze(store, config())
    first = found["generations"][0]
    assert (first["prompt_tokens"], first["generated_tokens"], first["trained_tokens"]) == (10, 20, 5)
    assert found["compute"]["counted"] == 2 * (10 + 20 + 3 * 5)
    assert found["compute"]["evaluation"] == 302


def test_full_measurement_replaces_the_small_one(store):
    """A generation measured twice has one entry per depth, that of the full measurement."""
    found = {(h["generation"], h["depth"]): h for h in analyze(store, config())["heldout"]}
    assert len(found) == 7
    assert (found[2, 3]["mode"], found[2, 3]["pass_at_1"], found[2, 3]["n"]) == ("full", 1.0, 2)
    assert (found[1, 3]["pass_at_1"], found[1, 3]["pass_at_k"], found[1, 3]["k"]) == (1.0, 1.0, 1)


def test_pass_at_k_comes_from_the_samples(store):
    before = next(h for h in analyze(store, config())["heldout"] if (h["generation"], h["depth"]) == (0, 3))
    assert (before["pass_at_1"], before["pass_at_k"], before["k"]) == (0.5, 0.5, 4)


def test_headline_is_of_the_telling_depths():
    """Depths that are never or always solved both times are left out, one that goes from never to always is not."""
    before, after = {0: 1.0, 1: 0.4, 2: 0.0, 3: 0.0, 4: 0.0, 5: 1.0}, {0: 1.0, 1: 0.4, 2: 0.1, 3: 0.0, 4: 1.0, 5: 0.9}
    assert telling(before, after) == [1, 2, 4, 5]
    assert telling(before, {}) == [1]
    assert telling({3: 0.0, 4: 0.0}, {3: 0.0, 4: 0.0}) == [3, 4]  # nothing else to report
    assert telling({}, {}) == []


def test_headline_of_a_weak_model(tmp_path):
    """A model that solves only levels 0 to 2 has these in its headline, with intervals that reflect three problems a
    level; depths 3 to 6 keep a mean of their own."""
    made = Store(tmp_path / "run.db", create=True)
    rows = []
    for g in (0, 2):
        right = {0: 3, 1: 1 + g // 2, 2: g // 2}
        rows += [evaluation(g, "full", d, f"p{d}{i}", int(i < right.get(d, 0))) for d in range(7) for i in range(3)]
    with made.transaction():
        played = [phase(g, name) for g in (1, 2) for name in LOOP]
        made.insert({"phases": [phase(0, "baseline"), *played, phase(2, "final")], "evaluations": rows})
    found = analyze(made, config())
    head, named = found["heldout_before_after"], found["heldout_3_6"]
    assert (head["depths"], head["before"]["mean"], head["after"]["mean"]) == ([1, 2], pytest.approx(1 / 6), 0.5)
    assert head["gain"]["mean"] == pytest.approx(1 / 3) and head["gain"]["low"] < 0 < head["gain"]["high"] < 1
    assert (named["depths"], named["after"]["mean"], named["after"]["low"]) == ([3, 4, 5, 6], 0.0, 0.0)
    # four depths of none in three: each reaches to .5615, so the mean to .5615 * sqrt(4) / 4
    assert named["after"]["high"] == pytest.approx(0.5615 / 2, abs=1e-4)
    assert named["gain"]["low"] == pytest.approx(-0.5544 / 2, abs=1e-4)
    text = " ".join(printed(made, config(), 200).split())
    for part in (
        "pass rate at depths 1-2 0.17",
        "mean 3-6 0.00 [0.00, 0.28] 0.00 [0.00, 0.28]",
        "mean 1-2 0.17",
        "; at depths 3-6: +0.00 [-0.28, +0.28]",
        "leaves out depths 3-6 (never solved) and 0 (always solved), before and after.",
    ):
        assert part in text, (part, text[:3000])


def test_gain_is_paired_over_depths(store):
    """Before and after are means over depths, and the gain is paired by problem. Depth 1 is always solved."""
    found = analyze(store, config())["heldout_before_after"]
    assert (found["depths"], found["generation"]) == ([3, 4], 2)
    assert (found["before"]["mean"], found["after"]["mean"], found["before"]["n"]) == (0.25, 0.75, 4)
    assert found["gain"]["mean"] == 0.5
    assert found["gain"]["low"] <= 0.5 <= found["gain"]["high"]


def test_names_are_paired(store):
    """Attempts with and without reading are paired; a name is known if the library defines it."""
    found = analyze(store, config())["names"]
    first = found["generations"][0]
    assert first["all"] == {"with_reading": 0.5, "without_reading": 0.0, "difference": 0.5, "n": 2}
    assert (first["known"]["n"], first["known"]["difference"]) == (1, 1.0)
    assert found["overall"]["all"]["n"] == 5  # of generation 2 the full evaluation counts
    assert (found["final"]["known"]["n"], found["final"]["known"]["difference"]) == (2, 0.5)
    assert found["final"]["known"]["low"] is None  # one name cannot tell how names differ
    assert found["final"]["all"]["low"] is not None


def test_names_are_absent_without_hidden_words(store):
    assert analyze(store, config(domains=("list_programs",)))["names"] is None


def test_library_tells_reading_from_sleeping(store):
    library = analyze(store, config())["library"]
    assert (library["posts"], library["reads"], library["sleep_reads"]) == (3, 2, 1)
    assert library["by_kind"] == {"definition": 1, "worked_example": 2}
    assert library["by_author"] == {"bob": 2, "ada": 1}
    assert library["longest_chain"] == 2
    assert library["cited_by_others"] == pytest.approx(1 / 3)
    assert library["examples"]["worked_example"]["title"] == "rev | 1 2"


def test_agents_have_lives_parents_and_rewards_by_act(store):
    ada, bob, cy = analyze(store, config())["agents"]
    assert ada["rewards"] == {"solver": 0.25}
    assert (ada["retired"], bob["retired"]) == (None, 2)
    assert (cy["born"], cy["parents"], cy["inherited"]) == (2, ["ada"], "weights")


def test_a_grader_without_an_answer_has_no_vote(store):
    assert analyze(store, config())["grading"] == {"graded": 4, "no_vote": 1, "agreement": pytest.approx(2 / 3)}


def test_the_analysis_is_strict_json(store):
    found = analyze(store, config())
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("generations", [0, 3])
def test_a_store_with_nothing_in_it_is_analysed(tmp_path, generations):
    empty = Store(tmp_path / "run.db", create=True)
    found = analyze(empty, config(generations))
    assert (found["generations"], found["heldout"], found["agents"], found["finished"]) == ([], [], [], False)
    assert found["heldout_before_after"]["gain"] is None
    assert "generations of list programs and hidden words" in " ".join(printed(empty, config(generations)).split())


def test_no_generations_has_no_gain(tmp_path):
    """A run of no generations counts one measurement and has no gain."""
    made = Store(tmp_path / "run.db", create=True)
    both = [evaluation(0, "full", 3, "a", 1) | {"id": f"g0000/{place}/full/0"} for place in ("before", "after")]
    with made.transaction():
        made.insert({"phases": [phase(0, "baseline"), phase(0, "final")], "evaluations": both})
    found = analyze(made, config(0))
    assert [h["n"] for h in found["heldout"]] == [1]
    assert "No generation was played" in printed(made, config(0))


def test_figures_of_phases_not_played_are_none(tmp_path):
    begun = Store(tmp_path / "run.db", create=True)
    with begun.transaction():
        begun.insert({"phases": [phase(1, "read"), phase(1, "propose")], "problems": [problem(1, 0, 3)]})
    (first,) = analyze(begun, config())["generations"]
    assert (first["complete"], first["valid"]) == (False, 1)
    assert [first[key] for key in ("learnable", "solve_rate", "posts", "reads")] == [None] * 4
    assert "played 0 of 2 generations" in printed(begun, config())


def test_warns_of_empty_library_and_unfinished(tmp_path):
    """There are warnings for an empty library and for an unfinished run."""
    made = Store(tmp_path / "run.db", create=True)
    with made.transaction():
        made.insert({"phases": [phase(1, name) for name in LOOP]})
    warnings = " ".join(analyze(made, config())["warnings"])
    assert "not finished: 1 of 2 generations" in warnings
    assert "library is empty" in warnings


def test_proposals_that_grow_alike_are_warned_of(tmp_path):
    made = Store(tmp_path / "run.db", create=True)
    alike = [problem(g, i, 3, behaviour="same" if g == 2 else str(i)) for g in (1, 2) for i in range(30)]
    with made.transaction():
        made.insert({"phases": [phase(g, name) for g in (1, 2) for name in LOOP], "problems": alike})
    assert any("Distinct proposals are falling" in w for w in analyze(made, config())["warnings"])


@pytest.mark.parametrize("width", [80, 200])
def test_report_fits_the_terminal(store, width):
    """The report fits the terminal and shows agents' text without interpreting markup."""
    text = printed(store, config(), width)
    assert max(map(len, text.splitlines())) <= width
    for part in (
        "Run by-hand, seed 7",
        "mean 3-4",
        "Gain at depths 3-4: +0.50",
        "Held-out problems with names",
        "weights of ada",
    ):
        assert part in text
    assert text.count("…") == 2  # keys of the two authors, shortened; no cell is cut off


def test_spread_keeps_first_and_last():
    """`spread` keeps the first, the last and evenly spaced items."""
    assert spread(range(1, 101), 4) == [1, 34, 67, 100]
    assert spread([1, 2], 4) == [1, 2]
