"""Words chats by templates that anybody may have written, in a process of its own with little memory.

A template is a program in Jinja's sandbox, which keeps it from files and from Python's insides, not from counting for
ever or from doubling a text until the memory is full. Here it may: the process that asks (`agents/template_worker.py`)
waits so long and no longer, and memory is limited before the first template is read.

A line of JSON is asked, `[source, messages, prompt, known]`, and a line is answered: `["text", ...]`, `["read", why]`
for what is no template, `["fail", why]`. Without messages a template is only read. Nothing of the program is imported.
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

TODAY = datetime(2024, 7, 26)  # the day for templates that tell one: what those of Llama 3 say without a clock
MEMORY = 1_000_000_000
LONGEST = 1_000_000
"""Letters of a worded chat."""
ALONE = 60
"""Seconds after which a template ends its process, should nobody be there any more to end it."""


class Generation(Extension):
    """`{% generation %}`, by which some templates mark what a model is to learn: here its body and nothing else."""

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
    """As templates expect it: letters as they are, and no escapes for HTML."""
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
    except (Exception, MemoryError) as error:  # a template is a program of somebody's
        return ["fail", one_line(error)]
    return ["text", text] if len(text) <= LONGEST else ["fail", f"it makes a text of {len(text):,} letters"]


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
