"""The author: what it is asked when it may write for the library in its own words, and how its posts are read.

A reply is a JSON object with a list of posts, or holds tagged posts; each says its kind, which of the shown episodes it
comes from, a title, when it is of use, and its text. What cannot be read as a post comes back with the reason; nothing
is lost without a word. Total: any text has a reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.prompt import Prompt
from arena.rounds.roles.reply import from_json, object_schema, spoken
from arena.rounds.roles.voice import Voice
from culture.kinds import free_text_kinds
from curricula.domain import quoted

MOST = 16
"""Posts of one reply that are looked at."""

_FIELDS: dict[str, Any] = {
    "about": {"type": "integer"},
    "title": {"type": "string"},
    "when": {"type": "string"},
    "body": {"type": "string"},
    "cites": {"type": "array", "items": {"type": "integer"}},
}
ROLE = (
    "Now you write for the library. Agents who meet a problem like one of yours will be shown what you write, and "
    "whether it helped them is measured. Write what would have helped you: short, true, and of use beyond this one "
    "problem. Writing nothing is better than writing what everybody knows."
)
TAGGED = (
    'Write each post so:\n<post kind="lesson" about="1" cites="">\ntitle: one line\nwhen: one line that says when it '
    "is of use\nits text, a few sentences\n</post>"
)
BRIEF = "You write notes for those who solve problems after you."
LINES = "Write one note: a line `about:` with its number, a line `title:`, a line `when:`, then a few sentences."
JSON = 'Reply with one JSON object: {"posts": [{"kind", "about", "title", "when", "body", "cites"}]}.'

_POST = re.compile(r"<post\b([^>]*)>(.*?)(?:</post>|(?=<post\b)|\Z)", re.DOTALL | re.IGNORECASE)
_HEADER = re.compile(r"\s*(title|when)\s*:\s*(.*)", re.IGNORECASE)
_LINE = re.compile(r"\s*(about|kind|title|when)\s*:\s*(.*)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))""")


@dataclass(frozen=True)
class Episode:
    """A problem that the agent tried: the question, its answer, what running it showed, another's right answer."""

    question: str
    answer: str
    outcome: str
    better: str = ""

    def __str__(self) -> str:
        right = f"\nAnother agent's right answer:\n{quoted(self.better)}" if self.better else ""
        return f"{quoted(self.question)}\nYour answer:\n{quoted(self.answer)}\nIt was {self.outcome}.{right}"


@dataclass(frozen=True)
class Draft:
    """A post as its author wrote it. `about` and `cites` are numbers, from 1, of what it was shown."""

    kind: str
    about: int
    title: str
    when: str
    body: str
    cites: tuple[int, ...] = ()


@dataclass(frozen=True)
class Unreadable:
    """Part of a reply that is no post, and why."""

    text: str
    reason: str


def say(voice: Voice, about: int, title: str, when: str, body: str) -> str:
    """The reply with one lesson: a training target."""
    if voice.brief:
        return f"about: {about}\ntitle: {title}\nwhen: {when}\n{body}"
    if voice.structured:
        post = {"kind": "lesson", "about": about, "title": title, "when": when, "body": body, "cites": []}
        return json.dumps({"posts": [post]}, ensure_ascii=False)
    return f'<post kind="lesson" about="{about}" cites="">\ntitle: {title}\nwhen: {when}\n{body}\n</post>'


def schema() -> str:
    """The JSON schema of a reply."""
    fields = {"kind": {"type": "string", "enum": [k.name for k in free_text_kinds()]}, **_FIELDS}
    return object_schema(posts={"type": "array", "items": json.loads(object_schema(**fields))})


def meanings() -> str:
    """What each kind that can be written in free text is for, a line each."""
    return "\n".join(f"- {kind.name}: {kind.free_text}" for kind in free_text_kinds())


def ask(voice: Voice, agent: str, episodes: Sequence[Episode], own: Sequence[str], most: int) -> Prompt:
    """The prompt for at most `most` posts; `own`: titles of the author's earlier posts."""
    shown = "\n\n".join(f"[{i}]\n{episode}" for i, episode in enumerate(episodes, start=1))
    if voice.brief:
        return voice.say(agent, BRIEF, f"{shown}\n\n{LINES}", "")
    earlier = "\n".join(f"[{i}] {' '.join(title.split())}" for i, title in enumerate(own, start=1))
    asked = [f"What you did today:\n\n{shown}"]
    if own:
        asked.append(f"What you wrote before:\n{quoted(earlier)}")
    asked.append(
        f"You may write up to {most} {'posts' if most > 1 else 'post'}, each of one of these kinds:\n{meanings()}"
    )
    asked.append(JSON if voice.structured else TAGGED)
    return voice.say(agent, ROLE, "\n\n".join(asked), schema())


def read(text: str) -> list[Draft | Unreadable]:
    """The drafts in a reply; empty if it contains none."""
    said = spoken(text)
    found = from_json(said)
    if isinstance(found, dict):
        found = found.get("posts", [found] if "body" in found else None)
    if isinstance(found, list):
        return [_from_fields(item) for item in found[:MOST]]
    posts = list(_POST.finditer(said))[:MOST]
    if not posts and _LINE.match(said):
        return [_from_tag('kind="lesson"', said, _LINE)]
    if not posts:
        return [Unreadable(said, "no post in the reply")] if said else []
    return [_from_tag(post.group(1), post.group(2)) for post in posts]


def _from_tag(attributes: str, text: str, header: re.Pattern[str] = _HEADER) -> Draft | Unreadable:
    fields: dict[str, Any] = {m[1].lower(): m[2] or m[3] or m[4] or "" for m in _ATTRIBUTE.finditer(attributes)}
    lines = text.strip().splitlines()
    while lines and (head := header.match(lines[0])):
        fields[head[1].lower()] = head[2].strip()
        lines.pop(0)
    fields["cites"] = re.findall(r"\d{1,6}", fields.get("cites", ""))
    return _from_fields(fields | {"body": "\n".join(lines).strip()})


def _from_fields(found: Any) -> Draft | Unreadable:
    if not isinstance(found, dict):
        return Unreadable(str(found), "a post that is no object")
    kind, title, body = (str(found.get(name) or "").strip() for name in ("kind", "title", "body"))
    shown = title or body
    known = [k.name for k in free_text_kinds()]
    if kind.lower() not in known:
        return Unreadable(shown, f"unknown kind of post {kind[:40]!r}: one of {', '.join(known)}")
    if not title or not body:
        return Unreadable(shown, f"a {kind.lower()} without a {'text' if title else 'title'}")
    cites = found.get("cites")
    numbers = tuple(n for n in map(_number, cites if isinstance(cites, list) else []) if n)
    when = " ".join(str(found.get("when") or "").split())
    return Draft(kind.lower(), _number(found.get("about")), " ".join(title.split()), when, body, numbers)


def _number(said: Any) -> int:
    """A number from 1, or 0 for anything else."""
    text = str(said).strip().strip("[]#")
    return int(text) if len(text) <= 6 and text.isascii() and text.isdigit() else 0
