"""An open run: its state, its models and its store, created or restored from the run folder.

The state is a fold over stored records: each phase (`arena.phases.records.PhaseSpec`) changes it by its stored records,
just computed or read back on resume, so a resumed run has the state of an uninterrupted one.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, TextIO

import cryptography
import numpy
import torch
from torch import Tensor

from agents.checkpoint import BaseModel, read_config, resolve_dtype, weights_digest
from agents.engine import Engine
from agents.engine_routed import RoutedEngine
from agents.fused_ops import kernel_version
from agents.hub import find_model
from agents.identity import KeyRing, agent_name
from agents.learner import Learner, LearnerConfig
from agents.merged_model import adapter_folder, merged_folder
from agents.named_models import check_weights
from agents.tokenizer import Tokenizer
from arena.config.population import MAIN, ROLES, PlacesSection
from arena.config.registries import domain_class, make_domain
from arena.config.schema import Config
from arena.config.shipped import SEED_FOLDERS
from arena.rounds.roles.voice import make_voice
from arena.run.adapters import check_state
from arena.run.control import forget, forget_limit
from arena.run.engines import close, connect, engine_version, make_budget, make_engine
from arena.run.extension import check_length, first_to_replay, take_back
from arena.run.fold import Generation, RunState
from arena.run.foresight import unknown_words
from arena.run.integrity import explained
from arena.run.lock import hold
from arena.run.messages import Arrivals
from arena.run.models import Models
from arena.run.paths import check_folder, no_run
from arena.run.reconfigure import note_changes, reconfigured, write_config
from arena.run.store import MIGRATIONS, MODEL_TOKENS, PLACES, Row, Store
from culture.merkle import Frontier
from curricula.domain import Domain


class Arena:
    """One open run. Use `create` or `open`; close it, or use it as a context manager."""

    def __init__(
        self, folder: Path, config: Config, store: Store, lock: TextIO, engine: Engine, learner: Learner | None
    ) -> None:
        self.folder, self.config, self.store, self._lock = folder, config, store, lock
        self.state = RunState(config, store, make_domains(config))
        self.models = Models(engine, learner, make_voice(config, self.state.place))
        if isinstance(engine, RoutedEngine):
            engine.route = self.state.model
        self.budget = make_budget(config, store, engine, folder)
        self.keys = KeyRing(folder / "keys")
        path = config.model.path
        self.base_name = f"agents/{path}" if path in SEED_FOLDERS else path  # for PEFT's config
        self.log: Frontier | None = None  # of the ledger, once something was sealed (arena.run.ledger)
        self.arrivals: Arrivals | None = None  # what reached this island for the generation in progress
        self.forgotten: str | None = None  # what an earlier process was asked and this one is not
        torch.set_num_threads(config.engine.threads)

    # -- opening -------------------------------------------------------------------------------------------------

    @staticmethod
    def create(config: Config, folder: Path | None = None, island: int | None = None) -> Arena:
        """Make a run folder and its first population. Raises ValueError if the folder is there already.

        `folder` overrides the config's; `island` is the index of one of `cluster.islands`, None for a run by itself.
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
        if config.population.models:
            new.db.execute(PLACES)
            new.db.execute(MODEL_TOKENS)
            new.insert({"places": places(config)})
        if island is not None and config.cluster.islands > 1:
            new.set_meta({"island": str(island), "islands": str(config.cluster.islands)})
            new.db.execute(MIGRATIONS)
        new.close()
        partial.rename(folder / "run.db")  # whole, or not there
        return Arena(folder, config, Store(folder / "run.db"), lock, engine, learner)

    @staticmethod
    def open(folder: str | Path, overrides: Sequence[str] = ()) -> Arena:
        """Open a run to resume it. Raises ValueError, naming the file, for anything missing, damaged or changed.

        `overrides` of keys that may change (`arena.run.reconfigure`) are written into its config.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ValueError(f"no run folder at {folder}")
        if not (folder / "run.db").exists():
            raise ValueError(no_run(folder))
        check_folder(folder)
        before, config = reconfigured(folder), reconfigured(folder, overrides)
        with ExitStack() as undo:  # whatever fails, the run is not left locked
            lock = undo.enter_context(hold(folder))
            store = Store(folder / "run.db", upgrade=True)
            undo.callback(store.close)
            stored = store.meta()
            now = versions(pinned(config, stored))
            if config.cluster.islands > 1 and "island" not in stored:
                raise ValueError(f"{folder} is the run of {config.cluster.islands} islands, no island's own")
            for key, value in now.items():
                if stored.get(key, value) != value:
                    raise ValueError(
                        f"{folder} was run with {key} {stored[key]}, here it is {value}: "
                        "the run would not go on as it began"
                    )
            check_length(store, before, config)
            forgotten = forget(store)
            forget_limit(store)
            arena = Arena(folder, config, store, lock, *load_minds(pinned(config, stored)))
            arena._resume(before)
            arena.forgotten = forgotten
            if overrides:
                note_changes(store, before, config)
                write_config(folder, config)
            undo.pop_all()
        return arena

    def forewarnings(self) -> list[str]:
        """Lines on domains in words that the model does not know; empty for an engine without a tokenizer here."""
        if not self.config.engine.spec.in_process:
            return []
        return unknown_words(self.config, self.state.domains, Tokenizer(model_folder(self.config)))

    def close(self) -> None:
        close(self.models.engine)
        self.budget.close()
        self.store.close()
        self._lock.close()

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the population and its weights --------------------------------------------------------------------------

    def newborn(self, number: int, born: int, parents: Sequence[str], inherited: str, place: int) -> Row:
        """A row of table `agents`; makes the key pair if it is not there yet. `number` counts this island's agents."""
        number = self.state.island + number * self.state.islands
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

    def welcome(self, born: Sequence[Row], retired: Sequence[Row] = ()) -> None:
        """Rows of tables `agents` and `retirements`: newborns join the population, retired agents leave it.

        Where agents learn, a newborn that the learner does not hold yet (phase `turnover` adds those it trains) gets
        the adapter it starts from.
        """
        self.state.add_agents(born)
        if self.models.learner:
            self._add_adapters(self.models.learner, born)
        for row in retired:
            if self.models.learner and row["name"] in self.models.learner.names:
                self.models.learner.remove(row["name"])
            self.state.living.remove(row["name"])
        self.models.act()

    def _add_adapters(self, learner: Learner, born: Sequence[Row]) -> None:
        for row in born:
            if row["name"] not in learner.names and self.state.model(row["name"]) == MAIN:
                parents: list[str] = json.loads(row["parents"])
                inherits = row["inherited"] == "weights" and parents
                start = learner.acting_row(parents[0]).clone() if inherits else self.initial_adapter(row["name"])
                learner.add(row["name"], start)

    def initial_adapter(self, agent: str) -> Tensor:
        """The adapter of an agent that inherits no weights."""
        return self.models.initial_adapter(f"{self.state.seed}/birth/{agent}")

    # -- resuming ------------------------------------------------------------------------------------------------

    def _resume(self, before: Config) -> None:
        """Restore the run, which had the config `before`; if it goes on after its end, from before it ended."""
        phase = first_to_replay(self.store, before, self.config)
        with self.store.transaction() if phase else nullcontext(), explained([self.folder]):
            if phase:
                take_back(self.store, phase)
            self._restore()

    def _restore(self) -> None:
        """Restore what outlives a generation: problems seen, bank, population and weights."""
        state, finished = self.state, self.store.finished()
        state.seen = {r["text_key"] for r in self.store.query("SELECT text_key FROM problems WHERE valid")}
        # in the order of admission, which is not that of their generations where posts wait for approval
        posts = self.store.query("SELECT * FROM posts WHERE kind = 'worked_example' ORDER BY seq")
        outcomes = self.store.query("SELECT round, solve_rate FROM outcomes WHERE learnable")
        state.generation = Generation(0, outcomes={r["round"]: r for r in outcomes})
        state.add_worked_examples(posts)
        state.generation = Generation(0)
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
        state.add_agents(agents)
        state.living = [a["name"] for a in at_sleep]
        self._restore_weights(slept, turned, state.of_main([a["name"] for a in after]))
        self.models.act()
        if turned == slept:
            born = [a for a in agents if a["born"] == slept]
            self.welcome(born, self.store.rows("retirements", slept))

    def _restore_weights(self, slept: int, turned: int, after: Sequence[str]) -> None:
        """The learner as it was after the last turnover (`after`: the agents that live then), or after the last
        sleep."""
        models, learner = self.models, self.models.learner
        if learner is None:
            return
        sql = "SELECT path FROM checkpoints WHERE generation <= ? AND name = ? ORDER BY generation DESC LIMIT 1"
        for row in self.store.query(sql, [turned, self.state.commons_name]):
            models.commons = learner.layout.load_peft(self._file(row["path"]))
        sql = "SELECT path FROM checkpoints WHERE generation = ? AND name = ?"
        born = self.store.query(sql, [slept, "born"]) if turned == slept else []
        found, names = (born, after) if born else (self.store.query(sql, [slept, "learner"]), self.state.main_agents)
        if not found:
            raise ValueError(f"{self.store.path} names no learner state of generation {slept}: a row is missing")
        learner.load(self._file(found[0]["path"]), names)

    def _file(self, path: str) -> Path:
        return check_state(self.folder, self.store, self.config, path)


