"""Alarms of a run: what went wrong, after each generation. One source for the report, the live display and the screens.

`at` says which alarms are on after a generation; `spans` says of each alarm from when to when it was on. Only complete
generations count. An unfinished run is no alarm; the report says it by itself.

Collapse of the wording shows in the share of a generation's problems that have its most frequent wording, but for names
and numbers: the last quarter of the generations is compared with the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from arena.phases.order import LOOP
from arena.report.metrics import generation
from arena.report.metrics.diversity import Variety, variety
from arena.report.stats.intervals import difference_interval
from arena.run.store import Row, Store
from arena.text import count

MIN_PROPOSALS = 20
"""Fewest proposals, or graded attempts, for a statement about a trend."""
SIMILAR, RISE = 0.3, 0.2
"""Least share of the most frequent wording in a generation, and least rise of it, for an alarm."""
MIN_COMPARED = 2 * MIN_PROPOSALS
"""Fewest problems on each side of that comparison."""
GRADER_WINDOW = 10
"""Generations over which the graders' agreement is computed."""


@dataclass(frozen=True)
class Figures:
    """What alarms need of one complete generation. `labels` are a reviewer's, `against` those that contradict
    execution."""

    generation: int
    proposed: int
    valid: int
    distinct: int
    duplicates: int
    solve_rate: float | None
    learnable: int
    guesses: int
    right_guesses: int
    graded: int
    votes: int
    agreeing: int
    posts: int
    labels: int
    against: int
    compared: int = 0
    """Problems compared for their wording, and those of them that have the most frequent one (`Variety`)."""
    similar: int = 0


@dataclass(frozen=True)
class Alarm:
    """`key` is the same in all generations, `text` has the numbers."""

    key: str
    text: str


@dataclass(frozen=True)
class Span:
    """An alarm of a run: the `first` and `last` generation it was on after, how many it was on after, its last text,
    and whether it is `on` after the last complete generation."""

    key: str
    text: str
    first: int
    last: int
    generations: int
    on: bool

    def __str__(self) -> str:
        when = f"since generation {self.first}" if self.on else f"generations {self.first} to {self.last}, then no more"
        if not self.on and self.first == self.last:
            when = f"generation {self.first} only"
        gaps = self.last - self.first + 1 - self.generations
        return f"{self.text} ({when}{f'; in {self.generations} generations' if gaps else ''})"


def figures(store: Store, main: str, g: int | None = None) -> list[Figures]:
    """The figures of all complete generations, or of generation `g` if it is complete, in order. `main`: the domain
    whose problems are compared for their wording."""
    done = store.finished()
    played = sorted({i for i, _ in done if i >= 1 and g in (None, i) and all((i, phase) in done for phase in LOOP)})
    proposals, outcomes = generation.proposals(store, g), generation.outcomes(store, g)
    guesses, posts = generation.guesses(store, g), generation.posts(store, g)
    grades, labels, varied = generation.votes(store, g), generation.labels(store, g), variety(store, main, g)
    found = []
    for i in played:
        p, guessed = proposals.get(i, generation.Proposals()), guesses.get(i, generation.Guesses())
        o = outcomes.get(i, generation.Outcomes())
        found.append(
            Figures(
                i,
                *(
                    p.proposed,
                    p.valid,
                    p.behaviours,
                    p.duplicates,
                    o.solve_rate,
                    o.learnable,
                    guessed.made,
                    guessed.right,
                ),
                *grades.get(i, (0, 0, 0)),
                posts.get(i, 0),
                *labels.get(i, (0, 0)),
                *compared(varied.get(i)),
            )
        )
    return found


def compared(found: Variety | None) -> tuple[int, int]:
    """Problems that were compared for their wording, and those with the most frequent one."""
    return (found.n, found.alike) if found else (0, 0)


def empty_library(learnable: int, waits: str) -> str:
    """The reason why a library has no posts. `learnable`: number of learnable problems; `waits`: as in `at`."""
    why = waits or "no problem proved learnable."
    if learnable and not waits:
        why = f"{count(learnable, 'problem')} proved learnable, but no post was admitted."
    return f"The library is empty, so agents have nothing to read or train on: {why}"


