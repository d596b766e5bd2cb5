"""An open run: everything the phases work with, restored from the run folder.

What is in memory is a fold over what is stored: each phase (`arena.phases.records.PhaseSpec`) takes its stored records
in, whether they were just computed or are read back on resume, so a resumed run has the state of an undisturbed one.
"""

from __future__ import annotations

import json
import platform
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import cryptography
import numpy
import torch
from torch import Tensor

from agents.checkpoint import BaseModel, weights_digest
from agents.engine import Completion, Engine, Request
from agents.fused_ops import kernel_version
from agents.hub import find_model
from agents.identity import KeyRing, agent_name
from agents.learner import Learner, LearnerConfig
from agents.tokenizer import Tokenizer
from arena.config.registries import make_domain
from arena.config.schema import Config
from arena.config.shipped import SEED_FOLDER
from arena.rounds.roles.voice import make_voice
from arena.rounds.round import Round
from arena.run.control import forget, forget_limit
from arena.run.engines import close, connect, engine_version, make_budget, make_engine
from arena.run.integrity import explained
from arena.run.lock import hold
from arena.run.messages import Arrivals
from arena.run.paths import check_folder, inside
from arena.run.reconfigure import amended, write_config
from arena.run.store import MIGRATIONS, Row, Store
from culture.library import Library
from culture.merkle import Frontier
from curricula.domain import Domain
from curricula.hidden_words import HiddenWords
from curricula.replay import Bank, Entry


@dataclass
class Tokens:
    """Tokens one phase used, and the completions it asked for."""

    prompt: int = 0
    generated: int = 0
    trained: int = 0
    requests: int = 0


@dataclass
class Generation:
    """What is being played."""

    index: int
    rounds: list[Round] = field(default_factory=list)
    plan: dict[str, Row] = field(default_factory=dict)  # rows of table `rounds` by id
    right_guesses: list[tuple[str, str, str]] = field(default_factory=list)  # (agent, name, body)
    wrong_guesses: list[tuple[str, str, str]] = field(default_factory=list)
    outcomes: dict[str, Row] = field(default_factory=dict)
    worth: dict[str, float] | None = None  # of posts, once somebody asked (arena.library.utility)
    receipts: list[Row] = field(default_factory=list)  # of what a reviewer decided, taken at its beginning
    labels: list[Row] = field(default_factory=list)
    tokens: Tokens = field(default_factory=Tokens)


