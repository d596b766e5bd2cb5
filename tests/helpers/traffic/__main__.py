"""Record the traffic again."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from arena.config.shipped import ROOT

sys.path.insert(0, str(ROOT))

from arena.loop import play
from arena.run.state import Arena, make_domains
from tests.helpers.openai_server import Json, Reply, Server
from tests.helpers.scripted_agents import ROLES, ScriptedAgents
from tests.helpers.traffic import FILE, OUTCOMES, asked, outcomes
from tests.runs.test_scripted_run import SHORT, config


def main() -> None:
    os.environ["NO_PROXY"] = "127.0.0.1"
    lines, shown = list[Json](), set[str]()
    with tempfile.TemporaryDirectory() as folder:
        script = ScriptedAgents(make_domains(config(Path(folder))))

        def record(path: str, body: Json, before: int) -> Reply:
            reply = script(path, body, before)
            if path.endswith("/completions"):
                system, user = (m["content"] for m in body["messages"])
                kind = next(name for name, says in ROLES.items() if says in system) + user[:80]
                line: dict[str, Any] = {"seed": body["seed"], "asked": asked(body)}
                if kind not in shown:
                    line |= {"system": system, "user": user}
                    shown.add(kind)
                lines.append(line | {"reply": reply.body})
            return reply

        with Server(record) as server, Arena.create(config(Path(folder), server.url, **SHORT)) as arena:
            play(arena)
            made = outcomes(arena.store.query)
    lines.sort(key=lambda line: (int(line["seed"]), str(line["asked"])))
    FILE.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    OUTCOMES.write_text(json.dumps(made, indent=1), encoding="utf-8")
    print(f"{len(lines)} requests, {FILE.stat().st_size // 1000} kB")


main()
