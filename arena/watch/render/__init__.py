"""What the screens say, as rich text without markup: text that agents wrote goes in as data and stays data.

Marks and words carry every meaning that a colour carries, for terminals without colour.
"""

from arena.phases.order import LOOP
from arena.watch.render.agent import life_text
from arena.watch.render.arena import alarms, figures
from arena.watch.render.base import DIM, HEAD, NO_DATA, labelled_strip, line, one_line
from arena.watch.render.plots import plots
from arena.watch.render.population import caption, population
from arena.watch.render.post import gist, post_text, relation_cells, standing_words, uplift_words, worth_words
from arena.watch.render.rounds import round_text
from arena.watch.render.top import phase_line, top

__all__ = [
    "DIM",
    "HEAD",
    "LOOP",
    "NO_DATA",
    "alarms",
    "caption",
    "figures",
    "gist",
    "labelled_strip",
    "life_text",
    "line",
    "one_line",
    "phase_line",
    "plots",
    "population",
    "post_text",
    "relation_cells",
    "round_text",
    "standing_words",
    "top",
    "uplift_words",
    "worth_words",
]
