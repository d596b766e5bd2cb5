"""Render untrusted chat templates in a separate process with limited memory.

A template is a program. Jinja's sandbox denies it access to files and Python internals, but does not limit time and
memory. Therefore the parent process (`agents/template_worker.py`) has a timeout, and memory is limited before any
template is parsed.

Each request is a line of JSON, `[source, messages, prompt, known]`, and is answered by a line: `["text", ...]`,
`["read", why]` for an invalid template, or `["fail", why]`. If messages is null, the template is only parsed. This
module imports no other module of the program.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

TODAY = datetime(2024, 7, 26)  # date for templates that print one; the default of the Llama 3 templates
MEMORY = 1_000_000_000
LONGEST = 1_000_000
"""Maximum length of a rendered chat, in characters."""
ALONE = 60
"""Seconds after which the process kills itself, in case its parent is gone."""


class Generation(Extension):
    """`{% generation %}`, with which some templates mark trainable text; renders its body."""

    tags = {"generation"}  # noqa: RUF012  (as Jinja declares it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@lru_cache(8)
def compiled(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = to_json
    environment.globals |= {"raise_exception": stop, "strftime_now": TODAY.strftime}
    return environment.from_string(source)


def to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    """JSON as chat templates expect it: no ASCII or HTML escapes."""
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)


def stop(message: str) -> None:
    raise TemplateError(message)


def answer(source: str, messages: list[dict[str, str]] | None, prompt: bool, known: dict[str, Any]) -> list[str]:
    try:
        template = compiled(source)
    except (Exception, MemoryError) as error:
        return ["read", one_line(error)]
    if messages is None:
        return ["text", ""]
    try:
        text = template.render(messages=messages, add_generation_prompt=prompt, **known)
    except (Exception, MemoryError) as error:  # untrusted code may raise anything
        return ["fail", one_line(error)]
    return ["text", text] if len(text) <= LONGEST else ["fail", f"it writes a text of {len(text):,} characters"]


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print("ready", flush=True)
    for line in sys.stdin:
        signal.alarm(ALONE)
        said = json.dumps(answer(*json.loads(line)))
        signal.alarm(0)
        print(said, flush=True)


if __name__ == "__main__":
    main()
