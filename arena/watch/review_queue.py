"""What lies on the reviewer's desk, ordered by how much a human verdict would tell.

Checking is the scarce resource: each generation puts at most `review.per_generation` items on the desk, those of the
highest score, and posts that wait for approval come on top. An item's score is the sum of what speaks for it, at most
1, and each summand stands beside it in words:

    0.50  the grader and execution disagree on an attempt: one of them is wrong, and a label says which
    0.25  the answer of an attempt is right and its trace is not: luck, copying, or a verifier that is too strict
    0.20  times overlap: of the two solvers whose ratings are nearest, this one failed at a problem that the other one
          solved; overlap is the share of their 95 % intervals that is common
    0.15  the attempt was graded while graders are under alarm: they agree with execution in less than 75 % of votes
    0.05  the attempt was graded: a label calibrates its grader
    0.60  times |uplift| times half the width of its interval: a definition whose uplift is large (half or more) and
          whose interval includes no uplift at all: little evidence
    0.40  a post waits for approval; 0.20 more for a definition, which everybody who meets the name will read;
          0.20 times 1 - p more for a worked example of solve rate p; 0.20 more if a grader and execution disagreed on
          its round

The numbers are an order, not an estimate: they say what to look at first.

Reads through indices, the last RECENT generations only, and each generation once it is settled only once; whatever is
older than that and was not decided leaves the desk, except posts that wait. Left out: learning the weights from what
reviewers found. Not guaranteed: that two watchers skip the same items; skipping is not stored.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from arena.report.metrics.paired_uplift import EVALUATIONS, Outcome, Pairs, uplifts
from arena.report.metrics.run_summary import MIN_PROPOSALS
from arena.report.stats.ratings import Rating, Ratings
from arena.watch.models import Run
from arena.watch.queries.base import dicts

RECENT = 5
"""Generations whose items lie on the desk."""
RACES = 20
"""Generations that ratings are made from."""
GRADERS = 10
"""Generations over which graders are under alarm or not."""
MOST_WAITING = 200
"""Waiting posts on the desk, the oldest first."""

ATTEMPT, POST, WAITING = "attempt", "post", "waiting post"


@dataclass(frozen=True)
class Item:
    """Something to decide on. `round` is None where it has none (definitions); `title` is an agent's text."""

    subject: str
    what: str
    generation: int
    score: float
    why: tuple[str, ...]
    agents: tuple[str, ...]
    title: str
    round: str | None


