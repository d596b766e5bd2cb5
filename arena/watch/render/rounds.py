"""Text of one round: the proposal, the post its author had read, and every attempt with its verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from arena.text import number
from arena.watch.models import Attempt, Grade, PostRow, RoundDetail
from arena.watch.queries.base import safe
from arena.watch.render.base import DIM, HEAD, beside, number_of, steps

SIDE_BY_SIDE = 100
"""Minimum width, in columns, at which an attempt and its grader's solution are shown side by side."""


def round_text(d: RoundDetail, payment_rule: str, width: int) -> Text:
    """A round in full. `payment_rule`: the rule by which the run pays setters."""
    r = d.row
    out = Text()
    out.append(f"{r.round}", HEAD)
    out.append(f"  {r.domain}, generation {d.generation}, set by {r.author} ({d.setter})\n\n")
    out.append("proposal   ", DIM).append(safe(d.proposal) or "(empty)", HEAD).append("\n")
    if r.valid:
        out.append("checked    ", DIM).append(f"valid, depth {r.depth}\n")
    else:
        why = f": {safe(d.detail)}" if d.detail else ""
        out.append("checked    ", DIM).append(f"rejected, {safe(r.reason)}{why}\n", "red")
    out.append("solved     ", DIM)
    out.append(f"{number(r.solve_rate)} of {len(d.attempts)} attempts" if d.attempts else "no attempts yet")
    out.append(", learnable\n" if r.learnable else "\n")
    out.append("earned     ", DIM).append(f"{_earned(d, payment_rule)}\n\n")
    out.append("its author had read\n", DIM).append(_read(d.parent_post, d.parent)).append("\n")
    if d.attempts:
        out.append(_verdicts(d.attempts, width))
    for at, a in enumerate(d.attempts, 1):
        out.append("\n").append(_attempt(at, a, width))
    return out


def _earned(d: RoundDetail, payment_rule: str) -> str:
    r = d.row
    if r.paid is None:
        return "not paid yet"
    why = "penalty for a rejected proposal" if not r.valid else f"learnability, payment rule {payment_rule}"
    if r.doubt:
        why = f"the problem is not counted, {safe(r.doubt)}"
    return f"{number(r.paid, 2)} for {r.author}: {why}"


def _read(post: PostRow | None, parent: str | None) -> Text:
    """The post or problem that was in the author's context."""
    if post is None:
        return Text(f"  {safe(parent)}\n" if parent else "  nothing\n")
    kind = post.kind.replace("_", " ")
    out = Text(f"  {kind} by {post.author}, generation {post.generation}: {safe(post.title)}\n")
    return out.append("".join(f"  {line}\n" for line in safe(post.body).split("\n")), "cyan")


def _verdicts(attempts: Sequence[Attempt], width: int) -> Text:
    """One line per attempt: the agent, the verifier's verdict and the grader's."""
    label = max(len("verdicts"), *(len(f"{n} {a.agent}") for n, a in enumerate(attempts, 1))) + 2
    left = max((width - label) // 2, 24)
    out = Text(no_wrap=True, overflow="ellipsis")
    out.append(f"{'verdicts':<{label}}{'verifier (executes each step)':<{left}}grader (solves it blind)\n", DIM)
    for at, a in enumerate(attempts, 1):
        verdict = _verdict(a)
        verdict.truncate(left - 2, overflow="ellipsis")
        verdict.pad_right(left - verdict.cell_len)
        out.append(f"{f'{at} {a.agent}':<{label}}").append(verdict).append(_judgement(a.grade)).append("\n")
    return out


def _verdict(a: Attempt) -> Text:
    if a.correct:
        return Text("\N{CHECK MARK} right", "green")
    at = f" at step {a.step}" if a.step else ""
    answer = ", though the answer is right" if a.answer_correct else ""
    return Text(f"\N{BALLOT X} {safe(a.reason)}{at}{answer}", "red")


def _judgement(g: Grade | None, against: str = "") -> Text:
    """The grader's verdict, and whether it agrees with execution. `against`: text after `agrees` or `DISAGREES`."""
    if g is None:
        return Text("not graded", DIM)
    if g.says_correct is None:
        return Text(f"{g.grader} gave no answer, so no vote", DIM)
    says = Text(f"{g.grader} says {'right' if g.says_correct else 'wrong'}: ")
    if g.agrees is False:
        return says.append(f"DISAGREES{against}", "bold red")
    return says.append(f"agrees{against}", "green")


def _attempt(at: int, a: Attempt, width: int) -> Text:
    """An attempt in full, with its grader's own solution beside it, or below it on a narrow screen."""
    mine = [Text(f"attempt {at} by {a.agent}", HEAD).append("  ").append(_verdict(a))]
    if a.notes:
        mine.append(Text(f"  in context: {'; '.join(safe(n) for n in a.notes)}", DIM))
    mine[0].append(f"  estimate {number(a.estimates[0])}" if a.estimates else "", DIM)
    after = iter(a.estimates[1:])
    for i, step in steps(a.text):
        if not step.strip():
            continue
        wrong = i is not None and i == a.step
        line = Text(f"  {number_of(i)} {safe(step)}", "red" if wrong else "")
        if (estimate := next(after, None)) is not None:
            line.append(f"  {number(estimate)}", DIM)
        mine.append(line.append(f"   <- {a.reason}" if wrong else ""))
    if a.stopped:
        mine.append(Text("     ended here: the estimate is too low", DIM))
    if a.grade is None:
        return Text("\n").join(mine).append("\n")
    graded = _graded(a.grade)
    if width >= SIDE_BY_SIDE:
        return beside(mine, graded, width)
    return Text("\n").join(mine + graded).append("\n")


def _graded(g: Grade) -> list[Text]:
    lines = [Text("grader ", HEAD).append(_judgement(g, " with execution"))]
    lines.append(Text(f"     own answer {safe(g.answer) if g.answer is not None else '-'}"))
    return lines + [Text(f"  {number_of(i)} {safe(step)}", DIM) for i, step in steps(g.text, answer=False)]
