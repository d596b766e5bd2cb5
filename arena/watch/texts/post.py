"""One post in words, and the lists of posts around it."""

from __future__ import annotations

from rich.text import Text

from arena.report.tables import count
from arena.watch.data.base import safe
from arena.watch.records import PostRow, PostView
from arena.watch.texts.base import DIM, HEAD, one_line


def post_text(view: PostView, cited_by: int) -> Text:
    p = view.row
    out = Text().append(f"{safe(p.title)}\n", HEAD)
    out.append(f"{p.kind.replace('_', ' ')} {p.seq} by {p.author}, generation {p.generation}\n\n")
    out.append(f"{safe(p.body)}\n\n", "cyan")
    out.append("signature  ", DIM).append(f"{view.signature}\n", "green" if view.signature == "valid" else "bold red")
    out.append("id         ", DIM).append(f"{p.id}\n")
    out.append("about      ", DIM).append(f"{safe(view.about) or '-'}\n")
    reads = ", ".join(f"{phase} {count(n)}" for phase, n in sorted(view.reads.items()))
    out.append("reads      ", DIM).append(f"{reads or 'none'}\n")
    readers = ", ".join(f"{agent} {count(n)}" for agent, n in view.readers)
    out.append("readers    ", DIM).append(f"{readers or 'nobody'}\n")
    out.append("links      ", DIM).append(f"cites {len(view.cites)}, cited by {cited_by}\n")
    for id_ in view.missing:
        out.append(f"cites a post that is not here: {safe(id_)[:16]}\n", "red")
    return out


def relation_cells(relation: str, p: PostRow) -> list[Text]:
    return [Text(relation), Text(p.kind.replace("_", " ")), Text(str(p.generation)), Text(p.author), one_line(p.title)]
