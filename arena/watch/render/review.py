"""The reviewer's desk in words: what is asked, what speaks for asking, and what was decided."""

from __future__ import annotations

from rich.text import Text

from arena.text import compact, number
from arena.watch.commands import Decided
from arena.watch.models import Run, Try
from arena.watch.queries.base import safe
from arena.watch.queries.review import Case
from arena.watch.render.base import DIM, HEAD, line, number_of, steps
from arena.watch.review_queue import ATTEMPT, POST, RECENT, WAITING, Item

QUESTIONS = {
    ATTEMPT: "Is this attempt's answer right?  a: right  r: wrong",
    WAITING: "Let this post into the library?  a: yes  r: no",
    POST: "Is this post good? A no takes it out.  a: yes  r: no",
}


def item_cells(item: Item, skipped: bool) -> list[str]:
    score = f"{item.score:.2f}{' s' if skipped else ''}"
    what = "waits" if item.what == WAITING else item.what
    return [score, str(item.generation), what, ", ".join(map(line, item.agents)), line(item.why[0]), line(item.title)]


def desk_line(run: Run, d: Decided, left: int, unsent: int, note: str) -> Text:
    """What lies on the desk, and what became of what was decided."""
    out = Text()
    if run.review == "off":
        out.append(
            "This run takes no decisions (review: off). To be asked, start one with review=sample, or review=gate to"
            " let posts wait for you. "
        )
        return out.append(f"Below: the {left} items that would be asked." if left else "")
    out.append(f"{compact(left)} to decide", HEAD)
    out.append(f"; {d.open} decided and not taken yet{' (u: undo)' if d.open else ''}; {d.taken} taken by the run")
    if d.void:
        out.append(f"; {d.void} could not be taken")
    if unsent:
        out.append(f"; {unsent} being written", "bold yellow")
    if note:
        out.append("\nnote to the next decision: ", DIM).append(safe(note))
    return out


def nothing(run: Run, finished: bool, settled: bool) -> Text:
    """Why there is nothing to decide."""
    if not settled:
        return Text("Nothing on the desk yet: items come when a first generation has been graded.", DIM)
    more = "The run is finished, so no more will come." if finished else "More come with the next generation."
    waits = ", and no post waits" if run.review == "gate" else ""
    return Text(
        f"The desk is empty: nothing of the last {RECENT} generations is in doubt or was left undecided{waits}. {more}",
        DIM,
    )


def case_text(c: Case, finished: bool, off: bool) -> Text:
    item = c.item
    out = Text()
    if finished:
        out.append("The run is finished and takes no more decisions.\n", "yellow")
    elif not off:
        out.append(QUESTIONS[item.what], "bold").append("  s: skip  n: note\n")
    for i, why in enumerate(item.why):
        out.append("why        " if i == 0 else "           ", DIM).append(f"{safe(why)}\n")
    if c.post is not None:
        _post(out, c)
    if c.round is not None:
        r = c.round.row
        out.append("problem    ", DIM).append(safe(r.text), HEAD).append(f"  by {safe(r.author)}, {r.round}\n")
        if c.asked is not None:
            _attempt(out, c.round.attempts[c.asked])
        others = [a for i, a in enumerate(c.round.attempts) if i != c.asked]
        for i, a in enumerate(others):
            out.append("others     " if i == 0 else "           ", DIM)
            out.append(f"{safe(a.agent)}: answer {_value(a.answer)}, {_verdict(a)}\n")
    elif c.post is None:
        out.append("what it speaks of is gone\n", "red")
    return out


def _attempt(out: Text, a: Try) -> None:
    out.append("attempt    ", DIM).append(f"by {safe(a.agent)}, answer {_value(a.answer)}\n")
    for i, step in steps(a.text):
        wrong = i is not None and i == a.step
        why = f"   <- {safe(a.reason)}" if wrong else ""
        out.append(f"        {number_of(i)} {safe(step)}{why}\n", "red" if wrong else "")
    if a.notes:
        out.append("had read   ", DIM).append(f"{'; '.join(safe(n) for n in a.notes)}\n", "cyan")
    out.append("execution  ", DIM).append(f"{_verdict(a)}\n", "green" if a.correct else "red")
    if a.grade is None:
        out.append("grader     ", DIM).append("nobody graded it\n")
        return
    g = a.grade
    says = {None: "gives no answer, so no vote", True: "says right", False: "says wrong"}[g.says_correct]
    out.append("grader     ", DIM).append(f"{safe(g.grader)} {says}: its own answer, blind, is {_value(g.answer)}\n")
    out.append(f"           {safe(g.text)}\n", DIM)


def _post(out: Text, c: Case) -> None:
    assert c.post is not None
    p = c.post
    state = "waits for approval, passed the admission check" if c.item.what == WAITING else "in the library"
    out.append("post       ", DIM).append(f"{p['kind'].replace('_', ' ')} by {safe(p['author'])}, generation")
    out.append(f" {p['generation']}: {state}\n").append("title      ", DIM).append(f"{safe(p['title'])}\n", HEAD)
    out.append("body       ", DIM).append(f"{safe(p['body'])}\n", "cyan")
    out.append("signature  ", DIM).append(f"{safe(c.signature)}\n", "green" if c.signature == "valid" else "bold red")
    if c.round is not None:
        r = c.round.row
        out.append("solved     ", DIM).append(f"{number(r.solve_rate)} of {len(c.round.attempts)} attempts\n")


def _verdict(a: Try) -> str:
    if a.correct:
        return "\N{CHECK MARK} right answer by a right trace"
    at = f" at step {a.step}" if a.step else ""
    if a.answer_correct:
        return f"\N{CHECK MARK} right answer, but the trace: {safe(a.reason)}{at}"
    return f"\N{BALLOT X} {safe(a.reason)}{at}"


def _value(answer: str | None) -> str:
    return safe(answer) if answer is not None else "-"
