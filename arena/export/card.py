"""Dataset cards: README.md in the format of Hugging Face, with front matter that maps files to data sets.

`datasets.load_dataset(folder, "traces")` and the Hub use it to find the files and the types of their fields. A data set
has files of one format, so the tables are a separate one, `load_dataset(folder + "/tables")`.

Left out: a licence, which the publisher of the data must choose. Not guaranteed: that the base model named in the
adapters is accessible to the reader.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from arena.config.engine import EngineSection
from arena.config.schema import Config
from arena.config.shipped import SEED_FOLDERS
from arena.export.traces import COMPLETION, TRACE
from arena.text import code, fence

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

# What each field holds, for the card; a test holds that none is missing.
TRACE_FIELDS = {
    "round": "the round's id",
    "generation": "when it was played, from 1",
    "domain": "what kind of problem",
    "author": "the agent whose problem it is",
    "setter": "how problems were set; `self`: by the author's own weights",
    "solvers": "who tried to solve it, never the author",
    "proposal": "`prompt` (null where no model was asked), `text` word for word, the `parent` problem that it varies"
    " and the post `parent_post` that showed it, what was `read`, whether it is `valid` and the `reason` and `detail`"
    " if it is not, `logprob` of the text (sum over tokens), `tokens`",
    "problem": "null where the proposal was rejected; `text`, `depth`, `text_key` (digest of its words),"
    " `behaviour_key` (digest of what it does), difficulty `features` by name",
    "attempts": "each with `id`, `agent`, `seat`, `number`, `prompt`, the `notes` that stood in it, the posts `read`"
    " for it, `text` word for word, `logprob`, `tokens`, and the verdict of execution: `correct` (the answer and every"
    " step), `answer_correct`, `reason`, `step` (the first that failed, from 1), `answer`",
    "grade": "null for most rounds: a third agent solved the problem again, blind; `grader`, the `attempt` it judges,"
    " `prompt`, `text`, `answer`, `says_correct` (null: no vote), whether that `agrees` with execution",
    "outcome": "`solve_rate` over the attempts, `learnable` (some succeeded and some failed), `setter_reward`",
}
COMPLETION_FIELDS = {
    "prompt": "word for word, plain text without a chat template",
    "completion": "word for word",
    "role": "`solver`: an attempt of which every step was executed and found right; `setter`: a proposal that was paid",
    "weight": "1 for a solver, its reward for a setter",
    "round": "where it comes from: `round` in `traces`",
    "attempt": "the attempt's id; null for a setter",
    "generation": "when",
    "agent": "whose words they are; null: the untrained model's",
    "domain": "what kind of problem",
    "depth": "how many steps its solution has",
    "solve_rate": "share of the round's attempts that were correct",
}
POST = "`read` lists posts of the library: `post` (its id), `kind`, `author`, `title`, `body`."
TABLES = (
    "Every table the run stored, as Parquet, each that has rows as a config of its own, in split `records`: they are a"
    " record, not a training set. `rounds`, `problems`, `attempts`, `grades` and `outcomes` are joined by the round's"
    " id, `reads` and `posts` by the post's. A post comes with its author's public key and Ed25519 signature over the"
    " 32 bytes of its id."
)
EVALUATIONS = (
    "**`evaluations` and `ratchet` hold held-out problems**, as records of measurements must: never train on them."
    " In all other tables the words of proposals that were held-out problems are null."
)
LIMITS = """\
- Held-out problems are in no file that is meant to be trained on: each problem and post was checked by its exact words
  (`text_key`) and by its program. {withheld} proposals were held-out problems, and rejected; their words are null.
