"""The review queue as lines of text, and decisions without the screens: the command `review`.

Left out: an item in full, which the Review screen of `watch` shows. Not guaranteed: that nobody decides between two
calls; the run ignores the second decision on the same item, with a receipt that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arena.config.schema import nearest
from arena.config.shipped import typed_command
from arena.run.control import DECISIONS
from arena.text import compact, count, visible
from arena.watch import queries
from arena.watch.commands import RunControl, RunStatus, decision_counts, run_status
from arena.watch.models import Run
from arena.watch.review_queue import WAITING, Item, ReviewQueue

LISTED = 40
"""Maximum items listed."""


def queue(run: Run) -> tuple[list[Item], RunStatus]:
    """All undecided items of a run, the highest score first, and its status."""
    reviews = ReviewQueue(run)
    with queries.read_only(run.database) as db:
        items = reviews.items(db)
        while reviews.more:
            items = reviews.items(db)
        return items, run_status(db, run.folder)


def listed_queue(folder: Path) -> list[str]:
    """One line per item, then how many are left and the commands to decide."""
    run = queries.open_run(folder)
    _check_on(run)
    items, status = queue(run)
    with queries.read_only(run.database) as db:
        done = decision_counts(db)
        waits = queries.posts_waiting(db)
    lines = [
        "  ".join([i.subject[:12] if "/" not in i.subject else i.subject, f"{i.score:.2f}", i.what, i.why[0], i.title])
        for i in items[:LISTED]
    ]
    lines = [" ".join(visible(line).split("\n")) for line in lines]
    if len(items) > LISTED:
        lines.append(f"... and {compact(len(items) - LISTED)} more")
    left = max(len(items), waits.left + sum(i.what != WAITING for i in items))
    lines.append(
        f"{count(left, 'item')} to decide, {count(waits.left, 'waiting post')} among them; {done.pending} decided, not "
        f"carried out yet; {done.applied} carried out"
    )
    if items:
        lines.append(f"to decide: {typed_command('review', folder, 'accept')} ID ... (or reject), or key 5 of")
        lines[-1] += f" {typed_command('watch', folder)}"
    if done.pending and status.state in ("idle", "finished"):
        lines.append(_when(run, status))
    return lines


def decide(folder: Path, decision: str, subjects: Sequence[str], note: str) -> str:
    """Accept or reject items by id or by the first characters of an id, or `all` waiting posts. Returns a sentence.

    Raises:
        ValueError: for an unknown decision, no or an unknown or ambiguous id, or a run that takes no decisions.
    """
    words = (*DECISIONS, "undo")
    if decision not in words:
        raise ValueError(f"unknown decision {decision!r}{nearest(decision, words) or '; accept, reject or undo'}")
    if decision == "undo":
        raise ValueError("undo takes no ids: it takes back the last decision that the run has not carried out")
    run = queries.open_run(folder)
    _check_on(run)
    if not subjects:
        raise ValueError(f"{decision} needs ids from the list that {typed_command('review', folder)} prints, or all")
    control = RunControl(run)
    if list(subjects) == ["all"]:
        with queries.read_only(run.database) as db:
            chosen = queries.undecided_posts(db)
    else:
        known = [i.subject for i in queue(run)[0]]
        with queries.read_only(run.database) as db:
            known = list(dict.fromkeys(known + queries.undecided_posts(db)))
        chosen = list(dict.fromkeys(_one(word, known) for word in subjects))
    for subject in chosen:
        control.decide(subject, decision, note)
    _, status = queue(run)
    return f"{folder}: {count(len(chosen), 'item')} {decision}ed. {_when(run, status)}"


def undo(folder: Path) -> str:
    """Take back the last decision that the run has not carried out. Returns a sentence."""
    subject = RunControl(queries.open_run(folder)).undo()
    return f"{folder}: the decision on {subject} is undone" if subject else f"{folder}: no decision can be undone"


def _when(run: Run, status: RunStatus) -> str:
    """When the run carries out the decisions."""
    resume = typed_command("resume", run.folder)
    if status.state == "finished":
        return f"The run is finished: decisions count once it is continued: {resume} generations={run.planned + 1}"
    if status.state == "idle":
        return f"No process is playing the run: decisions count once it is continued: {resume}"
    return "The run carries out decisions before its next generation."


def _one(word: str, known: Sequence[str]) -> str:
    found = [word] if word in known else [subject for subject in known if subject.startswith(word)]
    if len(found) == 1:
        return found[0]
    why = f"{len(found)} items begin with it" if found else "no undecided item has it"
    raise ValueError(f"id {word!r}: {why}{'' if found else nearest(word, known)}")


def _check_on(run: Run) -> None:
    if run.review == "off":
        raise ValueError("this run accepts no decisions: its config has `review: off`")
