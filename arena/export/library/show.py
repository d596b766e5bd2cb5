"""Show one post in full: text, standing, citations, readers, effect on readers, review decisions, signature, log entry.

Left out: attempts at the problem of a worked example (`watch` shows its round). Not guaranteed: a causal effect of the
post on its readers, except in two lines: "paired uplift" compares held-out problems with and without reading, and
"randomised uplift"
compares the agents' own problems with the post shown and randomly withheld.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from arena.export.library.find import one_line
from arena.export.library.tree import edges
from arena.export.library_book import Use
from arena.report.metrics.generation import READ_AS
from arena.report.metrics.post_status import IN_FORCE, Standing, standings
from arena.report.metrics.randomised_uplift import worths
from arena.report.sections.culture.worth import arms, say
from arena.run.store import Row, Store
from arena.text import count, number, visible
from culture.posts import SignedPost

MOST_LISTED = 12
"""Maximum number of posts or readers on one line of facts."""


def facts(store: Store, id: str) -> list[tuple[str, str]]:
    """Facts about the post with this id as (label, text), in display order; facts without content are omitted."""
    (post,) = store.query("SELECT * FROM posts WHERE id = ?", [id])
    up, down = edges(store)
    gone = standings(store)
    found = [("id", id), ("standing", standing_text(store, gone.get(id)))]
    if post["applies"]:
        found.append(("applies", post["applies"]))
    if post["about"]:
        found.append(("about", post["about"]))
    relations = dict[str, list[str]]()
    for relation, other in [*up.get(id, ()), *down.get(id, ())]:
        relations.setdefault(relation, []).append(other)
    for relation, others in relations.items():
        found.append((relation, _posts(store, others, whole=relation == "reviewed by")))
    found += [*_reading(store, id), *_effect(store, id)]
    for r in store.query("SELECT * FROM receipts WHERE subject = ? ORDER BY seq", [id]):
        note = f": {r['note']}" if r["note"] else ""
        found.append(
            ("decided", f"{r['decision']} by the reviewer, receipt {r['seq']}, generation {r['generation']}{note}")
        )
    return [*found, ("signed", _signature(post)), ("log", _leaf(store, id))]


def standing_text(store: Store, standing: Standing | None) -> str:
    """Standing of a post, such as `superseded in generation 7 by ab12cd34ef (definition w3 by ivo, generation 7)`."""
    if standing is None:
        return IN_FORCE
    text = f"{standing.state} in generation {standing.generation}"
    if standing.cause and standing.state == "rejected":
        receipt = store.query("SELECT seq FROM receipts WHERE id = ?", [standing.cause])
        text += f" by the reviewer, receipt {receipt[0]['seq'] if receipt else standing.cause}"
    elif standing.cause:
        cause = store.query("SELECT * FROM posts WHERE id = ?", [standing.cause])
        text += f" by {_named(cause[0]) if cause else standing.cause}"
    return text + (f": {standing.reason}" if standing.reason else "")


def show(store: Store, id: str) -> list[Text | Table]:
    """The post with this id, as renderables for the terminal."""
    (post,) = store.query("SELECT * FROM posts WHERE id = ?", [id])
    head = Text(visible(one_line(post)), "bold")
    body = Text("\n".join(f"  {line}" for line in visible(post["body"]).splitlines()))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for what, words in facts(store, id):
        grid.add_row(Text(what, "dim"), Text(visible(words)))
    return [head, Text(), body, Text(), grid]


def _posts(store: Store, ids: Sequence[str], whole: bool) -> str:
    shown = []
    for id_ in ids[:MOST_LISTED]:
        for post in store.query("SELECT * FROM posts WHERE id = ?", [id_]):
            shown.append(f"{_named(post)}{': ' + ' '.join(post['body'].split()) if whole else ''}")
    if len(ids) > MOST_LISTED:
        shown.append(f"and {len(ids) - MOST_LISTED:,} more")
    return "\n".join(shown)


def _named(post: Row) -> str:
    return f"{post['id'][:10]} ({one_line(post)})"


def _reading(store: Store, id: str) -> list[tuple[str, str]]:
    rows = store.query(
        f"SELECT agent, {READ_AS} AS place, COUNT(*) AS n FROM reads WHERE post = ? GROUP BY 1, 2 ORDER BY 3 DESC, 1",
        [id],
    )
    found = []
    for what, place in (("read", "at work"), ("read", "asleep"), ("shown", "as a distractor")):
        by = [(r["agent"], r["n"]) for r in rows if r["place"] == place]
        if by:
            readers = ", ".join(f"{agent} {n:,}" for agent, n in by[:MOST_LISTED])
            more = f" and {len(by) - MOST_LISTED} more" if len(by) > MOST_LISTED else ""
            found.append((what, f"{count(sum(n for _, n in by), 'time')} {place}: {readers}{more}"))
    left = store.query("SELECT COUNT(*) AS n FROM withheld WHERE post = ?", [id])[0]["n"]
    if left:
        found.append(("withheld", f"{count(left, 'time')}, at random"))
    return found or [("read", "by nobody")]


def _effect(store: Store, id: str) -> list[tuple[str, str]]:
    use, found = Use.of(store), []
    if up := use.uplifts.get(id):
        found.append(
            ("paired uplift", f"{up.difference:+.2f} [{up.low:+.2f}, {up.high:+.2f}]: held-out problems that use it"
             f" were solved {up.with_reading:.2f} with reading, {up.without_reading:.2f} without, {up.n} pairs")
        )  # fmt: skip
    if (held := worths(store)) and (w := held.posts.get(id)):
        if w.difference is None:
            effect = f"not known yet: {arms(w)}; the mean of its kind is {number(w.shrunk, sign=True)}"
        else:
            shrunk = f"{number(w.shrunk, sign=True)} shrunk towards the mean of its kind"
            effect = f"{say(w)}, withheld at random: {arms(w)}; {shrunk}"
        found.append(("randomised uplift", effect))
    if (young := use.offspring.get(id)) and young.set:
        found.append(
            ("varied", f"into {count(young.set, 'problem')}, {young.valid} valid, {young.learnable} learnable")
        )
    return found


def _signature(post: Row) -> str:
    try:
        signed = SignedPost.from_row(post)
        good = signed.post.id == post["id"] and signed.verify()
    except (ValueError, TypeError, KeyError) as error:
        return f"NOT VALID: damaged: {error}"
    return f"{'valid' if good else 'NOT VALID'}, key {post['public_key'][:16]}… of {post['author']}"


def _leaf(store: Store, id: str) -> str:
    found = store.query("SELECT seq, generation FROM leaves WHERE kind = 'post' AND subject = ?", [id])
    size = store.query("SELECT MAX(size) AS n FROM heads")[0]["n"]
    if not found:
        return "not yet: its generation has not ended" if size else "none: this run has no log yet"
    return f"leaf {found[0]['seq']:,} of {size or 0:,}, since generation {found[0]['generation']}"
