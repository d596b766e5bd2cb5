"""The README and the docs are correct: commands parse and name shipped configs, examples run, links lead to files.

Left out: docs/open_seats.md and docs/add_a_domain.md have tests of their own. Not guaranteed: that a command does what
the text around it says.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from arena.cli.app import app
from arena.config.shipped import ROOT, find_config

DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
PROGRAM = r"(?:\S*bin/)?(?:ratchet|python (?:-m )?run_arena(?:\.py)?)"
TYPED = re.compile(rf"^(?:\w+=\S+ )*{PROGRAM} (?P<command>[^#]+)")
SUGGESTED = re.compile(rf"resume with: {PROGRAM} (?P<command>[^#]+)")
KINDS_OF_CONFIG = {"run": ("", ".yaml"), "experiment": ("experiments", ".yaml"), "eval": ("eval", ".jsonl")}
EXAMPLES = {"README.md": 1, "docs/library.md": 1, "docs/review.md": 1, "docs/sandbox.md": 1}
"""Documents and their number of python examples that run on their own, or on a finished run."""


def code(document: Path) -> Iterator[str]:
    """Lines of code: of fenced blocks, inline spans, and comments of a config."""
    text = document.read_text(encoding="utf-8")
    if document.suffix == ".yaml":
        yield from (line.lstrip("# ") for line in text.splitlines() if line.startswith("#  "))
        return
    fence = re.compile(r"^```.*?\n(.*?)^```", flags=re.S | re.M)
    for block in fence.findall(text):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", fence.sub("", text))


def commands() -> list[tuple[str, str]]:
    found = {
        (document.relative_to(ROOT).as_posix(), m["command"].strip())
        for document in [*DOCS, *CONFIGS]
        for line in code(document)
        for m in [TYPED.match(line.strip()) or SUGGESTED.search(line)]
        if m and m["command"].strip()
    }
    return sorted(found)


def test_commands_are_found() -> None:
    found = commands()
    assert ("README.md", "run quickstart") in found and ("configs/ollama.yaml", "run ollama") in found
    assert len(found) > 80


@pytest.mark.parametrize(("document", "command"), commands())
def test_docs_commands_parse(document: str, command: str) -> None:
    """The command, its options and the shipped configs that it names exist. Capitals and my_ are placeholders."""
    group = typer.main.get_command(app)
    name, *arguments = shlex.split(command)
    if name in ("--help", "--version"):
        return
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    sub = group.commands[name]  # type: ignore[attr-defined]
    if not arguments:  # a mention of the command
        return
    context = sub.make_context(name, list(arguments), resilient_parsing=False)
    context.close()
    folder, suffix = KINDS_OF_CONFIG.get(name, ("", ".yaml"))
    named = [context.params["config"]] if name == "run" else [context.params["file"]] if name == "experiment" else []
    named += [word for word in arguments if word.startswith("configs/")]
    for config in map(str, named):
        own = config.isupper() or config.startswith("my_")
        assert own or find_config(config, folder, suffix).is_file(), f"{document} names {config}"


@pytest.mark.slow
@pytest.mark.parametrize("document", EXAMPLES)
def test_python_examples_run(document: str, undisturbed: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) == EXAMPLES[document]
    for block in blocks:
        code = re.sub(r'"runs/(quickstart|reviewed)/', f'"{undisturbed}/', block)
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                              env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, timeout=120)  # fmt: skip
        assert done.returncode == 0, done.stderr
        if "  # [] when" in block:
            assert done.stdout.strip() == "[]"
    assert document != "README.md" or done.stdout.splitlines()[-1] == "solve rev inc | 3 1 4 think"


def test_links_and_pictures_exist() -> None:
    for document in DOCS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_links_to_headings_exist() -> None:
    """`page.md#heading` and `#heading`, with headings as GitHub makes anchors of them."""
    for document in DOCS:
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text(encoding="utf-8")):
            page = document.parent / target if target else document
            headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.M)
            anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{document.name} links to {target}#{anchor}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {p.name for p in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"^\| \[([^]]+)\]\(", index, flags=re.M))


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_readme_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    assert {"run", "test"} <= targets
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^make ([a-z]+)", readme, flags=re.M)) <= targets


ELSEWHERE = {"docs/add_a_domain.md", "docs/open_seats.md", "docs/sinks.md"}
"""Documents whose python examples tests of their own run."""
NEEDS_MORE = {"docs/tour.md": "a run of the quickstart", "docs/real_models.md": "a download"}
"""Documents whose python examples are only compiled, and what running them needs."""


def test_no_python_example_is_left_out() -> None:
    found = {
        d.relative_to(ROOT).as_posix(): d.read_text(encoding="utf-8") for d in DOCS if "```python\n" in d.read_text()
    }
    assert set(found) == {*EXAMPLES, *ELSEWHERE, *NEEDS_MORE}
    for document in NEEDS_MORE:
        for block in re.findall(r"```python\n(.*?)```", found[document], flags=re.S):
            compile(block, document, "exec")
            for module in re.findall(r"^from (\w+[\w.]*) import", block, flags=re.M):
                assert importlib.util.find_spec(module) is not None, f"{document} imports {module}"
