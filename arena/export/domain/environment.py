"""A domain as an environment package for verifiers (Prime Intellect, 0.4: `verifiers.v1`), written as source.

The package is small and holds no data: it asks `arena.export.domain.rows` of an installed Ratchet for the problems and
for the verdict on a reply. verifiers itself is not imported here. Left out: several turns, tools, and setting problems.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

VERIFIERS = "0.4.0"
"""The version whose interface the package is written to, and was tested with."""

MODULE = '''"""{name} of Ratchet as an environment: one question, one reply, judged by execution.

`load_environment(split="dev", num_tasks=100)` gives it ready for a model; README.md has the command that
evaluates one.
"""

from __future__ import annotations

from typing import Any, Literal

import verifiers.v1 as vf
from arena.export.domain.rows import Judge

NAME, OPTIONS = {name!r}, {options!r}
JUDGE = Judge(NAME, OPTIONS)


class RatchetData(vf.TaskData):
    """`problem` is what the verifier takes; `prompt` and `system_prompt` are what a model sees."""

    problem: str
    answer: str
    depth: int


class RatchetTask(vf.Task[RatchetData]):
    """One problem. The reward is 1 for a solution that the domain's verifier accepts in full, else 0."""

    @vf.reward(weight=1.0)
    async def solved(self, trace: vf.Trace) -> float:
        return float(JUDGE.verdict(self.data.problem, trace.last_reply or "").correct)

    @vf.metric
    async def right_answer(self, trace: vf.Trace) -> float:
        return float(JUDGE.verdict(self.data.problem, trace.last_reply or "").answer_correct)


class RatchetConfig(vf.TasksetConfig):
    split: Literal["train", "dev"] = "train"
    """`train` is drawn at random, over all depths alike; `dev` is held out."""
    num_tasks: int = 500
    """How many problems, at most."""


class RatchetTaskset(vf.Taskset[RatchetTask, RatchetConfig]):
    def load(self) -> list[RatchetTask]:
        found = JUDGE.tasks(self.config.split, self.config.num_tasks)
        return [RatchetTask(RatchetData(**fields), self.config.task) for fields in found]


def load_environment(**options: Any) -> vf.Env:
    """The environment for a model without tools, run in a process here; `options` are fields of `RatchetConfig`."""
    agent = {{"harness": {{"id": "null"}}, "runtime": {{"type": "subprocess"}}}}
    return vf.load_environment(vf.SingleAgentEnvConfig(taskset={{"id": {package!r}, **options}}, agent=agent))


__all__ = ["RatchetTaskset", "load_environment"]
'''

PROJECT = """\
[project]
name = "{dash}"
version = "{version}"
description = "{name} of Ratchet as a verifiers environment"
requires-python = ">=3.11"
dependencies = ["ratchet-arena=={version}", "verifiers=={verifiers}"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""

README = """\
# {dash}

The domain `{name}` of Ratchet for [verifiers](https://pypi.org/project/verifiers/) {verifiers}: a question, a reply,
and the domain's own verifier as the reward (1 for a solution right in full, else 0; the metric `right_answer` asks for
the answer alone).

```
pip install .        # after ratchet-arena {version}, from its own folder
vf-eval {dash} --env.agent.harness.id null --env.agent.runtime.type subprocess --env.taskset.split dev --no-push \\
    -m MODEL --client.base-url http://localhost:8000/v1 --client.api-key-var NAME_OF_A_VARIABLE
```

`null` is a harness without tools, `subprocess` runs it here, and `--no-push` keeps the results here.

| option | |
|---|---|
| `split` | `train`: drawn at random over all depths; `dev`: held out. The test set is sealed. |
| `num_tasks` | how many problems, at most |
"""


def package_name(domain: str) -> str:
    return f"ratchet_{domain}"


def write_environment(domain: str, options: Mapping[str, Any], folder: Path) -> None:
    """Write the package into `folder`. `options` are the domain's, of plain values."""
    package = package_name(domain)
    words = {
        "name": domain,
        "options": json.loads(json.dumps(dict(options))),
        "package": package,
        "dash": package.replace("_", "-"),
        "version": version("ratchet-arena"),
        "verifiers": VERIFIERS,
    }
    (folder / package).mkdir(parents=True)
    for path, text in (
        ("pyproject.toml", PROJECT),
        ("README.md", README),
        (f"{package}/__init__.py", MODULE),
    ):
        (folder / path).write_text(text.format(**words), encoding="utf-8", newline="\n")
