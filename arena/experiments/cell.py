"""One cell of an experiment, in a process of its own: create or resume the run, play it to its end, write `cell.json`.

    python -m arena.experiments.cell '{"arm": "selfplay", "seed": 0, "final": false, "config": {...}}'

`cell.json` is written atomically after the run's last phase; a cell without one is unfinished and is resumed. Standard
output is the cell's log, one short line per generation. The process ends when its parent does.

Left out: choosing what to run (`runner`), and comparing cells (`results`).

Not guaranteed: that a change of code between an interruption and the resume is noticed; the stored commit is that of
the end.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from agents.atomic import write_atomically
from arena.config.schema import Config, make_config
from arena.experiments.runner import check_split, commit
from arena.loop import play
from arena.report.metrics.run_metrics import FinishedRun, all_metrics, curve
from arena.report.metrics.series import all_series
from arena.run.faults import is_for_user
from arena.run.state import Arena, base_weights_digest
from arena.run.store import Store


class Log:
    """A listener that prints one line per generation, and stops the process between phases after its parent ended."""

    def __init__(self, parent: int) -> None:
        self.parent, self.seconds, self.parts = parent, 0.0, list[str]()

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        if os.getppid() != self.parent:
            raise SystemExit("the experiment has ended; run it again to resume this cell")
        if event != "done":
            return
        phase, records = data["phase"], data["records"]
        self.seconds += data["seconds"]
        if phase == "propose":
            self.parts.append(f"valid {sum(r['valid'] for r in records['problems'])}/{len(records['problems'])}")
        if phase == "grade":
            self.parts.append(f"learnable {sum(r['learnable'] for r in records['outcomes'])}")
        if phase in ("baseline", "measure", "final"):
            right = [r["correct"] > 0 for r in records["evaluations"] if r["mode"] != "pass"]
            self.parts.append(f"held-out {sum(right)}/{len(right)}")
            name = "" if phase == "measure" else f" {phase}"
            print(f"generation {data['generation']}{name}: {', '.join(self.parts)}, {self.seconds:.1f} s", flush=True)
            self.seconds, self.parts = 0.0, []


def play_cell(spec: dict[str, Any]) -> None:
    """Play the cell to its end. Raises ValueError for a config or a run folder that cannot be used."""
    config = make_config(spec["config"], source="the cell's config")
    check_split(config, spec["final"])
    folder = Path(config.run.folder) / config.run.name
    parent = os.getppid()
    with Arena.open(folder) if (folder / "run.db").exists() else Arena.create(config) as arena:
        if not play(arena, Log(parent)):
            raise ValueError(f"{folder} stopped before its end: {arena.budget.stopped or 'as requested'}")
        record = cell_record(arena.store, arena.config, arena.config.main_domain)
    record |= {"arm": spec["arm"], "model_sha256": model_digest(config), "commit": commit()}
    write_atomically(folder / "cell.json", json.dumps(record, indent=1))


def cell_record(store: Store, config: Config, main: str) -> dict[str, Any]:
    """The record of a finished run for an experiment. Raises ValueError if the run is unfinished or was measured on
    another split than its config says."""
    run = FinishedRun.read(store, main, config.library)
    splits = [r["split"] for r in store.query("SELECT DISTINCT split FROM evaluations")]
    if splits != [config.measure.split]:
        raise ValueError(f"{store.path} was measured on {splits}, its config says {config.measure.split!r}")
    return {
        "seed": config.seed,
        "metrics": all_metrics(run),
        "curve": curve(run),
        "series": all_series(run),
        "versions": {k: v for k, v in store.meta().items() if k not in ("base", "seed", "schema_version")},
        "digest": store.digest(),
        "config": config.model_dump(mode="json"),
    }


def model_digest(config: Config) -> str:
    """SHA-256 of the base model's weights; the name under which a server lists its model. In a mixed population, those
    of all models."""
    if config.population.others:
        models = {name: model_digest(config.of_model(name)) for name in config.population.others}
        own = model_digest(
            config.model_copy(update={"population": config.population.model_copy(update={"models": {}})})
        )
        return json.dumps([own, models])
    if config.engine.spec.remote:
        return config.engine.model_name
    return base_weights_digest(config)


def main() -> None:
    try:
        play_cell(json.loads(sys.argv[1]))
    except ValueError as error:
        if not is_for_user(error):
            raise
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