class Queue:
    """The desk of one run. One thread at a time may call `items`."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.known: dict[int, tuple[frozenset[str], list[Item]]] = {}  # by generation: phases it was made from, items
        self.more = False
        """Whether generations are left to be scored: call again."""

    def items(self, db: sqlite3.Connection, budget: float = 0.05) -> list[Item]:
        """What nobody has decided on yet, the highest score first. New generations are scored for `budget` seconds."""
        end = time.monotonic() + budget
        phases: dict[int, set[str]] = defaultdict(set)
        latest = db.execute("SELECT MAX(generation) FROM phases").fetchone()[0] or 0
        for g, phase in db.execute("SELECT generation, phase FROM phases WHERE generation > ?", [latest - RECENT]):
            if phase in ("grade", "measure"):
                phases[g].add(phase)
        self.known = {g: kept for g, kept in self.known.items() if g in phases and kept[0] == phases[g]}
        for g in sorted(phases.keys() - self.known.keys(), reverse=True):
            self.known[g] = (frozenset(phases[g]), of_generation(db, g, self.run.per_generation))
            if time.monotonic() > end:
                break
        self.more = len(self.known) < len(phases)
        newest = max(self.known, default=0)
        found = {
            item.subject: item
            for g, (_, items) in self.known.items()
            for item in items
            if item.what == ATTEMPT or g == newest  # older evidence on a post is contained in the newest
        }
        found |= {item.subject: item for item in waiting(db)}
        done = decided(db, found)
        return ordered(i for i in found.values() if i.subject not in done)


def ordered(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda i: (-i.score, -i.generation, i.subject))


def decided(db: sqlite3.Connection, subjects: Iterable[str]) -> set[str]:
    """Those of `subjects` on which a decision was taken, or waits to be."""
    wanted = json.dumps(list(subjects))
    sql = "SELECT subject FROM receipts WHERE decision != 'void' AND subject IN (SELECT value FROM json_each(?))"
    taken = {row[0] for row in db.execute(sql, [wanted])}
    return taken | {r[0] for r in db.execute("SELECT subject FROM control WHERE kind = 'decision' AND taken IS NULL")}


def of_generation(db: sqlite3.Connection, g: int, most: int) -> list[Item]:
    """The items of one generation with the highest scores, at most `most`."""
    return ordered([*attempts(db, g), *doubtful_definitions(db, g)])[:most]


def one_an_answer(items: Iterable[tuple[str | None, Item]]) -> list[Item]:
    """Of attempts at one problem with the same answer the item of the highest score: the others would ask it again."""
    best: dict[tuple[str | None, str | None], Item] = {}
    for answer, item in items:
        key = (item.round, answer)
        best[key] = ordered([item, *([best[key]] if key in best else [])])[0]
    return list(best.values())


# -- attempts ------------------------------------------------------------------------------------------------------


def attempts(db: sqlite3.Connection, g: int) -> list[Item]:
    """The attempts of one generation that something speaks for."""
    grades = {row["attempt"]: row for row in dicts(db, f"SELECT * FROM grades WHERE {_ids(g)}")}
    alarm = graders_alarm(db, g)
    tie, overlap = nearest_pair(db, g)
    sql = (
        "SELECT id, round, agent, number, answer, correct, answer_correct FROM attempts WHERE generation = ?"
        " AND (answer_correct > correct OR agent IN (?, ?)"
        f" OR id IN (SELECT attempt FROM grades WHERE {_ids(g)})) ORDER BY rowid"
    )
    rows = dicts(db, sql, [g, *(tie or ("", ""))])
    solved: dict[str, dict[str, bool]] = defaultdict(dict)
    for a in rows:
        solved[a["round"]][a["agent"]] = solved[a["round"]].get(a["agent"], False) or bool(a["correct"])
    found = []
    for a in rows:
        why: list[tuple[float, str]] = []
        agents = [a["agent"]]
        grade = grades.get(a["id"])
        if grade is not None:
            agents.append(grade["grader"])
            if grade["agrees"] == 0:
                says, is_ = ("right", "wrong") if grade["says_correct"] else ("wrong", "right")
                why.append((0.5, f"grader {grade['grader']} says {says}, execution says {is_}"))
            if alarm is not None:
                why.append((0.15, f"graders are under alarm: they agree with execution in {alarm:.0%} of their votes"))
            why.append((0.05, "a label calibrates its grader"))
        if a["answer_correct"] and not a["correct"]:
            why.append((0.25, "the answer is right, the trace is not"))
        here = solved[a["round"]]
        if tie and a["agent"] in tie and a["number"] == 0 and not here[a["agent"]]:
            other = tie[1 - tie.index(a["agent"])]
            if here.get(other):
                why.append((0.2 * overlap, f"rated like {other}, who solved it: intervals {overlap:.0%} the same"))
        if why:
            found.append((a, agents, why))
    titles = _titles(db, {a["round"] for a, _, _ in found})
    return one_an_answer(
        (a["answer"], Item(a["id"], ATTEMPT, g, *_sum(why), tuple(agents), titles.get(a["round"], ""), a["round"]))
        for a, agents, why in found
    )


def graders_alarm(db: sqlite3.Connection, g: int) -> float | None:
    """The graders' agreement with execution over the last generations if it is low, by the rule of the report."""
    sql = "SELECT COUNT(*), COUNT(agrees), SUM(agrees) FROM grades WHERE id >= ? AND id < ?"
    n = votes = right = 0
    for at in range(max(1, g - GRADERS + 1), g + 1):
        row = db.execute(sql, _range(at)).fetchone()
        n, votes, right = n + row[0], votes + row[1], right + (row[2] or 0)
    return right / votes if n >= MIN_PROPOSALS and votes and right / votes < 0.75 else None


def nearest_pair(db: sqlite3.Connection, g: int) -> tuple[tuple[str, str] | None, float]:
    """The two solvers whose ratings after `g` have the most in common, and how much: common over whole interval."""
    races: dict[int, dict[str, float]] = defaultdict(dict)
    sql = "SELECT generation, agent, reward FROM rewards WHERE generation > ? AND generation <= ? AND role = 'solver'"
    for at, agent, reward in db.execute(sql, [g - RACES, g]):
        races[at][agent] = reward
    ratings = Ratings()
    for at in sorted(races):
        ratings.race(at, "solver", races[at])
    now = {agent: r for agent in sorted(races.get(g, {})) if (r := ratings.at("solver", agent)) is not None}
    pairs = [(common(now[a], now[b]), a, b) for a, b in combinations(now, 2)]
    if not pairs:
        return None, 0.0
    overlap, a, b = max(pairs, key=lambda p: p[0])
    return (a, b), overlap


