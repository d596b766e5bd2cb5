"""Events that a player reports to its killer, one a line, and the place where a player was when it died.

    made                          the run folder exists, or was found, and is open
    phase G NAME                  a phase begins
    begin / commit                the transaction that stores it begins; it is about to be committed
    rename                        a file is about to get its final name
    post ID                       a post that was just stored
    done G NAME                   a phase is stored; nothing may undo that
    ended                         the run has ended

Lines are short, so each is written to the pipe in one piece; a killed player can leave an incomplete last line. Before
a begin, commit or rename, a player waits for a byte, so that its killer is awake at that moment."""

from __future__ import annotations

from dataclasses import dataclass, field

PLACES = ("opening", "playing", "renaming", "storing", "committing", "between")
"""Where a kill can land: while the run is made or opened, while a phase plays, just after a rename began, in the
transaction of a phase, between its commit and the report of it, between two phases."""
OPENING = "opening"
WAITS = ("begin", "commit", "rename")
"""Events after which a player waits for one byte."""


@dataclass
class Track:
    """The state of one player according to its events: where it is, and what it reported as stored."""

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
        """Apply one event and return its kind. Raises ValueError for an unknown event."""
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
                raise ValueError(f"not an event of a player: {line[:80]!r}")
        return kind


def lines_of(data: bytes) -> tuple[list[str], bytes]:
    """Split bytes into complete lines and the rest."""
    *whole, rest = data.split(b"\n")
    return [line.decode() for line in whole], rest
