"""One round in words: the proposal, what its author had read, every attempt and verdict."""

from __future__ import annotations

from rich.text import Text

from arena.report.tables import decimal, rate
from arena.watch.data.base import safe
from arena.watch.records import RoundDetail, Try
from arena.watch.texts.base import DIM, HEAD


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
