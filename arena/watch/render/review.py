"""Text of the Review screen: the queue, the selected item with its reasons, and the counts of decisions."""

from __future__ import annotations

from rich.text import Text

from arena.text import compact, number
from arena.watch.commands import DecisionCounts
from arena.watch.models import Attempt, Run
from arena.watch.queries.base import safe
from arena.watch.queries.review import ItemDetail
from arena.watch.render.base import DIM, HEAD, line, number_of, steps
from arena.watch.review_queue import ATTEMPT, POST, RECENT, WAITING, Item

QUESTIONS = {
    ATTEMPT: "Is this attempt's answer right?  a: right  r: wrong",
    WAITING: "Admit this post to the library?  a: yes  r: no",
    POST: "Is this post good? No removes it from the library.  a: yes  r: no",
}


def item_cells(item: Item, skipped: bool) -> list[str]:
    score = f"{item.score:.2f}{' s' if skipped else ''}"
    what = "waits" if item.what == WAITING else item.what
    return [score, str(item.generation), what, ", ".join(map(line, item.agents)), line(item.why[0]), line(item.title)]


def queue_line(run: Run, d: DecisionCounts, left: int, unsent: int, note: str, at: int | None = None) -> Text:
    """The number of items left to decide, and the decisions by status. `unsent`: decisions that are not written yet;
    `at`: the generation that is shown (default: the latest)."""
    out = Text()
    if run.review == "off":
        out.append(
            "This run accepts no decisions (review: off). To review, start a run with review=sample, or with"
            " review=gate to hold posts until you approve them. "
        )
        return out.append(f"Below: the {left} items that would be in the queue." if left else "")
    if at is not None:
        return out.append(
            f"{compact(left)} to decide after generation {at}; {d.applied} applied. To decide: l (latest)"
        )
    out.append(f"{compact(left)} to decide", HEAD)
    out.append(f"; {d.pending} decided, not applied yet{' (u: undo)' if d.pending else ''}; {d.applied} applied")
    if d.void:
        out.append(f"; {d.void} could not be applied")
    if unsent:
        out.append(f"; {unsent} being written", "bold yellow")
    if note:
        out.append("\nnote for the next decision: ", DIM).append(safe(note))
    return out


def empty_queue(run: Run, finished: bool, graded: bool) -> Text:
    """The reason why the queue is empty. `graded`: a generation has been graded."""
    if not graded:
        return Text("The queue is empty: items appear after the first generation has been graded.", DIM)
    more = "The run is finished, so no more will appear." if finished else "More appear after the next generation."
    waits = ", and no post waits for approval" if run.review == "gate" else ""
    return Text(f"The queue is empty: no item of the last {RECENT} generations is undecided{waits}. {more}", DIM)


def item_text(c: ItemDetail, finished: bool, off: bool, at: int | None = None) -> Text:
    """The selected item: the question, the reasons, and the attempt or post in full. `off`: the run has no review;
    `at`: as in `queue_line`."""
    item = c.item
    out = Text()
    if not off and at is None:
        if finished:
            out.append("The run is finished: decisions count once it is continued with `resume`.\n", "yellow")
        out.append(QUESTIONS[item.what], "bold").append("  s: skip  n: note\n")
    for i, why in enumerate(item.why):
        out.append("why        " if i == 0 else "           ", DIM).append(f"{safe(why)}\n")
    if c.post is not None:
        _post(out, c)
    if c.round is not None:
        r = c.round.row
        out.append("problem    ", DIM).append(safe(r.text), HEAD).append(f"  by {safe(r.author)}, {r.round}\n")
        if c.attempt is not None:
            _attempt(out, c.round.attempts[c.attempt])
        others = [a for i, a in enumerate(c.round.attempts) if i != c.attempt]
        for i, a in enumerate(others):
            out.append("others     " if i == 0 else "           ", DIM)
            out.append(f"{safe(a.agent)}: answer {_value(a.answer)}, {_verdict(a)}\n")
    elif c.post is None:
        out.append("the attempt or post no longer exists\n", "red")
    return out


def _attempt(out: Text, a: Attempt) -> None:
    out.append("attempt    ", DIM).append(f"by {safe(a.agent)}, answer {_value(a.answer)}\n")
    for i, step in steps(a.text):
        wrong = i is not None and i == a.step
        why = f"   <- {safe(a.reason)}" if wrong else ""
        out.append(f"        {number_of(i)} {safe(step)}{why}\n", "red" if wrong else "")
    if a.notes:
        out.append("in context ", DIM).append(f"{'; '.join(safe(n) for n in a.notes)}\n", "cyan")
    out.append("execution  ", DIM).append(f"{_verdict(a)}\n", "green" if a.correct else "red")
    if a.grade is None:
        out.append("grader     ", DIM).append("not graded\n")
        return
    g = a.grade
    says = {None: "gave no answer, so no vote", True: "says right", False: "says wrong"}[g.says_correct]
    out.append("grader     ", DIM).append(f"{safe(g.grader)} {says}: its own answer, blind, is {_value(g.answer)}\n")
    out.append(f"           {safe(g.text)}\n", DIM)


def _post(out: Text, c: ItemDetail) -> None:
    assert c.post is not None
    p = c.post
    state = "waits for approval; it passed the admission check" if c.item.what == WAITING else "in the library"
    out.append("post       ", DIM).append(f"{p['kind'].replace('_', ' ')} by {safe(p['author'])}, generation")
    out.append(f" {p['generation']}: {state}\n").append("title      ", DIM).append(f"{safe(p['title'])}\n", HEAD)
    out.append("body       ", DIM).append(f"{safe(p['body'])}\n", "cyan")
    out.append("signature  ", DIM).append(f"{safe(c.signature)}\n", "green" if c.signature == "valid" else "bold red")
    if c.round is not None:
        r = c.round.row
        out.append("solved     ", DIM).append(f"{number(r.solve_rate)} of {len(c.round.attempts)} attempts\n")


def _verdict(a: Attempt) -> str:
    if a.correct:
        return "\N{CHECK MARK} right answer, right trace"
    at = f" at step {a.step}" if a.step else ""
    if a.answer_correct:
        return f"\N{CHECK MARK} right answer, wrong trace: {safe(a.reason)}{at}"
    return f"\N{BALLOT X} {safe(a.reason)}{at}"


def _value(answer: str | None) -> str:
    return safe(answer) if answer is not None else "-"
