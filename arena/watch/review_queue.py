"""The review queue: items for a person to decide, ordered by how informative a human label would be.

Each generation contributes at most `review.per_generation` items, those with the highest scores; posts that wait for
approval are always included. An item's score is the sum of its reasons, at most 1, and the reasons are shown with it:

    0.50  the grader and execution disagree on an attempt: one of them is wrong, and a label says which
    0.25  the answer of an attempt is right but its trace is not: luck, copying, or a verifier that is too strict
    0.20  times overlap: of the two solvers with the most similar ratings, this one failed on a problem that the other
          solved; overlap is the intersection of their 95 % intervals divided by the union
    0.15  the attempt was graded while graders agree with execution in less than 75 % of votes
    0.05  the attempt was graded: a label calibrates its grader
    0.60  times |uplift| times half the width of its interval: a definition with a large uplift (0.5 or more) whose
          interval includes 0: little evidence
    0.40  a post waits for approval; 0.20 more for a definition, which is read whenever its name occurs;
          0.20 times 1 - p more for a worked example of solve rate p; 0.20 more if a grader and execution disagreed on
          its round

The scores define an order; they are not estimates of anything.

Reads go through indices and cover the last RECENT generations; a generation that has been graded is scored once. Older
undecided items leave the queue, except posts that wait for approval. Left out: learning the weights from labels. Not
guaranteed: that two watchers skip the same items; skipping is not stored.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from arena.report.metrics.alarms import MIN_PROPOSALS
from arena.report.metrics.paired_uplift import EVALUATIONS, Outcome, Pairs, uplifts
from arena.report.stats.ratings import Rating, Ratings
from arena.watch.models import Run
from arena.watch.queries.base import dicts

RECENT = 5
"""Generations whose items are in the queue."""
RATING_WINDOW = 20
"""Generations from which the solvers' ratings are computed."""
GRADER_WINDOW = 10
"""Generations over which the graders' agreement is computed."""
MOST_WAITING = 200
"""Maximum posts waiting for approval in the queue, the oldest first."""

ATTEMPT, POST, WAITING = "attempt", "post", "waiting post"


@dataclass(frozen=True)
class Item:
    """Something to decide: an attempt or a post. `round` is None for definitions; `title` is text by an agent."""

    subject: str
    what: str
    generation: int
    score: float
    why: tuple[str, ...]
    agents: tuple[str, ...]
    title: str
    round: str | None


