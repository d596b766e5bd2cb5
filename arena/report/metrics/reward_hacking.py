"""Reward hacking: correct answers by wrong reasoning, refused proposals, posts and problems that passed no check.

Left out: reasons of refusal over time (the section on the curriculum), and kinds of gaming that nobody counts. Not
guaranteed, therefore: that nothing was gamed.
"""

from __future__ import annotations

from arena.rounds.roles.reply import part
from arena.rounds.roles.solver import PART
from arena.run.store import Row, Store

MOST_REASONS = 6


def attempts(store: Store) -> list[Row]:
    """By generation: attempts, right answers, and those of them whose trace does not hold."""
    sql = (
        "SELECT generation, COUNT(*) AS attempts, SUM(answer_correct) AS right, SUM(correct) AS correct,"
        " SUM(answer_correct AND NOT correct) AS wrong_reasons FROM attempts GROUP BY generation ORDER BY generation"
    )
    return store.query(sql)


def rejections(store: Store) -> list[Row]:
    """Proposals by generation and reason; the reason "ok" stands for valid ones."""
    sql = (
        "SELECT generation, reason, COUNT(*) AS n FROM problems GROUP BY generation, reason ORDER BY generation, reason"
    )
    return store.query(sql)


def unfounded_posts(store: Store) -> int:
    """Worked examples whose text is not that of a correct attempt of their author at that problem; where the text of
    attempts was not kept, those without such an attempt."""
    tried = (
        "FROM posts p JOIN attempts a ON a.round = substr(p.about, instr(p.about, '/') + 1) AND a.agent = p.author"
        " AND a.correct JOIN problems q ON q.round = a.round AND q.text = p.title WHERE p.kind = 'worked_example'"
    )
    left = "SELECT id, body FROM posts WHERE kind = 'worked_example' EXCEPT SELECT p.id, p.body"
    # of chats all are left, where the answer is a part of a reply
    posts = {r["id"]: r["body"] for r in store.query(f"{left} {tried} AND a.text = p.body")}
    for row in store.query(f"SELECT p.id, a.text {tried}") if posts else ():
        if row["id"] in posts and (row["text"] is None or part(row["text"], PART) == posts[row["id"]]):
            del posts[row["id"]]
    return len(posts)


def leaked_problems(store: Store) -> int:
    """Number of held-out problems that were asked in evaluations and also set as problems."""
    sql = "SELECT COUNT(DISTINCT text) AS n FROM problems WHERE valid AND text IN (SELECT problem FROM evaluations)"
    return int(store.query(sql)[0]["n"])
