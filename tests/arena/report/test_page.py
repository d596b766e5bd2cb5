"""The page: it needs nothing but itself, and nothing that an agent wrote does anything in it."""

import base64
import hashlib
import json
from collections import Counter
from html.parser import HTMLParser

import pytest

from arena.report.figures.figure import Figure, Panel, Section, Series, Table
from arena.report.figures.plotly_backend import interactive
from arena.report.page import as_json, render

HOSTILE = (
    "</script><script>alert(1)</script><img src=https://x.example/a.png onerror=alert(1)> <!-- {{ 7 * 7 }} & \u2028"
)


class Reader(HTMLParser):
    """Collects elements with their attributes, and what scripts hold."""

    def __init__(self):
        super().__init__()
        self.elements, self.scripts, self.text = [], [], []
        self._in = None

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        self._in = None

    def handle_data(self, data):
        if self._in == "script":
            self.scripts[-1][1] += data
        elif self._in != "style":
            self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def figure(key="one", text="text"):
    series = Series(text, (1, 2), (0.1, 0.2), (0.0, 0.1), (0.2, 0.3), text=(text, text))
    return Figure(key, f"{text}\n{text}", text, (Panel((series,), text, text),), ({"x": text},))


def sections(text="text"):
    table = Table((text, "n"), ((text, "1"),), text, frozenset(("n",)))
    return [
        Section("first", text, (text,), (figure("one", text), figure("two", text)), (table,)),
        Section("second", text, missing=(text,)),
    ]


def page(text="text", alarms=()):
    return render(text, text, alarms, sections(text), text)


def test_nothing_is_loaded_from_anywhere():
    reader = read(page())
    for tag, attributes in reader.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form"), tag
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "figures/", "data/")), (tag, name, target)
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in page().partition("</style>")[0] and "@import" not in page().partition("</style>")[0]


def test_csp_allows_only_own_scripts():
    """The content security policy forbids every request and every script but the page's own."""
    reader = read(page())
    policy = next(a["content"] for t, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "http" not in policy
    scripts = policy.partition("script-src ")[2].partition(";")[0]
    assert "unsafe" not in scripts
    run = [text for attributes, text in reader.scripts if attributes.get("type") != "application/json"]
    assert len(run) == 2
    for text in run:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in scripts


def test_plotly_is_inlined_once():
    """plotly.js is in the page once, whatever the number of figures."""
    assert page().count("* plotly.js v") == 1


def test_contents_list_every_section():
    """Every section is in the contents; every figure has its place, data and files."""
    reader = read(page())
    ids = [a["id"] for _, a in reader.elements if "id" in a]
    assert max(Counter(ids).values()) == 1
    links = [a["href"] for t, a in reader.elements if t == "a"]
    assert {"#first", "#second"} <= set(links) and {"first", "second"} <= set(ids)
    for key in ("one", "two"):
        assert {f"figures/{key}.png", f"figures/{key}.svg", f"data/{key}.csv", f"data/{key}.parquet"} <= set(links)
        assert [a for t, a in reader.elements if a.get("data-figure") == key and "height: " in a["style"]]
        assert f"data-{key}" in ids


def test_findings_come_before_figures():
    """Findings come before figures, and figures before tables."""
    html = render(
        "t", "l", (), [Section("s", "S", ("FINDING",), (figure("k", "FIGURE"),), (Table(("c",), (("CELL",),)),))], "c"
    )
    assert html.index("FINDING") < html.index("FIGURE") < html.index("CELL")


def test_what_there_is_no_data_for_is_said_in_words():
    html = render("t", "l", (), [Section("s", "S", missing=("Held-out skill: none was measured.",))], "c")
    assert "What this run holds no data for" in html and "Held-out skill: none was measured." in html


def test_alarms_come_first():
    """Alarms come first on the page, and their absence is stated."""
    html = page(alarms=("Most proposals are rejected lately.", "Another."))
    assert html.index("Most proposals are rejected lately.") < html.index('<section id="first">')
    assert "No alarms" not in html and "No alarms" in page()


def test_hostile_text_on_the_page_is_inert():
    """Hostile text changes no element of the page and runs nothing."""
    plain, hostile = read(page()), read(page(HOSTILE, (HOSTILE,)))
    extra = Counter(t for t, _ in hostile.elements) - Counter(t for t, _ in plain.elements)
    assert set(extra) <= {"h2", "ul", "li"}  # of the alarm
    assert len(hostile.scripts) == len(plain.scripts)
    assert "".join(hostile.text).count(HOSTILE) >= 10  # shown as it is
    assert "{{ 7 * 7 }}" in page(HOSTILE) and ">49<" not in page(HOSTILE)


def test_json_in_the_page_is_escaped():
    """JSON in the page is complete and cannot end its element."""
    reader = read(page(HOSTILE))
    found = [json.loads(text) for attributes, text in reader.scripts if attributes.get("type") == "application/json"]
    assert found[0] == json.loads(json.dumps(interactive(figure("one", HOSTILE))))
    assert not set("<>&\u2028") & set(as_json({HOSTILE: [HOSTILE]}))


def test_what_is_no_number_is_refused_not_written():
    with pytest.raises(ValueError, match="JSON"):
        as_json([float("nan")])
