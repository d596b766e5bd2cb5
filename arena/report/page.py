"""The report as one self-contained HTML page: it opens from disk, works offline and prints well.

The embedded plotly.js draws the figures. A content security policy with digests allows the page's two scripts and no
request, so text of agents, which is escaped everywhere, could do nothing even where an escape is missing. The linked
pictures and data files lie beside the page.

Left out: writing those files (`write`). Not guaranteed: browsers without JavaScript show the PNGs only if they lie
beside the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from arena.report.figures.figure import Figure, Section
from arena.report.figures.plotly_backend import interactive, script

TEMPLATES = Path(__file__).with_name("templates")


def render(title: str, lead: str, alarms: Sequence[str] | None, sections: Sequence[Section], command: str) -> str:
    """The page's HTML. `lead` is one sentence under the title, `command` the command that makes the page. `alarms` is
    None for a page without alarms."""
    own = [script(), (TEMPLATES / "page.js").read_text(encoding="utf-8")]
    assert not any("</script" in s.lower() or "<!--" in s for s in own), "a script must not end itself"
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    html: str = environment.get_template("page.html").render(
        title=title,
        lead=lead,
        alarms=alarms,
        sections=[_section(s) for s in sections],
        command=command,
        policy=policy(own),
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        plotly=Markup(own[0]),
        script=Markup(own[1]),
    )
    return html


def policy(scripts: Sequence[str]) -> str:
    """Nothing is loaded but pictures beside the page; these scripts run and no others."""
    digests = (base64.b64encode(hashlib.sha256(s.encode("utf-8")).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src 'self' file: data: blob:"


def files(key: str) -> tuple[tuple[str, str], ...]:
    """The files of a figure beside the page: (name, path relative to the page)."""
    drawn = tuple((kind.upper(), f"figures/{key}.{kind}") for kind in ("png", "svg"))
    return (*drawn, ("CSV", f"data/{key}.csv"), ("Parquet", f"data/{key}.parquet"))


def as_json(value: Any) -> Markup:
    """JSON that cannot end the element it stands in, or begin a comment; NaN is refused."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _section(section: Section) -> dict[str, Any]:
    return {
        "key": section.key,
        "title": section.title,
        "findings": section.findings,
        "missing": section.missing,
        "tables": section.tables,
        "figures": [_figure(f) for f in section.figures],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    drawn = interactive(figure)
    title, _, subtitle = figure.title.partition("\n")
    return {
        "key": figure.key,
        "title": title,
        "subtitle": subtitle,
        "caption": figure.caption,
        "height": drawn["layout"]["height"],
        "json": as_json(drawn),
        "files": files(figure.key),
    }
