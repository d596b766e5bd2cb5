"""What the README and docs say is run: commands parse, examples execute, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from arena.cli.app import app
from arena.config.shipped import ROOT

DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"python (?:-m )?run_arena(?:\.py)? ([^`#\n]*)")


def commands() -> list[tuple[str, str]]:
    found = [(p.name, m.group(1).strip()) for p in DOCS for m in COMMAND.finditer(p.read_text())]
    return sorted({(name, c) for name, c in found if c})


@pytest.mark.parametrize(("document", "command"), commands())
def test_every_command_in_the_docs_is_one(document: str, command: str) -> None:
    group = typer.main.get_command(app)
    name, *arguments = shlex.split(command)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    sub = group.commands[name]  # type: ignore[attr-defined]
    sub.make_context(name, arguments, resilient_parsing=False).close()
    for word in arguments:
        if word.startswith("configs/"):
            assert (ROOT / word).is_file(), f"{document} names {word}"


@pytest.mark.slow
def test_the_readme_s_python_examples_run(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert len(blocks) == 2
    for block in blocks:
        code = block.replace('"configs/tiny.yaml"', f'"{ROOT}/configs/tiny.yaml"')
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                              env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, timeout=120)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "solve rev inc | 3 1 4 think"


def test_links_and_pictures_exist() -> None:
    for document in DOCS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_make_targets_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert {"run", "test"} <= targets
    assert set(re.findall(r"^make ([a-z]+)", (ROOT / "README.md").read_text(), flags=re.M)) <= targets