def common(a: Rating, b: Rating) -> float:
    """Length of what two intervals share, over the length of what they cover together."""
    shared = min(a.high, b.high) - max(a.low, b.low)
    return max(0.0, shared) / (max(a.high, b.high) - min(a.low, b.low))


# -- posts ---------------------------------------------------------------------------------------------------------


def doubtful_definitions(db: sqlite3.Connection, g: int) -> list[Item]:
    """Definitions of the last RECENT generations, all of whose evidence is as recent, of a large, uncertain uplift."""
    sql = "SELECT title, id, author, generation FROM posts WHERE kind = 'definition' AND generation > ? ORDER BY seq"
    rows = reversed(db.execute(sql, [g - RECENT]).fetchall())  # of several with one title, the first is in force
    new = {title: (id_, author, born) for title, id_, author, born in rows}
    if not new:
        return []
    pairs = Pairs()
    asked = db.execute(f"{EVALUATIONS} AND generation > ? AND generation <= ? ORDER BY rowid", [g - RECENT, g])
    pairs.add(row[1:] for row in asked)
    counts: dict[str, Counter[Outcome]] = {name: pairs.counts(name, born, g) for name, (_, _, born) in new.items()}
    found = []
    for name, u in uplifts(counts).items():
        if abs(u.difference) >= 0.5 and u.low <= 0.0 <= u.high:
            id_, author, born = new[name]
            score = 0.6 * abs(u.difference) * min(1.0, (u.high - u.low) / 2)
            said = f"uplift {u.difference:+.2f} [{u.low:+.2f}, {u.high:+.2f}] from {u.n} pairs"
            found.append(Item(id_, POST, born, *_sum([(score, said)]), (author,), name, None))
    return found


def waiting(db: sqlite3.Connection) -> list[Item]:
    """The posts that wait for approval, the oldest first."""
    sql = "SELECT id, generation, kind, author, title, body, about FROM waiting WHERE decided IS NULL"
    sql += " ORDER BY generation LIMIT ?"
    rows = dicts(db, sql, [MOST_WAITING])
    rounds = {r["id"]: r["about"].rpartition("/")[2] for r in rows if r["kind"] == "worked_example"}
    wanted = json.dumps(sorted(set(rounds.values())))
    sql = "SELECT round, solve_rate FROM outcomes WHERE round IN (SELECT value FROM json_each(?))"
    rates = dict(db.execute(sql, [wanted]).fetchall())
    sql = "SELECT round FROM grades WHERE id IN (SELECT value || '/grader' FROM json_each(?)) AND agrees = 0"
    doubted = {row[0] for row in db.execute(sql, [wanted])}
    found = []
    for r in rows:
        why = []
        round_ = rounds.get(r["id"])
        if r["kind"] == "definition":
            why.append((0.2, "everybody who meets the name will read it"))
        if round_ in doubted:
            why.append((0.2, "a grader disagreed with execution in its round"))
        if (p := rates.get(round_ or "")) is not None:
            why.append((0.2 * (1 - p), f"solved in {p:.0%} of attempts"))
        score, said = _sum([(0.4, ""), *why])
        said = (*said[1:], "waits for approval")  # what tells it from the others first
        title = r["body"] if r["kind"] == "definition" else r["title"]
        found.append(Item(r["id"], WAITING, r["generation"], score, said, (r["author"],), title, round_))
    return found


# -- helpers -------------------------------------------------------------------------------------------------------


def _sum(why: list[tuple[float, str]]) -> tuple[float, tuple[str, ...]]:
    """The score, and the reasons with the weightiest first."""
    return min(1.0, sum(w for w, _ in why)), tuple(text for _, text in sorted(why, key=lambda x: -x[0]))


def _titles(db: sqlite3.Connection, rounds: set[str]) -> dict[str, str]:
    sql = "SELECT round, COALESCE(text, proposal, '') FROM problems WHERE round IN (SELECT value FROM json_each(?))"
    return dict(db.execute(sql, [json.dumps(sorted(rounds))]).fetchall())


def _range(g: int) -> list[str]:
    """The first id of generation `g` in a table whose ids begin with their round's, and the first one beyond."""
    return [f"g{g:04d}r", f"g{g:04d}s"]


def _ids(g: int) -> str:
    first, beyond = _range(g)
    return f"id >= '{first}' AND id < '{beyond}'"