class Arena:
    """One open run. Use `create` or `open`; close it, or use it as a context manager."""

    def __init__(
        self, folder: Path, config: Config, store: Store, lock: TextIO, engine: Engine, learner: Learner | None
    ) -> None:
        self.folder, self.config, self.store, self._lock = folder, config, store, lock
        stored = store.meta()
        self.island, self.islands = int(stored.get("island", 0)), int(stored.get("islands", 1))
        self.mark = f"i{self.island}" if self.islands > 1 else ""  # ends the ids of what several islands number alike
        self.seed = f"{config.seed}/{self.mark}" if self.mark else str(config.seed)  # of everything drawn here
        self.arrivals: Arrivals | None = None  # what reached this island for the generation in progress
        torch.set_num_threads(config.engine.threads)
        self.base_name = "agents/seed" if config.model.path == "seed" else config.model.path  # for PEFT's config
        self.engine, self.learner = engine, learner
        self.budget = make_budget(config, store, engine, folder)
        self.domains = make_domains(config)
        self.main: Domain = next(iter(self.domains.values()))
        self.library = Library(store.db)
        self.keys = KeyRing(folder / "keys")
        self.bank, self.seen = Bank(), set[str]()
        self.living: list[str] = []
        self.places, self.births = dict[str, int](), dict[str, int]()  # of everybody who was ever born
        self.commons: Tensor | None = None  # the adapter of the last big sleep, from which newborns start
        self.log: Frontier | None = None  # of the ledger, once something was sealed (arena.run.ledger)
        self.voice = make_voice(config, lambda agent: self.places.get(agent, 0))
        self.generation = Generation(0)
        self.forgotten: str | None = None  # what an earlier process was asked and this one is not

    # -- opening -------------------------------------------------------------------------------------------------

    @staticmethod
    def create(config: Config, folder: Path | None = None, island: int | None = None) -> Arena:
        """Make a run folder and its first population. Raises ValueError if the folder is there already.

        `folder` is another than the config's; `island` is which of `cluster.islands` this is, None: a run by itself.
        """
        folder = folder or Path(config.run.folder) / config.run.name
        if (folder / "run.db").exists():
            raise ValueError(f"{folder} already holds a run: resume it, or give run.name another value")
        if island is None and config.cluster.islands > 1:
            raise ValueError(f"cluster.islands is {config.cluster.islands}: such a run is played by the command run")
        make_domains(config)  # these three fail before anything is written
        engine_version(config)
        engine, learner = load_minds(config)
        folder.mkdir(parents=True, exist_ok=True)
        lock = hold(folder)
        write_config(folder, config)
        partial = folder / ".run.db.new"
        partial.unlink(missing_ok=True)
        new = Store(partial, create=True)
        new.set_meta(versions(config) | {"base": base_place(config), "seed": str(config.seed)})
        if island is not None and config.cluster.islands > 1:
            new.set_meta({"island": str(island), "islands": str(config.cluster.islands)})
            new.db.execute(MIGRATIONS)
        new.close()
        partial.rename(folder / "run.db")  # whole, or not there
        return Arena(folder, config, Store(folder / "run.db"), lock, engine, learner)

    @staticmethod
    def open(folder: str | Path, overrides: Sequence[str] = ()) -> Arena:
        """Open a run to go on with it. Raises ValueError, naming the file, for anything missing, damaged or changed.

        `overrides` of what may change of it (`arena.run.reconfigure`) are written into its config.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ValueError(f"no run folder at {folder}")
        check_folder(folder)
        config = amended(folder, overrides)
        with ExitStack() as undo:  # whatever fails, the run is not left locked
            lock = undo.enter_context(hold(folder))
            store = Store(folder / "run.db", upgrade=True)
            undo.callback(store.close)
            stored, now = store.meta(), versions(config)
            if config.cluster.islands > 1 and "island" not in stored:
                raise ValueError(f"{folder} is the run of {config.cluster.islands} islands, no island's own")
            for key, value in now.items():
                if stored.get(key, value) != value:
                    raise ValueError(
                        f"{folder} was run with {key} {stored[key]}, here it is {value}: "
                        "the run would not go on as it began"
                    )
            forgotten = forget(store)
            forget_limit(store)
            arena = Arena(folder, config, store, lock, *load_minds(config))
            with explained([folder]):
                arena._restore()
            arena.forgotten = forgotten
            if overrides:
                write_config(folder, config)
            undo.pop_all()
        return arena

    def close(self) -> None:
        close(self.engine)
        self.budget.close()
        self.store.close()
        self._lock.close()

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- talking -------------------------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One engine call; its tokens are counted for the phase in progress. Who learns nothing speaks as the base."""
        if self.learner is None:
            requests = [replace(r, adapter=None) for r in requests]
        completions = self.engine.generate(requests) if requests else []
        self.generation.tokens.prompt += sum(c.prompt_tokens for c in completions)
        self.generation.tokens.generated += sum(c.generated_tokens for c in completions)
        self.generation.tokens.requests += len(completions)
        return completions

    def rng(self, *where: object) -> random.Random:
        """A generator keyed by the run's seed and a place in the run."""
        return random.Random("/".join(map(str, (self.seed, *where))))

    @property
    def commons_name(self) -> str:
        """Under which the mind of the big sleep is on record."""
        return f"commons-{self.mark}" if self.mark else "commons"

    def words_domain(self) -> HiddenWords | None:
        found = self.domains.get("hidden_words")
        return found if isinstance(found, HiddenWords) else None

    # -- state as a fold over records (arena.phases) --------------------------------------------------------------

    def add_worked_examples(self, posts: Sequence[Row]) -> None:
        """Rows of table `posts`: worked examples go into the bank, others are passed over."""
        entries = []
        for row in posts:
            if row["kind"] == "worked_example":
                domain, _, round_ = row["about"].partition("/")
                rate = self._solve_rate(round_, row["id"])
                entries.append(
                    Entry(row["id"], domain, row["author"], row["title"], row["body"], rate, row["generation"])
                )
        self.bank.add(entries)

    def _solve_rate(self, round_: str, post: str) -> float:
        """A post may be of an earlier generation's round: one that waited for approval; or of another island's."""
        found = self.generation.outcomes.get(round_)
        rows = [found] if found else self.store.query("SELECT solve_rate FROM outcomes WHERE round = ?", [round_])
        if not rows and self.config.cluster.islands > 1:
            rows = self.store.query("SELECT solve_rate FROM migrations WHERE subject = ? AND taken", [post])
        return float(rows[0]["solve_rate"])

    def welcome(self, born: Sequence[Row], retired: Sequence[Row] = ()) -> None:
        """Rows of tables `agents` and `retirements`: newborns join the population, retired agents leave it.

        Where agents learn, a newborn that the learner does not hold yet (phase `turnover` adds those it trains) gets
        the adapter it starts from.
        """
        for row in born:
            name = row["name"]
            self.living.append(name)
            self.places[name], self.births[name] = row["place"], row["born"]
            if self.learner and name not in self.learner.names:
                parents: list[str] = json.loads(row["parents"])
                inherits = row["inherited"] == "weights" and parents
                start = self.learner.acting_row(parents[0]).clone() if inherits else self.beginning(name)
                self.learner.add(name, start)
        for row in retired:
            if self.learner and row["name"] in self.learner.names:
                self.learner.remove(row["name"])
            self.living.remove(row["name"])
        self.act()

    def beginning(self, name: str) -> Tensor:
        """The adapter of who inherits no weights: that of the last big sleep, or one that changes nothing."""
        assert self.learner is not None
        if self.commons is not None:
            return self.commons.clone()
        return self.learner.layout.fresh(f"{self.seed}/birth/{name}")

    def act(self) -> None:
        """Let the engine act with the learner's averaged adapters."""
        if self.learner:
            self.engine.set_adapters(self.learner.acting())

    # -- resuming ------------------------------------------------------------------------------------------------

    def _restore(self) -> None:
        finished = self.store.finished()
        self.seen = {r["text_key"] for r in self.store.query("SELECT text_key FROM problems WHERE valid")}
        # in the order in which they were let in, which is not that of their generations where posts wait for approval
        posts = self.store.query("SELECT * FROM posts WHERE kind = 'worked_example' ORDER BY seq")
        outcomes = self.store.query("SELECT round, solve_rate FROM outcomes WHERE learnable")
        self.generation = Generation(0, outcomes={r["round"]: r for r in outcomes})
        self.add_worked_examples(posts)
        self.generation = Generation(0)
        slept = max((g for g, phase in finished if phase == "sleep"), default=None)
        turned = max((g for g, phase in finished if phase == "turnover"), default=-1)
        agents = self.store.query("SELECT * FROM agents ORDER BY number")
        gone = {r["name"]: r["generation"] for r in self.store.query("SELECT * FROM retirements")}
        if slept is None:
            if (0, "birth") in finished:
                self.welcome(agents)
            return
        at_sleep = [a for a in agents if a["born"] < slept and gone.get(a["name"], slept) >= slept]
        after = [a for a in agents if a["born"] <= slept and gone.get(a["name"], slept + 1) > slept]
        self.places = {a["name"]: a["place"] for a in agents}
        self.births = {a["name"]: a["born"] for a in agents}
        self.living = [a["name"] for a in at_sleep]
        self._restore_weights(slept, turned, [a["name"] for a in after])
        self.act()
        if turned == slept:
            born = [a for a in agents if a["born"] == slept]
            left = self.store.rows("retirements", slept)
            self.welcome(born, left)

    def _restore_weights(self, slept: int, turned: int, after: Sequence[str]) -> None:
        """The learner as it was after the last turnover (`after`: who lives then), or after the last sleep."""
        if self.learner is None:
            return
        sql = "SELECT path FROM checkpoints WHERE generation <= ? AND name = ? ORDER BY generation DESC LIMIT 1"
        for row in self.store.query(sql, [turned, self.commons_name]):
            self.commons = self.learner.layout.load_peft(inside(self.folder, row["path"]))
        sql = "SELECT path FROM checkpoints WHERE generation = ? AND name = ?"
        born = self.store.query(sql, [slept, "born"]) if turned == slept else []
        found, names = (born, after) if born else (self.store.query(sql, [slept, "learner"]), self.living)
        if not found:
            raise ValueError(f"{self.store.path} names no learner state of generation {slept}: a row is missing")
        self.learner.load(inside(self.folder, found[0]["path"]), names)

    def newborn(self, number: int, born: int, parents: Sequence[str], inherited: str, place: int) -> Row:
        """A row of table `agents`; makes the key pair if it is not there yet. `number` counts this island's agents."""
        number = self.island + number * self.islands
        name = agent_name(self.config.seed, number)
        identity = self.keys.ensure(name)
        return {
            "name": name,
            "number": number,
            "born": born,
            "parents": json.dumps(list(parents)),
            "inherited": inherited,
            "public_key": identity.public_key,
            "place": place,
        }


