"""Files that ship with the program (the seed model, the example configs), and the command that started it.

Used from a checkout and from an installed wheel, where the configs lie in `arena/shipped_configs/`.

Left out: model weights other than the seed model's. Not guaranteed: that a checkout is complete; `doctor` checks it.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages `arena`, `agents`, `culture` and `curricula`."""
SEED_FOLDER = ROOT / "agents" / "seed"
"""The seed model, in Hugging Face format."""
SEED_FOLDERS = {"seed": SEED_FOLDER, "seed_long": ROOT / "agents" / "seed_long"}
"""The models that ship with the program, by their names in `model.path`."""
PACKAGES = ("agents", "arena", "culture", "curricula")
PROGRAM = ROOT / "run_arena.py"
"""The script that the program starts itself with, in processes of its own."""
CHECKOUT = (ROOT / "pyproject.toml").is_file()
"""Whether the program runs from a checkout of the repository, not from an installed wheel."""
CONFIGS = ROOT / "configs" if CHECKOUT else ROOT / "arena" / "shipped_configs"
"""The folder of the shipped configs."""
COMMANDS = ("ratchet", "ratchet-arena")
"""Names under which the program is installed."""


def is_own_file(path: str) -> bool:
    """Whether a source file is the program's own, not a dependency's in the same folder."""
    file = Path(path)
    return file == PROGRAM or any(file.is_relative_to(ROOT / package) for package in PACKAGES)


def find_config(path: str | Path, folder: str = "", suffix: str = ".yaml") -> Path:
    """The file that a user means by a path or by the name of a shipped config.

    `path`: an existing file, which is returned as it is; or `tiny`, `tiny.yaml` or `configs/tiny.yaml` for a file
    in `folder` of the shipped configs. Returns `path` itself where neither exists, for the caller to report.
    """
    given = Path(os.path.expanduser(path))
    if given.is_file() or given.is_absolute():
        return given
    name = given.with_name(given.name.removesuffix(suffix) + suffix)
    inner = CONFIGS / folder / name
    if name.parts[:1] == ("configs",):
        inner = CONFIGS.joinpath(*name.parts[1:])
    return inner if ".." not in name.parts and inner.is_file() else given


def nearest_config(path: str | Path, folder: str = "") -> str:
    """`; did you mean X?` with the nearest name of a config beside `path` or among the shipped ones; else empty."""
    given = Path(path)
    names = [p.stem for p in given.parent.glob("*.yaml")] + [p.stem for p in (CONFIGS / folder).glob("*.yaml")]
    found = difflib.get_close_matches(given.stem, names, n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def shipped_configs(folder: str = "", suffix: str = ".yaml") -> list[tuple[str, str]]:
    """(name, first comment line) of the shipped files in `folder`, by name."""
    found = []
    for path in sorted((CONFIGS / folder).glob(f"*{suffix}")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        found.append((path.stem, first.lstrip("# ") if first.startswith("#") else ""))
    return found


def program_version() -> str:
    """The version of the program: a checkout's from its pyproject.toml, else the installed package's."""
    if CHECKOUT:
        return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
    return importlib.metadata.version("ratchet-arena")


def agents_conflict() -> str:
    """A line that explains why Ratchet's package `agents` cannot be trusted here; empty if it can.

    The distribution openai-agents has the same import name. pip lets each overwrite files of the other, and beside
    an editable installation it is imported first.
    """
    own = ROOT / "agents" / "__init__.py"
    spec = importlib.util.find_spec("agents")
    origin = Path(spec.origin).resolve() if spec and spec.origin else None
    advice = "install Ratchet in an environment of its own: `uv tool install`, `pipx install` or a new venv"
    if origin != own:
        return f"`import agents` finds another package, {origin}, instead of Ratchet's (openai-agents has it): {advice}"
    try:
        other = importlib.metadata.distribution("openai-agents").locate_file("agents/__init__.py")
    except importlib.metadata.PackageNotFoundError:
        return ""
    if Path(str(other)).resolve() != own:
        return ""
    return f"openai-agents and Ratchet both installed a package `agents` in {ROOT}, overwriting each other: {advice}"


def typed_command(*arguments: object) -> str:
    """The command that started this program, followed by `arguments` in place of its own, quoted for a shell.

    `ratchet` if the installed command was started through PATH, `.venv/bin/ratchet` if by its path,
    `python run_arena.py` if the script was; `ratchet` where the program was imported by another one.
    """
    words = os.environ.get("RATCHET_COMMAND")  # of the process that started this one
    return " ".join([words or shlex.join(_typed()), *(shlex.quote(str(a)) for a in arguments)])


def _typed() -> list[str]:
    started = Path(sys.argv[0])
    if started.name.removesuffix(".exe") in COMMANDS:
        found = shutil.which(started.name)
        by_name = found is not None and Path(found).absolute() == started.absolute()
        return [started.name if by_name else sys.argv[0]]
    if started.name != PROGRAM.name:
        return [COMMANDS[0]]
    own = len(sys.argv) - 1
    return sys.orig_argv[: len(sys.orig_argv) - own]
