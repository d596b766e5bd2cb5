"""What the screens say, as rich text without markup: text that agents wrote goes in as data and stays data.

Marks and words carry every meaning that a colour carries, for terminals without colour.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from arena.report.analysis import LOOP
from arena.report.tables import count, decimal, duration, rate
from arena.watch.data import safe
from arena.watch.history import Snapshot
from arena.watch.plot import strip
from arena.watch.progress import GROUPS
from arena.watch.records import Life, PostRow, PostView, RoundDetail, SetRow, Try

ROLES = ("setter", "solver", "grader")
NO_DATA = "this run holds no data for this yet"
HEAD = "bold"
DIM = "dim"


def top(s: Snapshot, quiet: float, width: int) -> Text:
    """Two lines: which run and generation are shown, and the phase at work. `quiet`: seconds since something ended."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{safe(s.run.name)}", HEAD)
    line.append(f"  generation {s.shown} of {s.run.planned}")
    if not s.live:
        line.append(f"  STEPPED BACK from {s.latest}; l: live", "bold reverse")
    elif s.unread:
        line.append(f"  reading, {s.unread} generations to go", DIM)
    elif s.finished:
        line.append("  finished", "green")
    else:
        line.append("  live", "green")
    return line.append("\n").append(phase_line(s, quiet, width))


def phase_line(s: Snapshot, quiet: float, width: int) -> Text:
    if not s.started:
        return Text("nothing has been played yet", DIM)
    assert s.last is not None
    generation, phase = s.last
    if s.finished:
        return Text(f"last phase: {phase} of generation {generation}", DIM)
    at = generation + 1 if s.coming == LOOP[0] else generation
    usual = f", usually {duration(s.usual)}" if s.usual else ""
    if quiet > max(60.0, 10 * (s.usual or 0.0)):
        return Text(
            f"quiet for {duration(quiet)} in {s.coming} of generation {at}{usual}; was it interrupted?", "yellow"
        )
    line = Text(no_wrap=True, overflow="ellipsis")
    if s.coming in LOOP and width >= 100:
        for name in LOOP:
            now, past = name == s.coming, LOOP.index(name) < LOOP.index(s.coming)
            line.append(f"[{name}]" if now else name, "bold reverse" if now else "green" if past else DIM).append(" ")
        return line.append(f"of generation {at}, {duration(quiet)}{usual}", DIM)
    return line.append(f"{s.coming} of generation {at} at work, {duration(quiet)}{usual}; last finished: {phase}", DIM)


def alarms(s: Snapshot) -> Text:
    if s.unread:
        return Text("alarms: after everything has been read", DIM)
    if not any(x.phases.issuperset(LOOP) for x in s.summaries if x.generation):
        return Text("alarms: none before a whole generation is played", DIM)
    if not s.alarms:
        return Text("no alarms", "bold green")
    return Text("\n".join(f"! {a}" for a in s.alarms), "yellow")


def figures(s: Snapshot) -> Text:
    """The shown generation in one line."""
    at = s.at
    if at is None or at.proposed is None:
        return Text(f"problems of generation {s.shown}: {NO_DATA}", DIM)
    line = (
        f"generation {at.generation}: {count(at.proposed)} set, {count(at.valid)} valid, {count(at.distinct)} distinct"
    )
    return Text(f"{line}, {count(at.learnable)} learnable, solved {rate(at.solve_rate)}")