- Equal pairs may occur in `completions`: several agents solve a problem in the same words, the easy ones most often.
- Correct means by execution. What graders said is in `grade`, and it is not always right.
- The domains are small and synthetic; the texts are not in a natural language.
- The export sets no licence; the publisher of the data must choose one."""


@dataclass(frozen=True)
class ExportContents:
    """The contents of an export: lines of both trace files, rows by table, adapters, posts; None for a part left out.

    `played`: generations finished and planned; `withheld`: number of proposals and posts whose text is left out.
    """

    run: str
    digest: str
    config: Config
    versions: Mapping[str, str]
    played: Sequence[int]
    withheld: int
    lines: Mapping[str, int] | None = None
    tables: Mapping[str, int] | None = None
    adapters: Sequence[str] | None = None
    posts: int | None = None
    gone: int | None = None
    """The last generation whose text was deleted (`arena.run.retention`)."""
    agent_models: Mapping[str, str] = field(default_factory=dict)
    """In a mixed population, the model of each agent."""


def card(made: ExportContents) -> str:
    """README.md of the whole export."""
    c = made.config
    finished, planned = made.played
    parts = [
        f"---\n{front_matter(made)}---\n\n# {code(made.run)}: a run of Ratchet",
        f"{c.population.agents} language-model agents set problems for one another, solve them, and post what was"
        f" solved and checked to a shared library that they sleep on. {finished} of {planned} generations were played,"
        f" in {', '.join(code(d) for d in c.domain_names)}, with the base model {code(c.model.path)}.{_models(made)}",
        "## What is here",
        "\n".join(_here(made)),
    ]
    if made.lines is not None:
        parts += ["## `completions`: one pair a line, to train on", _fields(COMPLETION_FIELDS)]
        parts += ["## `traces`: one round a line", _fields(TRACE_FIELDS), POST]
    if made.adapters:
        parts += ["## Adapters", "One folder an agent.", _adapters(made)]
    parts += ["## Limits", LIMITS.format(withheld=f"{made.withheld:,}") + _gone(made), "## How it was made", _how(made)]
    return "\n\n".join(parts) + "\n"


def _models(made: ExportContents) -> str:
    """In a mixed population, which agents are which other model."""
    parts = []
    for name in made.config.population.others:
        own = made.config.of_model(name)
        title = own.engine.model_name if own.engine.spec.remote else own.model.path
        agents = [agent for agent, model in made.agent_models.items() if model == name]
        parts.append(f" {', '.join(map(code, agents))} {'is' if len(agents) == 1 else 'are'} {code(title)} ({name}).")
    return "".join(parts)


def _gone(made: ExportContents) -> str:
    if made.gone is None:
        return ""
    return (
        f"\n- Words of proposals, attempts, grades and guesses up to generation {made.gone} were not kept: they are"
        " null in `traces` and the tables, and `completions` has none of that time. Posts are whole."
    )


def front_matter(made: ExportContents) -> str:
    """YAML front matter of the whole export: the JSON files and the types of their fields."""
    configs: list[dict[str, Any]] = []
    info: list[dict[str, Any]] = []
    if made.lines is not None:
        for name, kinds in (("completions", COMPLETION), ("traces", TRACE)):
            files = [{"split": "train", "path": f"{name}.jsonl"}]
            if not made.lines[name]:
                continue  # a data set without rows cannot be loaded
            configs.append({"config_name": name, "data_files": files, "default": name == "completions"})
            info.append({"config_name": name, "features": features(kinds)})
    return _front(made, f"Ratchet run {made.run}", max((made.lines or {"": 0}).values()), configs, info)


def tables_card(made: ExportContents) -> str:
    """README.md of the tables."""
    assert made.tables is not None
    configs = [
        {
            "config_name": name,
            "data_files": [{"split": "records", "path": f"{name}.parquet"}],
            "default": name == "attempts",
        }
        for name, n in made.tables.items()
        if n  # a data set without rows cannot be loaded
    ]
    front = _front(made, f"Ratchet run {made.run}, tables", max(made.tables.values(), default=0), configs, [])
    rows = "\n".join(["| table | rows |", "|---|---:|", *(f"| `{name}` | {n:,} |" for name, n in made.tables.items())])
    title = f"# {code(made.run)}: the tables of a run of Ratchet"
    return "\n\n".join([f"---\n{front}---\n\n{title}", TABLES, EVALUATIONS, rows]) + "\n"


def _front(
    made: ExportContents, name: str, rows: int, configs: Sequence[dict[str, Any]], info: Sequence[dict[str, Any]]
) -> str:
    data = {
        "pretty_name": name,
        "tags": ["ratchet", "self-play", "multi-agent", "synthetic"],
        "task_categories": ["text-generation"],
        "size_categories": [next((size for limit, size in SIZES if rows < limit), "n>1M")],
        **({"configs": list(configs)} if configs else {}),
        **({"dataset_info": list(info)} if info else {}),
    }
    return yaml.safe_dump(data, sort_keys=False, width=100)


def features(kinds: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Types of fields in the format that `datasets` writes into a card."""
    return [{"name": name, **_feature(kind)} for name, kind in kinds.items()]


