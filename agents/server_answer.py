"""What a server's answer says when it holds no result: an error in the body, a web page, an error without words.

Servers and gateways report errors in many forms, some with status 200. `find_error` reads the forms of OpenAI, Azure,
OpenRouter, Ollama, LM Studio, FastAPI, Cloudflare, Gemini, MiniMax, Baidu and older vLLM.

Left out: streams.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

TRANSIENT = (408, 425, 429)  # status codes that are retried, in addition to 5xx
WORDS = ("message", "detail", "msg", "error_msg")  # fields that hold an error's text
RESULTS = ("choices", "data", "count")  # fields of the results that are asked for
PASSING = re.compile(
    r"over-?load|rate.?limit|too many requests|time.?d? ?out|timeout|unavailable|at capacity|try again|server.?error|"
    r"internal error|loading|busy|bad gateway|concurren|throttl",
    re.IGNORECASE,
)
LASTING = re.compile(r"insufficient.?(quota|credit|balance|fund)|billing|exceeded your current quota", re.IGNORECASE)
FAILED = (
    "error",
    "abort",
    "aborted",
    "cancelled",
    "canceled",
    "timeout",
    "network_error",
    "insufficient_system_resource",
    "engine_error",
)
"""Values of `finish_reason` that mean a failure of the server, in lower case."""
UNPARSED = 300
"""Characters of an answer that are read to say what it is."""


@dataclass(frozen=True)
class ServerError:
    """An error as the server reports it. `status` is an HTTP status, 0 if there is none; `kind` its type or code."""

    message: str
    status: int = 0
    kind: str = ""

    @property
    def passes(self) -> bool:
        """Whether a later try may succeed."""
        words = f"{self.message} {self.kind}"
        if LASTING.search(words):
            return False
        return is_transient(self.status) if self.status else bool(PASSING.search(words))


class AnsweredError(ValueError):
    """An answer with status 200 reports an error."""

    def __init__(self, error: ServerError) -> None:
        super().__init__(error.message)
        self.error = error


class PageError(ValueError):
    """An answer is not JSON; the message says what it is."""


def is_transient(status: int) -> bool:
    return status in TRANSIENT or status >= 500


def find_error(answer: Any) -> ServerError | None:
    """The error that a JSON answer reports, or None if it reports none."""
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, dict):
        return None
    found, several = answer.get("error"), answer.get("errors")
    if not found and isinstance(several, list) and several:
        found = several[0]
    base = answer.get("base_resp")  # of MiniMax, beside results or in their place
    if not found and isinstance(base, dict) and base.get("status_code") not in (None, 0, "0"):
        found = {"message": base.get("status_msg") or "no message", "code": str(base["status_code"])}
    if not found and not any(name in answer for name in RESULTS) and any(answer.get(name) for name in WORDS):
        found = answer
    if not found:
        return None
    if not isinstance(found, dict):
        return ServerError(str(found))
    message = next((found[name] for name in WORDS if found.get(name)), found)
    codes = [found.get(name) for name in ("code", "status", "status_code", "type")]
    status = next((int(str(c)) for c in codes if re.fullmatch("[45][0-9]{2}", str(c))), 0)
    return ServerError(str(message), status, " ".join(c for c in codes if isinstance(c, str)))


def choice_error(choice: dict[str, Any]) -> ServerError | None:
    """The error of one choice: its field `error`, or a finish reason that means that the server failed."""
    reason = choice.get("finish_reason")
    failed = isinstance(reason, str) and reason.lower() in FAILED
    found = find_error({"error": choice.get("error")}) or (ServerError("") if failed else None)
    if found and failed and not found.status:
        message = found.message or f"it stopped generating, finish_reason {reason!r}"
        return ServerError(message, 500, found.kind)  # a failure while it generates may pass
    return found


def describe_page(content: bytes) -> str:
    """What an answer is that is not JSON: a web page with its title, or the beginning of the text."""
    text = content[:100_000].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not text:
        return "nothing"
    head = text[:UNPARSED].lower()
    if head.startswith(("<!doctype html", "<html", "<head", "<!--")) or "<html" in head:
        title = re.search(r"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE)
        return f"a web page, titled {' '.join(title[1].split())!r}" if title else "a web page"
    if head.startswith(("data:", "event:", ": ")):
        return "a stream of events"
    return f"text that is not JSON, {' '.join(text[:60].split())!r}"


def nearest_url(url: str) -> str:
    """The address that was probably meant by the base URL of an API; empty if `url` looks right.

    It ends in /v1: a web page's address lacks that, and an endpoint's has more after it.
    """
    parts = urlsplit(url)
    names = [name for name in parts.path.split("/") if name]
    if "v1" in names:
        kept = names[: names.index("v1") + 1]
    elif any(re.fullmatch(r"v\d\w*", name) for name in names):
        return ""
    else:
        endpoints = ("chat", "completions", "models", "embeddings")
        kept = [*names[: next((i for i, name in enumerate(names) if name in endpoints), len(names))], "v1"]
    meant = urlunsplit((parts.scheme, parts.netloc, "/" + "/".join(kept), "", ""))
    return meant if meant != url.rstrip("/") else ""


def load_json(content: bytes) -> Any:
    """The JSON of an answer. Raises PageError that says what the answer is if it is none."""
    try:
        return json.loads(content)
    except RecursionError:
        raise PageError("JSON that is nested too deep") from None
    except ValueError:
        raise PageError(describe_page(content)) from None