def at(played: Sequence[Figures], waits: str = "") -> list[Alarm]:
    """The alarms that are on after the last of these generations, which are all up to it; worst first. `waits`: the
    sentence on posts that wait for approval, empty without any."""
    found: list[Alarm] = []
    if not played:
        return found
    if not any(f.posts for f in played):
        found.append(Alarm("empty", empty_library(_sum(played, "learnable"), waits)))
    elif waits:
        found.append(Alarm("waiting", waits))
    quarter = max(1, len(played) // 4)
    first, last = played[:quarter], played[-quarter:]
    now = played[-1]
    proposed, valid = _sum(last, "proposed"), _sum(last, "valid")
    if now.proposed and not now.valid:
        found.append(Alarm("none valid", f"No proposal of a generation was valid: 0 of {now.proposed}."))
    elif proposed >= MIN_PROPOSALS and valid < proposed / 2:
        found.append(Alarm("rejected", f"Most recent proposals were rejected: only {valid} of {proposed} were valid."))
    before, after = _distinct_share(first), _distinct_share(last)
    if before is not None and after is not None and after < 0.75 * before:
        text = f"Distinct proposals are falling: from {before:.0%} of those set to {after:.0%}."
        found.append(Alarm("alike", text))
    n1, n2, similar1, similar2 = (_sum(side, key) for key in ("compared", "similar") for side in (first, last))
    if n1 >= MIN_COMPARED <= n2 and similar2 >= SIMILAR * n2:
        rise = similar2 / n2 - similar1 / n1
        if rise >= RISE and difference_interval(similar2, n2, similar1, n1)[0] > 0:
            text = (
                f"Problems are becoming alike: {similar2 / n2:.0%} of those of a generation have one wording, but for "
            )
            found.append(Alarm("templates", f"{text}names and numbers; at first it was {similar1 / n1:.0%}."))
    rates = [f.solve_rate for f in last if f.solve_rate is not None]
    rate = sum(rates) / len(rates) if rates else None
    if rate is not None and not 0.1 <= rate <= 0.9:
        word = "hard" if rate < 0.1 else "easy"
        found.append(Alarm(word, f"Problems were too {word} recently: the mean solve rate is {rate:.0%}."))
    recent = played[-GRADER_WINDOW:]
    votes = _sum(recent, "votes")
    if votes and _sum(recent, "graded") >= MIN_PROPOSALS and (share := _sum(recent, "agreeing") / votes) < 0.75:
        found.append(Alarm("graders", f"Graders agree with execution in only {share:.0%} of their recent votes."))
    if against := _sum(played, "against"):
        of = _sum(played, "labels")
        text = f"A reviewer disagrees with execution on {against} of {of} labelled attempts."
        found.append(Alarm("reviewer", text))
    if (made := _sum(played, "guesses")) and not _sum(played, "right_guesses"):
        found.append(Alarm("guesses", f"None of {made} guesses at a name was right, so no name is known."))
    return found


def spans(played: Sequence[Figures], waits: str = "") -> list[Span]:
    """The alarms of a run; those that are on first, then those of most generations."""
    on: dict[str, list[tuple[int, str]]] = {}
    for i in range(1, len(played) + 1):
        for alarm in at(played[:i], waits if i == len(played) else ""):
            on.setdefault(alarm.key, []).append((played[i - 1].generation, alarm.text))
    end = played[-1].generation if played else 0
    found = [Span(key, when[-1][1], when[0][0], when[-1][0], len(when), when[-1][0] == end) for key, when in on.items()]
    return sorted(found, key=lambda s: (not s.on, -s.generations))


def rows(found: Iterable[Span]) -> list[Row]:
    """As plain data, with `line`, the sentence for people."""
    return [{**asdict(span), "line": str(span)} for span in found]


def _distinct_share(played: Sequence[Figures]) -> float | None:
    """Distinct behaviours within a generation over proposals, duplicates counting against; None for few proposals."""
    total = _sum(played, "valid") + _sum(played, "duplicates")
    return _sum(played, "distinct") / total if total >= MIN_PROPOSALS else None


def _sum(played: Iterable[Figures], name: str) -> int:
    return sum(getattr(f, name) for f in played)
