"""`play`: a person at a terminal solves problems of a run's agents, sets problems for them, and gets a score.

Every event is appended to `play/NNNN.jsonl` in the run folder, one JSON object per line. The run's database is only
read. Rules and score are in `game.py`; this module holds the dialogue and the transcript.

Left out: resuming a game that was left.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from arena.config.schema import Config
from arena.evals.play.game import Attempt, Game, Score, SetProblem
from arena.evals.play.run_agents import open_agents
from arena.evals.play.terminal import Quit, Terminal
from arena.run.faults import is_for_user
from arena.run.store import Store
from curricula import default_prose
from curricula.domain import Problem, Rejection

PROPOSALS = 3
"""Maximum number of texts that a person may enter for one problem."""
HELP = "hint: library posts on the problem · rules: the full task · quit: end with the score · ``` around several lines"


class Transcript:
    """A new file of events in `folder`, named by the next free number. Raises OSError if it cannot be written."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        number = 1 + max((int(p.stem) for p in folder.glob("*.jsonl") if p.stem.isdecimal()), default=0)
        self.path = folder / f"{number:04d}.jsonl"
        self._file = open(self.path, "x", encoding="utf-8")  # noqa: SIM115  open for the whole game

    def write(self, event: str, **what: Any) -> None:
        self._file.write(json.dumps({"event": event, **what}) + "\n")
        self._file.flush()

    def __enter__(self) -> Transcript:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def play_person(
    folder: Path, store: Store, config: Config, domain: str | None, rounds: int, count: int, seed: int, at: Terminal
) -> Path:
    """Play one game against agents of a run.

    Args:
        folder: the run folder.
        store: the run's database; only read.
        config: the run's config.
        domain: name of the domain; None: the run's main domain.
        rounds: number of problems that the person solves, and number that the person sets.
        count: maximum number of agents.
        seed: seed of the game.
        at: input and output.

    Returns:
        The path of the transcript.

    Raises:
        ValueError, OSError: as `open_agents`.
    """
    agents = open_agents(folder, store, config, count, domain)
    game = Game(agents, seed)
    with Transcript(folder / "play") as record:
        record.write("game", domain=game.domain.name, rounds=rounds, agents=list(agents.names), seed=seed)
        at.say(f"You against {', '.join(agents.names)} of {folder}, in {game.domain.name}.", "bold")
        at.say(HELP, "dim")
        try:
            _solve(game, rounds, at, record)
            _set(game, rounds, at, record)
        except Quit:
            at.say("You left the game.")
            record.write("left")
        finally:
            _score(game, at, record)
    at.say(f"wrote {record.path}")
    return record.path


def _solve(game: Game, rounds: int, at: Terminal, record: Transcript) -> None:
    """First half: the person and the agents solve problems that agents set."""
    for number, item in enumerate(game.problems(rounds), start=1):
        by = f"{item.author} set" if item.now else f"{item.author} once set"
        at.say(f"\nProblem {number} of {rounds}, which {by}:", "bold")
        at.say(asked(game, item.problem, whole=number == 1))
        text, hinted = _answer(game, item.problem, at)
        mine = game.judge(item.problem, text)
        tries = [mine, *game.attempts(item.problem, item.author)]
        paid = game.solved(item.author, tries)
        at.say(verdict_line(mine, item.problem))
        at.say("  ".join(f"{t.player}: {'right' if t.right else 'wrong'}" for t in tries[1:]))
        at.say(f"{item.author} is paid {paid:.2f} for it.")
        _record_solved(record, item, tries, paid, hinted)


def _answer(game: Game, problem: Problem, at: Terminal) -> tuple[str, bool]:
    """The person's answer, and whether the person asked for a hint before."""
    hinted = False
    while True:
        text = at.ask()
        word = text.strip().lower()
        if word == "hint":
            hinted = True
            notes = game.agents.notes(problem, by_words=True)
            at.say("\n".join(f"· {note}" for note in notes) or "The library has no posts on this problem.")
        elif word == "rules":
            at.say(asked(game, problem, whole=True))
        elif word == "help":
            at.say(HELP)
        else:
            return text, hinted


