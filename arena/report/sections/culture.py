"""What the library did for whom: posts that helped, setters that were useful, what was built on what, what was new.

Each question has a module of its own beside `arena.report.sections`; here they are put together.
"""

from __future__ import annotations

from arena.report.culture import authors, citations, family, forgetting, innovation, posts
from arena.report.figure import Section
from arena.report.source import Source

KEY, TITLE = "culture", "Culture: who wrote what, who used it, what it was worth"
NOT_MEASURED = (
    "The ratchet, what a frozen newborn gains from the library of generation g, is not measured by this version: it "
    "would take the untrained model solving held-out problems with each generation's library beside filler of equal "
    "length.",
    "The four channels (neither, text, weights, both) are measured for hidden names only, as solved with and without "
    "reading: the untrained model with the last library would be needed for the rest.",
)


def section(source: Source) -> Section:
    if not source.store.query("SELECT 1 FROM posts LIMIT 1"):
        nothing = "The library is empty: no post has been written, so there is no culture to tell of yet."
        return Section(KEY, TITLE, missing=(nothing, *NOT_MEASURED))
    parts = [module.part(source) for module in (posts, authors, citations, innovation, forgetting, family)]
    return Section(
        KEY,
        TITLE,
        tuple(x for p in parts for x in p.findings),
        tuple(x for p in parts for x in p.figures),
        tuple(x for p in parts for x in p.tables),
        (*(x for p in parts for x in p.missing), *NOT_MEASURED),
    )