def model_folder(config: Config) -> Path:
    """Where the configured base model lies; one given by name may be downloaded first."""
    return SEED_FOLDER if config.model.path == "seed" else find_model(config.model.path)


def load_base(config: Config) -> tuple[BaseModel, Tokenizer]:
    """The configured base model. Raises ValueError naming the file that is missing or damaged, or does not fit."""
    folder = model_folder(config)
    tokenizer, base = Tokenizer(folder), BaseModel.load(folder, config.model.dtype, device_of(config))
    if tokenizer.largest >= base.config.vocab_size:
        raise ValueError(
            f"the tokenizer in {folder} has ids up to {tokenizer.largest}, the model only {base.config.vocab_size} rows"
        )
    if max(tokenizer.eos, tokenizer.pad) >= base.config.vocab_size:
        raise ValueError(
            f"a config in {folder} ends texts with the id {tokenizer.eos}, the model has {base.config.vocab_size} rows"
        )
    return base, tokenizer


def device_of(config: Config) -> str:
    """The device the config means here. Raises ValueError if it is not there."""
    there = torch.cuda.is_available()
    if config.engine.device == "cuda" and not there:
        raise ValueError("engine.device is 'cuda', but torch sees no GPU here: use engine.device=cpu or auto")
    return "cuda" if there and config.engine.device != "cpu" else "cpu"


