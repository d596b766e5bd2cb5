"""What a player tells its killer, a line an event, and where that says a player was when it died.

    made                          the run folder is there, or was found, and is open
    phase G NAME                  a phase begins
    begin / commit                the transaction that stores it begins; it is about to be committed
    rename                        a file is about to take its real name
    post ID                       a post that was just stored
    done G NAME                   a phase is stored, which nothing may undo
    ended                         the run came to its end

Lines are short, so each is written to the pipe whole. A last line without an end is what a killed player leaves. Before
it begins, commits or renames, a player waits for a sign, so that its killer is awake when it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PLACES = ("opening", "playing", "renaming", "storing", "committing", "between")
"""Where a kill can land: while the run is made or opened, while a phase plays, just after it began to rename a file,
inside its transaction, from the commit until the commit is known, between two phases."""
OPENING = "opening"
WAITS = ("begin", "commit", "rename")
"""Events after which a player waits for one byte."""


@dataclass
class Track:
    """What one player told: where it is, what it said is stored."""

    generation: int = 0
    phase: str = OPENING
    place: str = OPENING
    opened: bool = False
    ended: bool = False
    stored: list[tuple[int, str]] = field(default_factory=list)
    played: list[tuple[int, str]] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)
    _posts: list[str] = field(default_factory=list)

    def take(self, line: str) -> str:
        """Follow one event; its kind. Raises ValueError for what no player tells."""
        kind, *words = line.split()
        match kind, words:
            case "made", []:
                self.opened, self.place = True, "between"
            case "phase", [generation, phase]:
                self.generation, self.phase, self.place = int(generation), phase, "playing"
                self.played.append((self.generation, phase))
            case "done", [generation, phase]:
                self.place = "between"
                self.stored.append((int(generation), phase))
                self.posts += self._posts
                self._posts.clear()
            case "begin", []:
                self.place = "storing" if self.place in ("playing", "renaming") else self.place
            case "commit", []:
                self.place = "committing" if self.place == "storing" else self.place
            case "rename", []:
                self.place = "renaming" if self.place == "playing" else self.place
            case "post", [post]:
                self._posts.append(post)
            case "ended", []:
                self.ended, self.place = True, "between"
            case _:
                raise ValueError(f"no event of a player: {line[:80]!r}")
        return kind


def lines_of(data: bytes) -> tuple[list[str], bytes]:
    """Whole lines of what was read so far, and the rest."""
    *whole, rest = data.split(b"\n")
    return [line.decode() for line in whole], rest
