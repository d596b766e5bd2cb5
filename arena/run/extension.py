"""Continue a run that had ended: what it did only because it ended is removed, and played again.

The total number of generations decides three things. The measurement `final` follows the last generation. In the last
generation nobody retires and nothing is consolidated (phase `turnover`), and with `turnover.policy: age` agents that
would retire are trained (phase `sleep`). Islands take in nothing in it (`arena.islands`). So a run that is extended is
first brought back: its final measurement is removed, and the phases of its last generation from the first one that
would have been different. Then it equals, bit for bit, the run of that length.

The library and its log are append-only, so nothing before phase `sleep` is ever removed here. The head of the last
generation is signed again if it is removed; it is the same unless newborns are trained in the repeated phases.
"""

from __future__ import annotations

from arena.config.schema import Config
from arena.run.store import Store

UNDO = {
    "sleep": ("sleeps", "corrections", "checkpoints", "reads"),
    "turnover": ("agents", "retirements"),
    "measure": ("evaluations", "collapse", "ratchet", "leaves", "heads"),
    "final": ("evaluations", "ratchet"),
}
"""The phases that may be removed, in order, and the tables that they write (`arena.phases.registry` and the seal)."""
FINAL = {"evaluations": "id LIKE 'g%/after/%'", "ratchet": "mind = 'schooled'"}
"""Which rows of a table are of the phase `final`."""


def check_length(store: Store, stored: Config, wanted: Config) -> None:
    """Raise ValueError for a number of generations that the run has reached already as one of more."""
    begun = generation_begun(store)
    if wanted.generations < stored.generations and wanted.generations <= begun:
        raise ValueError(
            f"generations of {store.path.parent} is {stored.generations} and cannot become {wanted.generations}, "
            f"because generation {begun} has begun as one that others follow; the least is {begun + 1}"
        )


def first_to_replay(store: Store, stored: Config, wanted: Config) -> str | None:
    """The first phase of the last generation begun that has to be removed before the run goes on; None: none has."""
    finished, begun = store.finished(), generation_begun(store)
    if begun and begun == stored.generations < wanted.generations:
        config, due = wanted.turnover, [p for g, p in finished if g == begun]
        skips = False
        retires = config.policy == "tournament" and bool(config.every) and begun % config.every == 0
        consolidates = wanted.sleep.enabled and bool(config.consolidate) and begun % config.consolidate == 0
        if config.policy == "age" and _lives(store, begun - config.life):
            passed_on = config.inherit == "weights" or config.consolidate  # then the old are trained before they retire
            retires, skips = True, not passed_on
        if skips and "sleep" in due:
            return "sleep"
        if (retires or consolidates) and "turnover" in due:
            return "turnover"
    last = max((g for g, phase in finished if phase == "measure"), default=0)
    ended = any(phase == "final" for _, phase in finished)
    return "final" if ended and goes_on(store, wanted, last) else None


def take_back(store: Store, phase: str) -> None:
    """Remove the rows of `phase` and the phases after it of the last generation begun, and every final measurement.

    Must be called inside a transaction.
    """
    begun, run = generation_begun(store), store.db.conn.execute
    for name in list(UNDO)[list(UNDO).index(phase) :]:
        for table in UNDO[name]:
            column = "born" if table == "agents" else "generation"
            where, values = f"{column} = ?", [begun]
            if name == "final":
                where, values = FINAL[table], []
            elif table == "reads":
                where += " AND phase = 'sleep'"
            elif name == "turnover":
                continue  # in a last generation it has written nothing
            run(f"DELETE FROM {table} WHERE {where}", values)
        where, values = ("", []) if name == "final" else (" AND generation = ?", [begun])
        for table in ("phases", "telemetry", *(["model_tokens"] if store.mixed else [])):
            run(f"DELETE FROM {table} WHERE phase = ?{where}", [name, *values])


def generation_begun(store: Store) -> int:
    """The last generation of which a phase is stored; 0 before the first."""
    return int(store.query("SELECT MAX(generation) AS g FROM phases")[0]["g"] or 0)


def goes_on(store: Store, config: Config, last: int) -> bool:
    """Whether another generation follows the finished one `last`, by the rule of `arena.loop`."""
    spent = config.limits.compute is not None and store.compute() >= config.limits.compute
    return last < config.generations and not spent


def _lives(store: Store, born: int) -> bool:
    """Whether an agent lives that was born in generation `born` or before."""
    sql = "SELECT 1 FROM agents WHERE born <= ? AND name NOT IN (SELECT name FROM retirements) LIMIT 1"
    return bool(store.query(sql, [born]))