def plots(s: Snapshot, width: int, height: int) -> Text:
    """Strips over generations: held-out rates by depth, then what was set and solved."""
    held: list[tuple[str, list[float | None], float]] = []
    for name, depths in GROUPS:
        values = [_mean([x.heldout[d] for d in depths if d in x.heldout]) for x in s.summaries]
        if any(v is not None for v in values):
            held.append((f"depth {name}", values, 1.0))
    depth = [x.depth for x in s.summaries]
    most = max((d for d in depth if d is not None), default=0.0)
    made: list[tuple[str, list[float | None], float]] = []
    if most:
        made.append(("depth set", depth, max(most, 8.0)))
    rates = [x.solve_rate for x in s.summaries]
    if any(r is not None for r in rates):
        made.append(("solve rate", rates, 1.0))
    if not held and not made:
        return Text(f"plots: {NO_DATA}", DIM)
    first, last = s.summaries[0].generation, s.summaries[-1].generation
    rows = len(held) + len(made)
    titles = bool(held) + bool(made)
    each = min(max((height - titles) // max(rows, 1), 1), 5)
    out = Text(no_wrap=True)
    for title, series in (
        (f"held-out pass rate by depth, generations {first} to {last}", held),
        (f"mean depth set, of {made[0][2] if made else 8:.0f}, and solve rate", made),
    ):
        if series:
            out.append(f"{title}\n", DIM)
        for label, values, high in series:
            out.append(_strip(label, values, width, each, high))
    out.right_crop(1)
    return out


def _strip(label: str, values: Sequence[float | None], width: int, height: int, high: float, low: float = 0.0) -> Text:
    known = [v for v in values if v is not None]
    ends = f"{known[0]:.2f} to {known[-1]:.2f}" if known else "-"
    lines = strip(values, max(width - 11 - 14, 1), height, low, high)
    out = Text()
    for i, line in enumerate(lines):
        bottom = i == len(lines) - 1
        out.append(f"{label if bottom else '':<11}").append(line, "cyan").append(f"  {ends if bottom else ''}\n")
    return out


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


# -- a round -------------------------------------------------------------------------------------------------------


def round_text(d: RoundDetail) -> Text:
    r = d.row
    out = Text()
    out.append(f"{r.round}", HEAD).append(
        f"  {r.domain}, generation {d.generation}, set by {r.author} ({d.setter})\n\n"
    )
    out.append("proposal   ", DIM).append(safe(d.proposal) or "(empty)", HEAD).append("\n")
    if r.valid:
        out.append("checked    ", DIM).append(f"valid, depth {r.depth}\n")
    else:
        why = f": {safe(d.detail)}" if d.detail else ""
        out.append("checked    ", DIM).append(f"rejected, {safe(r.reason)}{why}\n", "red")
    out.append("had read   ", DIM)
    if d.parent_post:
        p = d.parent_post
        out.append(f"{p.kind.replace('_', ' ')} by {p.author}, generation {p.generation}: {safe(p.title)}\n")
        out.append(f"           {safe(p.body)}\n", "cyan")
    else:
        out.append(f"{safe(d.parent)}\n" if d.parent else "nothing\n")
    out.append("solved     ", DIM)
    out.append(f"{rate(r.solve_rate)} of {len(d.attempts)} attempts" if d.attempts else "nobody has tried it")
    out.append(", learnable\n" if r.learnable else "\n")
    out.append("paid       ", DIM).append(f"{decimal(r.paid, 2)} to {r.author}\n")
    for number, a in enumerate(d.attempts, 1):
        out.append("\n").append(_attempt(number, a))
    return out


def _attempt(number: int, a: Try) -> Text:
    out = Text().append(f"attempt {number} by {a.agent}  ", HEAD)
    if a.correct:
        out.append("\N{CHECK MARK} verified", "green")
    else:
        at = f" at step {a.step}" if a.step else ""
        answer = ", though the answer is right" if a.answer_correct else ""
        out.append(f"\N{BALLOT X} {safe(a.reason)}{at}{answer}", "red")
    out.append(f"  answer {safe(a.answer) if a.answer is not None else '-'}\n")
    if a.notes:
        out.append(f"  in context: {'; '.join(safe(n) for n in a.notes)}\n", DIM)
    body, _, answer = a.text.rpartition(" answer ")
    steps = (body or a.text).split(" ; ")
    for i, step in enumerate(steps, 1):
        wrong = i == a.step
        out.append(f"  {i:>2} {safe(step)}{'   <- ' + a.reason if wrong else ''}\n", "red" if wrong else "")
    if body:
        out.append(f"     answer {safe(answer)}\n")
    if a.grade:
        g = a.grade
        says = {None: "gives no answer, so no vote", True: "says right", False: "says wrong"}[g.says_correct]
        out.append(f"  grader {g.grader} {says} (own answer {safe(g.answer) if g.answer is not None else '-'})")
        if g.agrees is False:
            out.append("  DISAGREES with execution", "bold red")
        elif g.agrees:
            out.append("  agrees with execution", "green")
        out.append("\n").append(f"     {safe(g.text)}\n", DIM)
    return out


# -- an agent ------------------------------------------------------------------------------------------------------


def life_text(life: Life, best: Sequence[SetRow], worst: Sequence[SetRow], width: int) -> Text:
    out = Text()
    until = f", retired after generation {life.retired}" if life.retired is not None else ", alive"
    out.append(life.name, HEAD).append(f"  born in generation {life.born}{until}, inherited {life.inherited}\n")
    out.append("parents    ", DIM).append(f"{', '.join(life.parents) or 'none'}\n")
    out.append("children   ", DIM).append(f"{', '.join(life.children) or 'none'}\n")
    out.append("posts      ", DIM).append(f"{life.posts}\n\n")
    out.append("mean reward an act by generation\n", DIM)
    found = [role for role in ROLES if role in life.rewards]
    for role in found:
        by = life.rewards[role]
        first, last = min(by), max(by)
        values = [by[g][0] if g in by else None for g in range(first, last + 1)]
        low, high = min(0.0, *(v for v in values if v is not None)), max(1.0, *(v for v in values if v is not None))
        out.append(_strip(role, values, width, 2, high, low))
    if not found:
        out.append(f"  {NO_DATA}\n")
    for title, rows in (("best-paid problems it set", best), ("worst-paid problems it set", worst)):
        out.append(f"\n{title}\n", DIM)
        for r in rows:
            solved = f"solved {rate(r.solve_rate)}" if r.solve_rate is not None else safe(r.reason)
            out.append(f"  {r.paid:5.2f}  gen {r.generation:<4} {safe(r.text) or '(empty)'}  ").append(
                f"{solved}\n", DIM
            )
        if not rows:
            out.append(f"  {NO_DATA}\n")
    out.append("\nread most\n", DIM)
    for p, n in life.most_read:
        text = p.body if p.kind == "definition" else p.title
        out.append(f"  {count(n):>5} x {p.kind.replace('_', ' ')} by {p.author}: {safe(text)}\n")
    if not life.most_read:
        out.append(f"  {NO_DATA}\n")
    out.append("\nwho reads it\n", DIM)
    out.append(f"  {', '.join(f'{a} {count(n)}' for a, n in life.readers) or NO_DATA}\n")
    return out


# -- a post --------------------------------------------------------------------------------------------------------


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


def one_line(text: str) -> Text:
    return Text(safe(text).replace("\n", " "), no_wrap=True, overflow="ellipsis")
