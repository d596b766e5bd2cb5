"""Text of one post, and of posts in lists."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.text import Text

from arena.report.metrics.paired_uplift import Offspring
from arena.text import compact
from arena.watch.models import Ancestor, PostDetail, PostRemoval, PostRow
from arena.watch.queries.base import safe
from arena.watch.render.base import DIM, HEAD, one_line
from arena.watch.scores import PostScore
from culture.kinds import kind_of

ENOUGH = 100
"""Number of pairs at which the 95 % interval of a difference of rates is about .2 to either side, for any rates."""
MAX_INDENT = 12
"""Maximum levels by which a lineage is indented."""


def gist(p: PostRow) -> str:
    """The text by which a list shows a post: its body, its title, or both, depending on its kind."""
    if kind_of(p.kind).shown == "body" and p.title in p.body:
        return p.body
    return p.title if kind_of(p.kind).shown == "title" else f"{p.title}: {p.body}"


def post_text(view: PostDetail, score: PostScore, cited_by: int, width: int) -> Text:
    """A post in full, with its status, score, readers and lineage. `cited_by`: number of posts that cite it."""
    p = view.row
    out = Text().append(f"{safe(p.title)}\n", HEAD)
    out.append(f"{p.kind.replace('_', ' ')} {p.seq} by {p.author}, generation {p.generation}\n\n")
    out.append(f"{safe(p.body)}\n\n", "cyan")
    out.append("signature  ", DIM).append(f"{view.signature}\n", "green" if view.signature == "valid" else "bold red")
    out.append("id         ", DIM).append(f"{p.id}\n")
    fields = [("status", status_words(view.removal)), ("about", safe(view.about) or "-")]
    if view.applies:
        fields.append(("applies", safe(view.applies)))
    fields.append(("uplift", uplift_words(p.kind, score)))
    if p.kind in ("definition", "worked_example") or score.offspring.set:
        fields.append(("offspring", offspring_words(score.offspring)))
    for label, words in fields:
        out.append(f"{label:<11}", DIM)
        style = "yellow" if label == "status" and view.removal else ""
        for i, line in enumerate(textwrap.wrap(words, max(width - 11, 20))):
            out.append(f"{' ' * 11 if i else ''}{line}\n", style)
    reads = ", ".join(f"{where} {compact(n)}" for where, n in view.reads.items() if n)
    out.append("reads      ", DIM).append(f"{reads or 'none'}\n")
    readers = ", ".join(f"{agent} {compact(n)}" for agent, n in view.readers)
    out.append("readers    ", DIM).append(f"{readers or 'none'}\n")
    out.append("links      ", DIM).append(f"cites {len(view.cites)}, cited by {cited_by}\n")
    for id_ in view.missing:
        out.append(f"cites a post that does not exist: {safe(id_)[:16]}\n", "red")
    return out.append("\nlineage\n", DIM).append(_lineage(view.lineage, width))


def status_words(removal: PostRemoval | None) -> str:
    """`in force`, or for example `superseded in generation 7 by definition 12 by ivo, generation 7: reason`."""
    if removal is None:
        return "in force"
    text = f"{removal.state} in generation {removal.generation}"
    if removal.by is not None:
        by = removal.by
        text += f" by {by.kind.replace('_', ' ')} {by.seq} by {safe(by.author)}, generation {by.generation}"
    elif removal.receipt is not None:
        text += f" by the reviewer, receipt {removal.receipt}"
    return f"{text}: {safe(removal.reason)}" if removal.reason else text


def uplift_words(kind: str, score: PostScore) -> str:
    """The uplift of a post with its interval, or the reason why it was not measured."""
    if kind != "definition":
        more = "; see its offspring" if kind == "worked_example" else ""
        return f"not measured: problems are evaluated with and without reading for definitions only{more}"
    if score.shadowed:
        return "not measured: an earlier definition of this name is in force"
    u = score.uplift
    if u is None:
        return "not measured: no problem with this name has been evaluated with and without reading since it was posted"
    words = f"paired, {u.difference:+.2f} [{u.low:+.2f}, {u.high:+.2f}], 95 % interval: "
    words += f"solved {u.with_reading:.2f} with reading, {u.without_reading:.2f} without, n = {u.n} pairs"
    return words + (f"; too few: detecting a difference of .2 takes about {ENOUGH}" if u.n < ENOUGH else "")


def offspring_words(o: Offspring) -> str:
    """The number of problems that were varied from a post, and how many were valid and learnable."""
    if not o.set:
        return "no problem was varied from it"
    return f"{o.set} problem{'s' if o.set != 1 else ''} varied from it: {o.valid} valid, {o.learnable} learnable"


def score_cell(kind: str, score: PostScore) -> str:
    """Uplift or offspring of a post in a table cell."""
    if kind == "definition":
        return f"{score.uplift.difference:+.2f} n {score.uplift.n}" if score.uplift else "-"
    return f"{score.offspring.learnable} of {score.offspring.set}" if score.offspring.set else "-"


def _lineage(ancestors: Sequence[Ancestor], width: int) -> Text:
    """One line per ancestor, indented by its distance in citations."""
    if not ancestors:
        return Text("  none: it cites no post\n")
    out = Text()
    for a in ancestors:
        p = a.row
        line = Text("  " * min(a.steps - 1, MAX_INDENT) + "\N{BOX DRAWINGS LIGHT UP AND RIGHT} ", DIM)
        line.append(f"gen {p.generation} {p.author}: ", "").append(one_line(gist(p)))
        line.append("  (shown above)" if a.again else "", DIM)
        line.truncate(max(width, 20), overflow="ellipsis")
        out.append("  ").append(line).append("\n")
    return out


def relation_cells(relation: str, p: PostRow) -> list[Text]:
    return [Text(relation), Text(p.kind.replace("_", " ")), Text(str(p.generation)), Text(p.author), one_line(gist(p))]
