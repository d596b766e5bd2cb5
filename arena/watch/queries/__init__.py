"""Read-only queries for the screens: SQL in, frozen dataclasses out.

Every function takes a connection of `read_only` and reads the rows of one generation, round, agent or post through an
index; figures of the whole run are aggregated in `arena.watch.history`. No transaction outlives a call, so the queries
never block the process that plays the run.

Left out: writing, and anything that needs a model or a domain. Not guaranteed: that two calls see the same state of a
run that is being played.
"""

from arena.watch.queries.agents import agent_detail, agent_names
from arena.watch.queries.base import Busy, open_run, read_only, safe
from arena.watch.queries.generations import (
    RECENT,
    correct_attempts,
    evaluations_after,
    labels,
    last_phase,
    phases_after,
    population,
    races,
    summary,
    typical_seconds,
)
from arena.watch.queries.posts import (
    MOST_POSTS,
    lineage,
    parse_cites,
    post,
    post_rows,
    posts,
    posts_by_number,
    posts_waiting,
    undecided_posts,
)
from arena.watch.queries.rounds import FILTERS, extreme_problems, offspring, paid_problems, round_detail, rounds

__all__ = [
    "FILTERS",
    "MOST_POSTS",
    "RECENT",
    "Busy",
    "agent_detail",
    "agent_names",
    "correct_attempts",
    "evaluations_after",
    "extreme_problems",
    "labels",
    "last_phase",
    "lineage",
    "offspring",
    "open_run",
    "paid_problems",
    "parse_cites",
    "phases_after",
    "population",
    "post",
    "post_rows",
    "posts",
    "posts_by_number",
    "posts_waiting",
    "races",
    "read_only",
    "round_detail",
    "rounds",
    "safe",
    "summary",
    "typical_seconds",
    "undecided_posts",
]
