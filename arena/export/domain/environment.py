"""Write a domain as the source of an environment package for verifiers (Prime Intellect, 0.4: `verifiers.v1`).

The package contains no data: it gets problems and verdicts from `arena.export.domain.rows` of an installed Ratchet.
verifiers is not imported here. Left out: several turns, tools, and setting problems.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

VERIFIERS = "0.4.0"
"""Version of verifiers that the package requires and was tested with."""

MODULE = '''"""The domain {name} of Ratchet as an environment: one question, one reply, verified by execution.

`load_environment(split="dev", num_tasks=100)` returns the environment; README.md has the command that evaluates a
model on it.
"""

from __future__ import annotations

from typing import Any, Literal

import verifiers.v1 as vf
from arena.export.domain.rows import Judge

NAME, OPTIONS = {name!r}, {options!r}
JUDGE = Judge(NAME, OPTIONS)


class RatchetData(vf.TaskData):
    """`problem` is the verifier's input; `prompt` and `system_prompt` are shown to the model."""

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
    """`train` is drawn at random, uniformly over depths; `dev` is held out."""
    num_tasks: int = 500
    """Maximum number of problems."""


class RatchetTaskset(vf.Taskset[RatchetTask, RatchetConfig]):
    def load(self) -> list[RatchetTask]:
        found = JUDGE.tasks(self.config.split, self.config.num_tasks)
        return [RatchetTask(RatchetData(**fields), self.config.task) for fields in found]


def load_environment(**options: Any) -> vf.Env:
    """The environment for a model without tools, in a local process; `options` are fields of `RatchetConfig`."""
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
and the domain's own verifier as the reward (1 for a fully correct solution, otherwise 0; the metric `right_answer`
checks only the answer).

```
pip install .        # after ratchet-arena {version}, from its own folder
vf-eval {dash} --env.agent.harness.id null --env.agent.runtime.type subprocess --env.taskset.split dev --no-push \\
    -m MODEL --client.base-url http://localhost:8000/v1 --client.api-key-var NAME_OF_A_VARIABLE
```

`null` is a harness without tools, `subprocess` runs it locally, and `--no-push` keeps the results local.

| option | |
|---|---|
| `split` | `train`: drawn at random over all depths; `dev`: held out. The test set is sealed. |
| `num_tasks` | maximum number of problems |
"""


def package_name(domain: str) -> str:
    return f"ratchet_{domain}"


def write_environment(domain: str, options: Mapping[str, Any], folder: Path) -> None:
    """Write the package for a domain into `folder`, which must not exist.

    `options` are the domain's options; their values must be serialisable as JSON.
    """
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