class ReviewQueue:
    """The review queue of one run. `items` must not be called by two threads at once."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.known: dict[int, tuple[frozenset[str], list[Item]]] = {}  # by generation: finished phases, items
        self.more = False
        """Whether generations are left to score; if so, call `items` again."""

    def items(self, db: sqlite3.Connection, budget: float = 0.05) -> list[Item]:
        """The undecided items, the highest score first. New generations are scored for about `budget` seconds."""
        end = time.monotonic() + budget
        phases: dict[int, set[str]] = defaultdict(set)
        latest = db.execute("SELECT MAX(generation) FROM phases").fetchone()[0] or 0
        for g, phase in db.execute("SELECT generation, phase FROM phases WHERE generation > ?", [latest - RECENT]):
            if phase in ("grade", "measure"):
                phases[g].add(phase)
        self.known = {g: kept for g, kept in self.known.items() if g in phases and kept[0] == phases[g]}
        for g in sorted(phases.keys() - self.known.keys(), reverse=True):
            self.known[g] = (frozenset(phases[g]), generation_items(db, g, self.run.per_generation))
            if time.monotonic() > end:
                break
        self.more = len(self.known) < len(phases)
        newest = max(self.known, default=0)
        found = {
            item.subject: item
            for g, (_, items) in self.known.items()
            for item in items
            if item.what == ATTEMPT or g == newest  # the newest evidence on a post includes the older
        }
        found |= {item.subject: item for item in waiting(db)}
        done = decided_subjects(db, found)
        return ordered(i for i in found.values() if i.subject not in done)


def ordered(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda i: (-i.score, -i.generation, i.subject))


def decided_subjects(db: sqlite3.Connection, subjects: Iterable[str]) -> set[str]:
    """The members of `subjects` that have an applied or a pending decision."""
    wanted = json.dumps(list(subjects))
    sql = "SELECT subject FROM receipts WHERE decision != 'void' AND subject IN (SELECT value FROM json_each(?))"
    taken = {row[0] for row in db.execute(sql, [wanted])}
    return taken | {r[0] for r in db.execute("SELECT subject FROM control WHERE kind = 'decision' AND taken IS NULL")}


def generation_items(db: sqlite3.Connection, g: int, most: int) -> list[Item]:
    """The `most` items of one generation with the highest scores."""
    return ordered([*attempts(db, g), *doubtful_definitions(db, g)])[:most]


def one_per_answer(items: Iterable[tuple[str | None, Item]]) -> list[Item]:
    """One item per problem and answer, the one with the highest score: a label of one answers the others too."""
    best: dict[tuple[str | None, str | None], Item] = {}
    for answer, item in items:
        key = (item.round, answer)
        best[key] = ordered([item, *([best[key]] if key in best else [])])[0]
    return list(best.values())


# -- attempts ------------------------------------------------------------------------------------------------------


def attempts(db: sqlite3.Connection, g: int) -> list[Item]:
    """The attempts of one generation that have a reason to be reviewed."""
    grades = {row["attempt"]: row for row in dicts(db, f"SELECT * FROM grades WHERE {_ids(g)}")}
    agreement = low_agreement(db, g)
    pair, overlap = nearest_pair(db, g)
    sql = (
        "SELECT id, round, agent, number, answer, correct, answer_correct FROM attempts WHERE generation = ?"
        " AND (answer_correct > correct OR agent IN (?, ?)"
        f" OR id IN (SELECT attempt FROM grades WHERE {_ids(g)})) ORDER BY rowid"
    )
    rows = dicts(db, sql, [g, *(pair or ("", ""))])
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
            if agreement is not None:
                why.append((0.15, f"grader alarm: graders agree with execution in only {agreement:.0%} of their votes"))
            why.append((0.05, "a label calibrates its grader"))
        if a["answer_correct"] and not a["correct"]:
            why.append((0.25, "the answer is right, the trace is not"))
        here = solved[a["round"]]
        if pair and a["agent"] in pair and a["number"] == 0 and not here[a["agent"]]:
            other = pair[1 - pair.index(a["agent"])]
            if here.get(other):
                why.append((0.2 * overlap, f"{other}, rated about the same ({overlap:.0%} overlap), solved it"))
        if why:
            found.append((a, agents, why))
    titles = _titles(db, {a["round"] for a, _, _ in found})
    return one_per_answer(
        (a["answer"], Item(a["id"], ATTEMPT, g, *_sum(why), tuple(agents), titles.get(a["round"], ""), a["round"]))
        for a, agents, why in found
    )


def low_agreement(db: sqlite3.Connection, g: int) -> float | None:
    """The graders' agreement with execution over GRADER_WINDOW generations if it is below 75 %; otherwise, or with
    fewer than MIN_PROPOSALS grades, None. This is the report's rule for a warning."""
    sql = "SELECT COUNT(*), COUNT(agrees), SUM(agrees) FROM grades WHERE id >= ? AND id < ?"
    n = votes = right = 0
    for at in range(max(1, g - GRADER_WINDOW + 1), g + 1):
        row = db.execute(sql, _range(at)).fetchone()
        n, votes, right = n + row[0], votes + row[1], right + (row[2] or 0)
    return right / votes if n >= MIN_PROPOSALS and votes and right / votes < 0.75 else None


