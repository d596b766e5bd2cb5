"""What the screens read from a run: plain SQL on a connection that cannot write, given back as frozen dataclasses.

Every function takes a connection of `reading` and touches the rows of one generation, one round, one agent or one
post, through an index; whole-run figures are folded generation by generation in `arena.watch.history`. No transaction
outlives a call, so the process that plays the run is never kept waiting.

Left out: writing, and anything that needs a model or a domain. Not guaranteed: that two calls see the same moment of
a run that goes on.
"""

from arena.watch.queries.agents import agent_names, life
from arena.watch.queries.base import Busy, open_run, reading, safe
from arena.watch.queries.generations import (
    RECENT,
    evaluations_after,
    last_phase,
    phases_after,
    population,
    races,
    reviewed,
    right_attempts,
    summary,
    usual_seconds,
)
from arena.watch.queries.posts import MOST_POSTS, cited, lineage, numbered, post, post_rows, posts
from arena.watch.queries.rounds import FILTERS, bred, round_detail, rounds, settled

__all__ = [
    "FILTERS",
    "MOST_POSTS",
    "RECENT",
    "Busy",
    "agent_names",
    "bred",
    "cited",
    "evaluations_after",
    "last_phase",
    "life",
    "lineage",
    "numbered",
    "open_run",
    "phases_after",
    "population",
    "post",
    "post_rows",
    "posts",
    "races",
    "reading",
    "reviewed",
    "right_attempts",
    "round_detail",
    "rounds",
    "safe",
    "settled",
    "summary",
    "usual_seconds",
]