def _set(game: Game, rounds: int, at: Terminal, record: Transcript) -> None:
    """Second half: the person sets problems and the agents solve them."""
    pays = game.agents.config.rewards.rule.summary
    at.say(f"\nNow you set {rounds} problem{'s' if rounds > 1 else ''}. A problem pays {pays}.", "bold")
    at.say(setting(game))
    for number in range(1, rounds + 1):
        at.say(f"\nYour problem {number} of {rounds}:", "bold")
        found = _proposal(game, at, record)
        if found is None:
            at.say(f"No attempts left: this costs you {-game.rejected():.2f}.")
            continue
        problem, tries = found
        paid = game.pay(game.person, tries)
        right = sum(t.right for t in tries)
        at.say("  ".join(f"{n}: {sum(t.right for t in ts)} of {len(ts)}" for n, ts in _by_player(tries).items()))
        at.say(f"{right} of {len(tries)} attempts are right, p = {right / len(tries):.2f}: it pays you {paid:.2f}.")
        record.write("set", problem=problem.text, tries=[_attempt_fields(t) for t in tries], pay=paid)


def _proposal(game: Game, at: Terminal, record: Transcript) -> tuple[Problem, Sequence[Attempt]] | None:
    """A valid problem from the person and the agents' attempts at it; None after `PROPOSALS` invalid ones."""
    tries = 0
    while tries < PROPOSALS:
        text = at.ask()
        if text.strip().lower() in ("rules", "help", "hint"):
            at.say(setting(game))
            continue
        tries += 1
        made: Problem | Rejection = game.propose(text)
        if isinstance(made, Problem):
            try:
                return made, game.attempts(made, game.person, max(2, game.agents.config.rounds.attempts))
            except ValueError as error:  # for example, a text too long for their model
                if not is_for_user(error):
                    raise
                made = Rejection("too long for the agents", str(error))
        # the text of a held-out problem must not appear in the run's files
        logged, detail = (None, "") if made.reason == "held-out" else (text, made.detail)
        record.write("rejected", text=logged, reason=made.reason, detail=detail)
        at.say(f"Not a valid problem: {made.reason}{f' ({made.detail})' if made.detail else ''}.")
    return None


def asked(game: Game, problem: Problem, whole: bool) -> str:
    """The question for a person; `whole`: with the instructions of the domain, if it has any."""
    return default_prose.asking(game.domain, problem) if whole else problem.shown


def setting(game: Game) -> str:
    return default_prose.setting(game.domain, None)


def verdict_line(mine: Attempt, problem: Problem) -> str:
    if mine.right:
        return "Right." if mine.verdict.correct else f"The answer is right ({mine.verdict.reason})."
    said = "" if mine.verdict.answer is None else f", not {mine.verdict.answer}"
    return f"Wrong: {mine.verdict.reason}. It is {problem.answer}{said}."


def _score(game: Game, at: Terminal, record: Transcript) -> None:
    rows = [(name, s) for name, s in game.scores.items() if s.tried or s.pay]
    if not rows:
        at.say("Nothing was played.")
        return
    at.say()
    others = [s for name, s in rows if name != game.person]
    all_ = Score(sum(s.right for s in others), sum(s.tried for s in others), [p for s in others for p in s.pay])
    shown = [*rows, ("the agents", all_)]
    at.table("Score", ("player", "right answers", "problems set", "pay a problem"), [_row(n, s) for n, s in shown])
    record.write("score", players={n: {"right": s.right, "tried": s.tried, "pay": s.pay} for n, s in rows})


def _row(name: str, s: Score) -> tuple[str, str, str, str]:
    mean = f"{sum(s.pay) / len(s.pay):.2f}" if s.pay else "-"
    return name, f"{s.right} of {s.tried}", str(len(s.pay)), mean


def _by_player(tries: Sequence[Attempt]) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = {}
    for t in tries:
        found.setdefault(t.player, []).append(t)
    return found


def _record_solved(record: Transcript, item: SetProblem, tries: Sequence[Attempt], paid: float, hinted: bool) -> None:
    record.write(
        "solved",
        author=item.author,
        problem=item.problem.text,
        now=item.now,
        hinted=hinted,
        tries=[_attempt_fields(t) for t in tries],
        pay=paid,
    )


def _attempt_fields(t: Attempt) -> dict[str, Any]:
    return {"player": t.player, "text": t.text, "right": t.right, "reason": t.verdict.reason}
