"""The parts of the report, one a file, each a `Builder`: it takes a `Source` and gives a `Section`."""

from arena.report.sections import (
    costs,
    culture,
    curriculum,
    difficulty,
    diversity,
    grading,
    heldout,
    learning,
    provenance,
    summary,
    tournament,
)
from arena.report.source import Builder

SECTIONS: tuple[Builder, ...] = (
    summary.section,
    heldout.section,
    difficulty.section,
    tournament.section,
    curriculum.section,
    culture.section,
    diversity.section,
    grading.section,
    learning.section,
    costs.section,
    provenance.section,
)
"""In the order of the page."""