def source_folder(config: Config) -> Path:
    """Where the configured model lies, as it was fetched; one given by name may be downloaded first."""
    return SEED_FOLDERS.get(config.model.path) or find_model(config.model.path)


def model_folder(config: Config) -> Path:
    """Where the base model of the run lies: the configured model with `model.adapter` merged."""
    folder = source_folder(config)
    return merged_folder(folder, adapter_folder(config.model.adapter)) if config.model.adapter else folder


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
    others = load_others(config, config.population.others)
    try:
        engine, learner = _own_minds(config)
    except BaseException:
        for other in others.values():
            close(other)
        raise
    return (RoutedEngine({MAIN: engine, **others}) if others else engine), learner


def load_others(config: Config, names: Iterable[str]) -> dict[str, Engine]:
    """The engines of these other models of a mixed population, by name.

    Raises ValueError or OSError naming the model, and the file or server that is not as it should be.
    """
    found: dict[str, Engine] = {}
    with ExitStack() as undo:
        for name in names:
            own = config.of_model(name)
            try:
                if own.engine.spec.remote:
                    found[name] = connect(own)
                else:
                    found[name] = make_engine(own, *load_base(own), model_folder(own))
            except (ValueError, OSError) as error:
                raise type(error)(f"population.models.{name}: {error}") from None
            undo.callback(close, found[name])
        undo.pop_all()
    return found