def nearest_pair(db: sqlite3.Connection, g: int) -> tuple[tuple[str, str] | None, float]:
    """The two solvers whose rating intervals after generation `g` overlap most, and their overlap from 0 to 1."""
    races: dict[int, dict[str, float]] = defaultdict(dict)
    sql = "SELECT generation, agent, reward FROM rewards WHERE generation > ? AND generation <= ? AND role = 'solver'"
    for at, agent, reward in db.execute(sql, [g - RATING_WINDOW, g]):
        races[at][agent] = reward
    ratings = Ratings()
    for at in sorted(races):
        ratings.race(at, "solver", races[at])
    now = {agent: r for agent in sorted(races.get(g, {})) if (r := ratings.at("solver", agent)) is not None}
    pairs = [(interval_overlap(now[a], now[b]), a, b) for a, b in combinations(now, 2)]
    if not pairs:
        return None, 0.0
    overlap, a, b = max(pairs, key=lambda p: p[0])
    return (a, b), overlap


def interval_overlap(a: Rating, b: Rating) -> float:
    """Length of the intersection of two rating intervals divided by the length of their hull."""
    shared = min(a.high, b.high) - max(a.low, b.low)
    return max(0.0, shared) / (max(a.high, b.high) - min(a.low, b.low))


# -- posts ---------------------------------------------------------------------------------------------------------


def doubtful_definitions(db: sqlite3.Connection, g: int) -> list[Item]:
    """Definitions of the last RECENT generations with a large but uncertain uplift, on evidence as recent."""
    sql = "SELECT title, id, author, generation FROM posts WHERE kind = 'definition' AND generation > ? ORDER BY seq"
    rows = reversed(db.execute(sql, [g - RECENT]).fetchall())  # the first definition of a name is in force
    new = {title: (id_, author, born) for title, id_, author, born in rows}
    if not new:
        return []
    pairs = Pairs()
    evaluations = db.execute(f"{EVALUATIONS} AND generation > ? AND generation <= ? ORDER BY rowid", [g - RECENT, g])
    pairs.add(row[1:] for row in evaluations)
    counts: dict[str, Counter[Outcome]] = {name: pairs.counts(name, born, g) for name, (_, _, born) in new.items()}
    found = []
    for name, u in uplifts(counts).items():
        if abs(u.difference) >= 0.5 and u.low <= 0.0 <= u.high:
            id_, author, born = new[name]
            score = 0.6 * abs(u.difference) * min(1.0, (u.high - u.low) / 2)
            reason = f"uplift {u.difference:+.2f} [{u.low:+.2f}, {u.high:+.2f}] from {u.n} pairs"
            found.append(Item(id_, POST, born, *_sum([(score, reason)]), (author,), name, None))
    return found


def waiting(db: sqlite3.Connection) -> list[Item]:
    """The posts that wait for approval, the oldest first, at most MOST_WAITING."""
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
            why.append((0.2, "it will be read whenever its name occurs"))
        if round_ in doubted:
            why.append((0.2, "a grader disagreed with execution in its round"))
        if (p := rates.get(round_ or "")) is not None:
            why.append((0.2 * (1 - p), f"solved in {p:.0%} of attempts"))
        score, reasons = _sum([(0.4, ""), *why])
        reasons = (*reasons[1:], "waits for approval")  # last: it is the same for all of them
        title = r["body"] if r["kind"] == "definition" else r["title"]
        found.append(Item(r["id"], WAITING, r["generation"], score, reasons, (r["author"],), title, round_))
    return found


# -- helpers -------------------------------------------------------------------------------------------------------


def _sum(why: list[tuple[float, str]]) -> tuple[float, tuple[str, ...]]:
    """The score, and the reasons with the largest weight first."""
    return min(1.0, sum(w for w, _ in why)), tuple(text for _, text in sorted(why, key=lambda x: -x[0]))


def _titles(db: sqlite3.Connection, rounds: set[str]) -> dict[str, str]:
    sql = "SELECT round, COALESCE(text, proposal, '') FROM problems WHERE round IN (SELECT value FROM json_each(?))"
    return dict(db.execute(sql, [json.dumps(sorted(rounds))]).fetchall())


def _range(g: int) -> list[str]:
    """Lower and upper bound of generation `g` in a table whose ids begin with the round's id."""
    return [f"g{g:04d}r", f"g{g:04d}s"]


def _ids(g: int) -> str:
    first, beyond = _range(g)
    return f"id >= '{first}' AND id < '{beyond}'"
