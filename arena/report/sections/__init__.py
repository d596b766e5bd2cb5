"""The parts of the report, one a file, each a `Builder`: it takes a `Source` and gives a `Section`."""

from arena.report.sections import costs, curriculum, difficulty, heldout, summary
from arena.report.source import Builder

SECTIONS: tuple[Builder, ...] = (
    summary.section,
    heldout.section,
    difficulty.section,
    curriculum.section,
    costs.section,
)
"""In the order of the page."""
