"""One post in words, and the lists of posts around it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.text import Text

from arena.report.metrics.paired_uplift import Offspring
from arena.text import compact
from arena.watch.models import Ancestor, Gone, PostRow, PostView
from arena.watch.queries.base import safe
from arena.watch.render.base import DIM, HEAD, one_line
from arena.watch.scores import Worth
from culture.kinds import kind_of

ENOUGH = 100
"""Pairs from which a 95 % interval of a difference of rates is about .2 to either side, whatever the rates."""
DEEPEST = 12
"""Steps up to which a lineage is indented."""


def gist(p: PostRow) -> str:
    """What a list says of a post: a definition in full, a problem, what was learned, or what was said of which post."""
    if kind_of(p.kind).shown == "body" and p.title in p.body:
        return p.body
    return p.title if kind_of(p.kind).shown == "title" else f"{p.title}: {p.body}"


def post_text(view: PostView, worth: Worth, cited_by: int, width: int) -> Text:
    p = view.row
    out = Text().append(f"{safe(p.title)}\n", HEAD)
    out.append(f"{p.kind.replace('_', ' ')} {p.seq} by {p.author}, generation {p.generation}\n\n")
    out.append(f"{safe(p.body)}\n\n", "cyan")
    out.append("signature  ", DIM).append(f"{view.signature}\n", "green" if view.signature == "valid" else "bold red")
    out.append("id         ", DIM).append(f"{p.id}\n")
    said = [("standing", standing_words(view.gone)), ("about", safe(view.about) or "-")]
    if view.applies:
        said.append(("applies", safe(view.applies)))
    said.append(("uplift", uplift_words(p.kind, worth)))
    if p.kind in ("definition", "worked_example") or worth.offspring.set:
        said.append(("offspring", offspring_words(worth.offspring)))
    for label, words in said:
        out.append(f"{label:<11}", DIM)
        style = "yellow" if label == "standing" and view.gone else ""
        for i, line in enumerate(textwrap.wrap(words, max(width - 11, 20))):
            out.append(f"{' ' * 11 if i else ''}{line}\n", style)
    reads = ", ".join(f"{phase} {compact(n)}" for phase, n in sorted(view.reads.items()))
    drawn = f"; {compact(view.drawn)} of these drawn at random" if view.drawn else ""
    out.append("reads      ", DIM).append(f"{reads or 'none'}{drawn}\n")
    readers = ", ".join(f"{agent} {compact(n)}" for agent, n in view.readers)
    out.append("readers    ", DIM).append(f"{readers or 'nobody'}\n")
    out.append("links      ", DIM).append(f"cites {len(view.cites)}, cited by {cited_by}\n")
    for id_ in view.missing:
        out.append(f"cites a post that is not here: {safe(id_)[:16]}\n", "red")
    return out.append("\ndescends from\n", DIM).append(_lineage(view.lineage, width))


def standing_words(gone: Gone | None) -> str:
    """`in force`, or `superseded in generation 7 by definition 12 by ivo, generation 7: reason`."""
    if gone is None:
        return "in force"
    text = f"{gone.state} in generation {gone.generation}"
    if gone.by is not None:
        by = gone.by
        text += f" by {by.kind.replace('_', ' ')} {by.seq} by {safe(by.author)}, generation {by.generation}"
    elif gone.receipt is not None:
        text += f" by the reviewer, receipt {gone.receipt}"
    return f"{text}: {safe(gone.reason)}" if gone.reason else text


def uplift_words(kind: str, worth: Worth) -> str:
    """What reading it did, with its interval; or why nothing is known."""
    if kind != "definition":
        more = "; see its offspring" if kind == "worked_example" else ""
        return f"not measured: of a {kind.replace('_', ' ')} nothing is asked with it and without{more}"
    if worth.rival:
        return "not measured: an earlier definition of this name is in force"
    u = worth.uplift
    if u is None:
        return "not measured: no problem with this name was asked both with reading and without since it was posted"
    words = (
        f"{u.difference:+.2f} [{u.low:+.2f}, {u.high:+.2f}], 95 % interval: solved {u.with_reading:.2f} with reading"
    )
    words += f", {u.without_reading:.2f} without, n = {u.n} pairs"
    return words + (f"; few: about {ENOUGH} are needed to see a difference of .2" if u.n < ENOUGH else "")


def offspring_words(o: Offspring) -> str:
    """What became of the problems that were varied from it."""
    if not o.set:
        return "no problem was varied from it"
    return f"{o.set} problem{'s' if o.set != 1 else ''} varied from it: {o.valid} valid, {o.learnable} learnable"


def worth_words(kind: str, worth: Worth) -> str:
    """The same in a table's cell."""
    if kind == "definition":
        return f"{worth.uplift.difference:+.2f} n {worth.uplift.n}" if worth.uplift else "-"
    return f"{worth.offspring.learnable} of {worth.offspring.set}" if worth.offspring.set else "-"


def _lineage(ancestors: Sequence[Ancestor], width: int) -> Text:
    """A line an ancestor, indented by the cites that lie between."""
    if not ancestors:
        return Text("  nothing: it cites no post\n")
    out = Text()
    for a in ancestors:
        p = a.row
        line = Text("  " * min(a.steps - 1, DEEPEST) + "\N{BOX DRAWINGS LIGHT UP AND RIGHT} ", DIM)
        line.append(f"gen {p.generation} {p.author}: ", "").append(one_line(gist(p)))
        line.append("  (shown above)" if a.again else "", DIM)
        line.truncate(max(width, 20), overflow="ellipsis")
        out.append("  ").append(line).append("\n")
    return out


def relation_cells(relation: str, p: PostRow) -> list[Text]:
    return [Text(relation), Text(p.kind.replace("_", " ")), Text(str(p.generation)), Text(p.author), one_line(gist(p))]