def _feature(kind: Any) -> dict[str, Any]:
    if isinstance(kind, dict):
        return {"struct": features(kind)}
    if isinstance(kind, list):
        (of,) = kind
        return {"list": features(of) if isinstance(of, dict) else of}
    return {"dtype": kind}


def _here(made: ExportContents) -> list[str]:
    lines = []
    if made.lines is not None:
        lines += [
            f"- `traces.jsonl`: {made.lines['traces']:,} rounds, one a line, with every prompt, text and verdict",
            f"- `completions.jsonl`: {made.lines['completions']:,} verified pairs of prompt and completion",
            '  (`datasets.load_dataset(FOLDER, "completions")` or `"traces"`: one split, `train`)',
        ]
    if made.tables is not None:
        rows = sum(made.tables.values())
        lines.append(f"- [`tables/`](tables/README.md), a data set of its own: all the run stored, {rows:,} rows")
    if made.adapters:
        lines.append(f"- `adapters/`: {len(made.adapters)} LoRA adapters as PEFT folders")
    elif made.adapters is not None:
        lines.append("- no adapters: the run has written none")
    if made.posts is not None:
        lines.append(f"- [`library/`](library/README.md): the library as a book, {made.posts:,} posts")
    lines.append("- `export.json`: the size and SHA-256 of every file")
    return lines


def _fields(fields: Mapping[str, str]) -> str:
    return "\n".join(["| field | what it holds |", "|---|---|", *(f"| `{k}` | {v} |" for k, v in fields.items())])


def _adapters(made: ExportContents) -> str:
    assert made.adapters
    path = made.config.model.path
    where = (f"agents/{path}", "a folder of Ratchet's") if path in SEED_FOLDERS else (path, "the run's base model")
    use = (
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM",
        "",
        f"base = AutoModelForCausalLM.from_pretrained({json.dumps(where[0])})  # {where[1]}",
        f'agent = PeftModel.from_pretrained(base, "{made.adapters[0]}")',
    )
    return fence("\n".join(use), "python")


def _how(made: ExportContents) -> str:
    plain = Config()

    def anywhere(engine: EngineSection) -> EngineSection:
        return engine.model_copy(update={"openai": engine.openai.model_copy(update={"url": plain.engine.openai.url})})

    population = made.config.population
    models = {name: one.model_copy(update={"engine": anywhere(one.engine)}) for name, one in population.models.items()}
    shown = made.config.model_copy(  # without where on whose machine it was played
        update={
            "run": made.config.run.model_copy(update={"folder": plain.run.folder}),
            "engine": anywhere(made.config.engine),
            "population": population.model_copy(update={"models": models}),
        }
    )
    versions = "\n".join(f"{key}: {value}" for key, value in made.versions.items())
    return (
        f"`ratchet export RUN`, of the run with digest `{made.digest}`. With the same versions, this config"
        " gives the same run again, and `ratchet digest RUN` tells whether it did.\n\n"
        f"{fence(shown.to_yaml().rstrip(), 'yaml')}\n\n{fence(versions)}"
    )
