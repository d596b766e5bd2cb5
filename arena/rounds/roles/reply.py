"""Replies of instruction-following models: removes thinking and finds the requested part. Total: any text can be read,
as itself if nothing is marked.

A reply may be JSON with the key, or hold the part between tags, perhaps in a code fence; JSON surrounded by text is
tried last. Of several tagged parts the last one counts, since models correct themselves; an unclosed one is read to the
end. The result can be stored: it contains no lone surrogates.
"""

from __future__ import annotations

import json
import re
from typing import Any

from arena.rounds.roles.latex_json import with_latex

_TAGS = r"(?:[a-z]+[:_])?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|monologue|inner_monologue)"
_OPEN = re.compile(
    rf"<{_TAGS}>|\[THINK\]|◁think▷|<\|(?:START_THINKING|begin_of_thought|inner_prefix|think|thinking)\|>"
    r"|<\|?channel\|?>\s*(?:analysis|commentary|thought)|<unused94>|\[unused16\]|\A(?-i:analysis(?=[A-Z]))"
    r"|\AHere is my thought process:",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"</{_TAGS}>|\[/THINK\]|◁/think▷|<\|(?:END_THINKING|end_of_thought|inner_suffix|/think|/thinking)\|>"
    r"|<\|(?:START_RESPONSE|begin_of_solution|content)\|>|<channel\|>|<unused95>|\[unused17\]"
    r"|<\|channel\|>\s*final\b[^<]{0,20}(?:<\|constrain\|>[^<]{0,20})?<\|message\|>|(?-i:assistantfinal)"
    r"|^Here is my response:",
    re.IGNORECASE | re.MULTILINE,
)
"""The marks of thinking of open models: Qwen, DeepSeek, GLM and others with tags, Magistral, Kimi, Command A,
OpenThinker, Apertus, Solar, gpt-oss (also with its special tokens stripped), Gemma, MedGemma, Pangu and Granite."""
_END = re.compile(r"<\|(?:END_RESPONSE|end_of_solution|return|end)\|>")
_FENCE = re.compile(r"\A```[\w+-]*[ \t\r]*\n(.*?)\r?\n?```\Z", re.DOTALL)


def spoken(text: str) -> str:
    """The reply after thinking; empty if the thinking never ended. Templates that open the thinking themselves leave
    only its end tag in the text."""
    last = _CLOSE.split(text)[-1].strip()
    ended = _OPEN.search(last) or _END.search(last)
    return (last[: ended.start()] if ended else last).strip()


def part(text: str, name: str) -> str:
    """The part `name` of a reply: from a JSON object or between tags, otherwise the whole reply."""
    said = spoken(text)
    found = _named(said, name)
    tagged = re.split(f"<{name}>", said, flags=re.IGNORECASE) if found is None else []
    if len(tagged) > 1:
        found = re.split(f"</{name}>", tagged[-1], maxsplit=1, flags=re.IGNORECASE)[0]
    if found is None:  # JSON with words before or after it
        found = _named(said[said.find("{") : said.rfind("}") + 1], name)
    return unfenced((said if found is None else found).encode("utf-8", "replace").decode("utf-8"))


def _named(said: str, name: str) -> str | None:
    """The value of a JSON object under a key as text; None if there is none."""
    found = from_json(said) if said else None
    if not isinstance(found, dict) or found.get(name) is None:
        return None
    value = found[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def from_json(said: str) -> Any:
    """The reply as a JSON value, perhaps in a code fence, or None. Strings may contain line breaks, and LaTeX with
    single backslashes."""
    try:
        return json.loads(with_latex(unfenced(said)), strict=False)
    except (ValueError, RecursionError):
        return None


def unfenced(said: str) -> str:
    """A text without a code fence around all of it."""
    said = said.strip()
    found = _FENCE.match(said)
    return found.group(1).strip("\r\n") if found else said


def object_schema(**fields: dict[str, Any]) -> str:
    """The JSON schema, as text, of an object with just these fields."""
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return json.dumps(schema, separators=(",", ":"))