def load_minds(config: Config) -> tuple[Engine, Learner | None]:
    """What speaks and what learns: no learner where nobody sleeps, no weights here where a server holds them.

    Raises ValueError or OSError naming the file or the server that is not as it should be.
    """
    if config.engine.spec.remote:
        return connect(config), None
    base, tokenizer = load_base(config)
    engine, s = make_engine(config, base, tokenizer, model_folder(config)), config.sleep
    if not s.enabled:
        return engine, None
    settings = LearnerConfig(s.rank, s.alpha, s.learning_rate, s.batch, s.clip, s.weight_decay, s.average, s.tokens)
    return engine, Learner(base, tokenizer, settings)


def base_place(config: Config) -> str:
    """Where the base model is: a folder, or a server, which may move while a run is interrupted."""
    return config.engine.openai.url if config.engine.spec.section == "openai" else config.model.path


def base_digest(config: Config) -> str:
    """First 16 hex digits of the SHA-256 of the base model's weights, or the name under which a server has it.

    Raises ValueError if there are none.
    """
    if config.engine.spec.remote:
        return config.engine.model_name
    return weights_digest(model_folder(config))[:16]


def make_domains(config: Config) -> dict[str, Domain]:
    """The configured domains by name. Raises ValueError for an unknown name or option."""
    domains: dict[str, Domain] = {}
    for key, section in config.domains.items():
        options: dict[str, Any] = section.options
        if key == "hidden_words":
            options.setdefault("world", config.seed)
        domain = make_domain(key, **options)
        domains[domain.name] = domain
    return domains


def versions(config: Config) -> dict[str, str]:
    """What must be equal for a run to go on as it began."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "cryptography": cryptography.__version__,
        "platform": f"{sys.platform}-{platform.machine()}",
        "threads": str(config.engine.threads),
        "device": device_of(config),
        "numba": kernel_version(),
        "base model": base_digest(config),
        "engine": engine_version(config),
    }
