"""Replies of models that follow instructions: thinking left out, the part that was asked for found. Total: any text
has a reading, if only itself.

A reply may be JSON with the key, or hold the part between tags, perhaps in a code fence; JSON with words around it is
looked for last. Of several tagged parts the last one counts, since models correct themselves; one that was opened and
cut off is read to its end. What is read can be stored: it holds no half characters.
"""

from __future__ import annotations

import json
import re
from typing import Any

_OPEN = re.compile(r"<(think|thinking|thought|reasoning)>", re.IGNORECASE)
_CLOSE = re.compile(r"</(think|thinking|thought|reasoning)>", re.IGNORECASE)
_FENCE = re.compile(r"\A```[\w+-]*[ \t\r]*\n(.*?)\r?\n?```\Z", re.DOTALL)


def spoken(text: str) -> str:
    """What was said after thinking; empty if the thinking never ended. Templates that open the thinking themselves
    leave only its end in the text."""
    *_, last = _CLOSE.split(text)[::2]
    opened = _OPEN.search(last)
    return (last[: opened.start()] if opened else last).strip()


def part(text: str, name: str) -> str:
    """What a reply says as its `name`: of a JSON object or between tags; else all it says."""
    said = spoken(text)
    found = _named(said, name)
    tagged = re.split(f"<{name}>", said, flags=re.IGNORECASE) if found is None else []
    if len(tagged) > 1:
        found = re.split(f"</{name}>", tagged[-1], maxsplit=1, flags=re.IGNORECASE)[0]
    if found is None:  # JSON with words before or after it
        found = _named(said[said.find("{") : said.rfind("}") + 1], name)
    return unfenced((said if found is None else found).encode("utf-8", "replace").decode("utf-8"))


def _named(said: str, name: str) -> str | None:
    """What JSON says under a key, numbers and lists as JSON writes them; None if it is not that."""
    found = from_json(said) if said else None
    if not isinstance(found, dict) or found.get(name) is None:
        return None
    value = found[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def from_json(said: str) -> Any:
    """The JSON value that a reply is, perhaps in a code fence, or None. Lines may break inside its strings."""
    try:
        return json.loads(unfenced(said), strict=False)
    except (ValueError, RecursionError):
        return None


def unfenced(said: str) -> str:
    """A text without the code fence around all of it."""
    said = said.strip()
    found = _FENCE.match(said)
    return found.group(1).strip("\r\n") if found else said


def object_schema(**fields: dict[str, Any]) -> str:
    """The JSON schema, as text, of an object with just these fields."""
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return json.dumps(schema, separators=(",", ":"))
