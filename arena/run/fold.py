"""What a run knows at a point in it: population, bank, problems seen, library, and the generation in progress.

All of it is a fold over stored records. It is needed to plan, to read the library and to word prompts, and can be made
for any run whose database can be read, without its lock, its models or torch.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agents.engine import Completion
from arena.config.population import MAIN
from arena.config.schema import Config
from arena.rounds.round import Round
from arena.run.store import Row, Store
from culture.library import Library
from curricula.domain import Domain, Named
from curricula.replay import Bank, Entry


@dataclass(frozen=True)
class Reply:
    """A text as an agent sampled it. `logprobs`: of its tokens; empty if they are not stored. `estimates`: of its
    chance to be right; empty without a value function. `stopped`: whether an estimate ended it."""

    text: str
    logprobs: tuple[float, ...] = ()
    estimates: tuple[float, ...] = ()
    stopped: bool = False


def stored_numbers(numbers: Sequence[float]) -> str | None:
    """Numbers as a JSON list with six digits; None if there are none."""
    return json.dumps([float(f"{x:.6g}") for x in numbers], separators=(",", ":")) if numbers else None


@dataclass
class Generation:
    """The generation in progress."""

    index: int
    rounds: list[Round] = field(default_factory=list)
    plan: dict[str, Row] = field(default_factory=dict)  # rows of table `rounds` by id
    right_guesses: list[tuple[str, str, str]] = field(default_factory=list)  # (agent, name, body)
    wrong_guesses: list[tuple[str, str, str]] = field(default_factory=list)
    outcomes: dict[str, Row] = field(default_factory=dict)
    utilities: Mapping[str, float] | None = None  # by post, once asked for (arena.library.utility)
    receipts: list[Row] = field(default_factory=list)  # of reviewers' decisions, taken when the generation began
    labels: list[Row] = field(default_factory=list)
    replies: dict[str, Reply] = field(default_factory=dict)  # by round and seat; attempts also by their number


class RunState:
    """The state of one run. Reads the store; only phases write it."""

    def __init__(
        self, config: Config, store: Store, domains: Mapping[str, Domain], generation: int | None = None
    ) -> None:
        """`generation`: the library as it stood after that generation; None: as it stands."""
        self.config, self.store, self.domains = config, store, dict(domains)
        stored = store.meta()
        self.island, self.islands = int(stored.get("island", 0)), int(stored.get("islands", 1))
        self.mark = f"i{self.island}" if self.islands > 1 else ""  # ends ids that several islands would number alike
        self.seed = f"{config.seed}/{self.mark}" if self.mark else str(config.seed)  # of everything drawn here
        self.library = Library(store.db, generation)
        self.bank, self.seen = Bank(), set[str]()
        self.living: list[str] = []
        self.places, self.births = dict[str, int](), dict[str, int]()  # of every agent that was ever born
        self.generation = Generation(0 if generation is None else generation)
        self._models = {p: name for name, one in config.population.others.items() for p in one.places}

    @property
    def main(self) -> Domain:
        """The first configured domain."""
        return next(iter(self.domains.values()))

    @property
    def commons_name(self) -> str:
        """Name of the checkpoint of the consolidated adapter."""
        return f"commons-{self.mark}" if self.mark else "commons"

    def words_domain(self) -> Named | None:
        """The domain with hidden names, if the run has one."""
        return next((d for d in self.domains.values() if isinstance(d, Named)), None)

    def place(self, agent: str) -> int:
        """The agent's place in the population; 0 for a name that is no agent of this run."""
        return self.places.get(agent, 0)

    def model(self, agent: str) -> str:
        """Name of the agent's model (`population.models`); the run's own for a name that is no agent of this run."""
        place = self.places.get(agent)
        return MAIN if place is None else self._models.get(place, MAIN)

    def of_main(self, agents: Sequence[str]) -> list[str]:
        """Those of these agents that are the run's own model, in their order."""
        return [a for a in agents if self.model(a) == MAIN]

    @property
    def main_agents(self) -> list[str]:
        """The living agents of the run's own model: those that are trained, if anybody is, and measured."""
        return self.of_main(self.living)

    def rng(self, *where: object) -> random.Random:
        """A generator keyed by the run's seed and a place in the run."""
        return random.Random("/".join(map(str, (self.seed, *where))))

    # -- sampled replies -------------------------------------------------------------------------------------------

    def stored_logprobs(self, completion: Completion) -> str | None:
        """Log-probabilities of a completion's tokens as they are stored: a JSON list of numbers with six digits; None
        if no objective needs them."""
        return stored_numbers(completion.logprobs) if self.config.sleep.needs_logprobs else None

    def add_reply(self, subject: str, row: Row, column: str = "text") -> None:
        """Keep a stored reply, in a column of a row, for training."""
        logprobs, estimates = (tuple(json.loads(row.get(name) or "[]")) for name in ("logprobs", "estimates"))
        self.generation.replies[subject] = Reply(row[column], logprobs, estimates, bool(row.get("stopped")))

    # -- folding records in ----------------------------------------------------------------------------------------

    def add_agents(self, agents: Sequence[Row]) -> None:
        """Rows of table `agents`, of agents that live."""
        for row in agents:
            self.living.append(row["name"])
            self.places[row["name"]], self.births[row["name"]] = row["place"], row["born"]

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
        """Of the round a post is about: one of an earlier generation if the post waited for approval, or of another
        island if it migrated."""
        found = self.generation.outcomes.get(round_)
        rows = [found] if found else self.store.query("SELECT solve_rate FROM outcomes WHERE round = ?", [round_])
        if not rows and self.config.cluster.islands > 1:
            rows = self.store.query("SELECT solve_rate FROM migrations WHERE subject = ? AND taken", [post])
        return float(rows[0]["solve_rate"])