def _own_minds(config: Config) -> tuple[Engine, Learner | None]:
    if config.engine.spec.remote:
        return connect(config), None
    base, tokenizer = load_base(config)
    engine, s = make_engine(config, base, tokenizer, model_folder(config)), config.sleep
    if not s.enabled:
        return engine, None
    numbers = s.rank, s.alpha, s.learning_rate, s.batch, s.clip, s.weight_decay, s.average, s.tokens
    settings = LearnerConfig(*numbers, s.objective.make())
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
    return base_weights_digest(config)[:16]


def base_weights_digest(config: Config) -> str:
    """SHA-256 of the base model's weights. Raises ValueError if there are none, or a named model is damaged."""
    check_weights(config.model.path, weights_digest(source_folder(config)))
    return weights_digest(model_folder(config))


def make_domains(config: Config) -> dict[str, Domain]:
    """The configured domains by name. Raises ValueError for an unknown name or option."""
    domains: dict[str, Domain] = {}
    for key, section in config.domains.items():
        options: dict[str, Any] = section.options
        if seeded := getattr(domain_class(key), "seed_option", ""):
            options.setdefault(seeded, config.seed)
        domain = make_domain(key, **options)
        domains[domain.name] = domain
    return domains


def dtype_of(config: Config) -> str:
    """The data type of the base weights here; empty where a server holds them."""
    if config.engine.spec.remote:
        return ""
    return resolve_dtype(config.model.dtype, read_config(model_folder(config)), device_of(config))


def recorded_dtype(config: Config) -> dict[str, str]:
    """The entry `dtype` of table `meta`: the data type, if weights are here and it is not float32."""
    dtype = dtype_of(config)
    return {} if dtype in ("", "float32") else {"dtype": dtype}


def pinned(config: Config, meta: Mapping[str, str]) -> Config:
    """The config with the data type that a run with this `meta` was started with, in place of `auto`.

    A run on the CPU that does not name it used float32.
    """
    if config.population.others:
        others = {name: _with_dtype(one, meta.get(f"dtype {name}")) for name, one in config.population.models.items()}
        config = config.model_copy(update={"population": config.population.model_copy(update={"models": others})})
    ran_with = meta.get("dtype") or ("float32" if meta.get("device") == "cpu" else "")
    if config.model.dtype != "auto" or config.engine.spec.remote or not ran_with:
        return config
    return config.model_copy(update={"model": config.model.model_copy(update={"dtype": ran_with})})


def _with_dtype(one: PlacesSection, ran_with: str | None) -> PlacesSection:
    if one.model.dtype != "auto" or not ran_with:
        return one
    return one.model_copy(update={"model": one.model.model_copy(update={"dtype": ran_with})})


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
        **recorded_dtype(config),
        **other_versions(config, config.population.others),
    }


def other_versions(config: Config, names: Iterable[str]) -> dict[str, str]:
    """What must be equal of these other models of a mixed population."""
    found: dict[str, str] = {}
    for name in names:
        own = config.of_model(name)
        found |= {f"model {name}": f"{base_digest(own)} on {engine_version(own)}", f"dtype {name}": dtype_of(own)}
    return found


def places(config: Config) -> list[Row]:
    """Rows of table `places`: the model of each place of a mixed population, and the roles of its agents."""
    rows = []
    for place in range(config.population.agents):
        name = config.population.at(place)
        own, one = config.of_model(name), config.population.models.get(name)
        rows.append(
            {
                "place": place,
                "model": name,
                "engine": engine_version(own),
                "base": model_title(own),
                "digest": base_digest(own),
                "roles": " ".join(one.roles if one else ROLES),
            }
        )
    return rows


def model_title(config: Config) -> str:
    """How people know the model: its path, or the name that a server has for it."""
    return config.engine.model_name if config.engine.spec.remote else config.model.path
