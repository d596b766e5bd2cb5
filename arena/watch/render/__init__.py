"""Functions that turn the data of `arena.watch` into rich text. Text by agents is never interpreted as markup.

Every meaning carried by a colour is also carried by a mark or a word, for terminals without colour.
"""

from arena.phases.order import LOOP
from arena.watch.render.agent import agent_text
from arena.watch.render.arena import alarms, figures
from arena.watch.render.base import DIM, HEAD, NO_DATA, labelled_strip, line, one_line
from arena.watch.render.plots import plots
from arena.watch.render.population import caption, population
from arena.watch.render.post import gist, post_text, relation_cells, score_cell, status_words, uplift_words
from arena.watch.render.rounds import round_text
from arena.watch.render.top import phase_line, top

__all__ = [
    "DIM",
    "HEAD",
    "LOOP",
    "NO_DATA",
    "agent_text",
    "alarms",
    "caption",
    "figures",
    "gist",
    "labelled_strip",
    "line",
    "one_line",
    "phase_line",
    "plots",
    "population",
    "post_text",
    "relation_cells",
    "round_text",
    "score_cell",
    "status_words",
    "top",
    "uplift_words",
]
