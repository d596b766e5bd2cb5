"""The family tree of agents: lifetimes, and parents of each agent.

Left out: what a child did with what it inherited.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from arena.report.figures.figure import Figure, Network, Node, Panel, Section
from arena.report.source import Source
from arena.run.store import Row, Store
from arena.text import count, listed

MOST_AGENTS = 60


def part(source: Source) -> Section:
    figure = agents_figure(source.store)
    return Section("family", "", tuple(births(source.store)), (figure,) if figure else ())


def births(store: Store) -> list[str]:
    """The number of agents, and the most numerous line."""
    agents = store.query("SELECT name, parents FROM agents ORDER BY number")
    parents = {a["name"]: (json.loads(a["parents"]) or [None])[0] for a in agents}
    line: dict[str, int] = defaultdict(int)
    for name in parents:
        at: str | None = name
        while at and parents.get(at):
            at = parents[at]
        line[at or name] += 1
    born = sum(parent is not None for parent in parents.values())
    if not born:
        return []
    most = max(line.values())
    widest = [name for name in line if line[name] == most]
    who = listed([*widest[:3], *([count(len(widest) - 3, "other")] if len(widest) > 3 else [])])
    lines = f"the widest line is that of {who}" if len(widest) == 1 else f"the widest lines are those of {who}"
    return [
        f"{count(len(agents), 'agent')} have lived, {born} of them born to others; {lines}, with {count(most, 'agent')}"
        f"{'' if len(widest) == 1 else ' each'}."
    ]


def agents_figure(store: Store) -> Figure | None:
    """Lifetimes of agents, and their parents."""
    agents = store.query("SELECT name, number, born, parents, inherited FROM agents ORDER BY number")
    if not agents:
        return None
    gone: dict[str, int] = {r["name"]: r["generation"] for r in store.query("SELECT * FROM retirements")}
    now: int = store.query("SELECT COALESCE(MAX(generation), 0) AS g FROM phases")[0]["g"]
    parents = {a["name"]: (json.loads(a["parents"]) or [None])[0] for a in agents}
    shown = tree_order(agents[-MOST_AGENTS:], parents)
    height = {name: float(i) for i, name in enumerate(reversed(shown))}
    born = {a["name"]: a for a in agents}
    nodes, edges = list[Node](), list[tuple[str, str]]()
    for name in shown:
        a, end = born[name], gone.get(name, now)
        group = "retired" if name in gone else "living at the end"
        source = f", with the {a['inherited']} of {parents[name]}" if parents[name] else ""
        text = f"{name}: born in generation {a['born']}{source}"
        nodes.append(Node(f"{name}/born", a["born"], height[name], name, group, 1.0, text))
        if end > a["born"]:
            text = f"{name}: {'retired in' if name in gone else 'living after'} generation {end}"
            nodes.append(Node(f"{name}/end", end, height[name], "", group, 1.0, text))
            edges.append((f"{name}/born", f"{name}/end"))
        if parents[name] in height:
            at = f"{parents[name]}/{name}"
            group = "birth of a child"
            nodes.append(Node(at, a["born"], height[parents[name]], "", group, 0.3, f"{name} born of {parents[name]}"))
            edges.append((at, f"{name}/born"))
    left, tall = len(agents) - len(shown), min(2.0, 0.4 + len(shown) / 16)
    return Figure(
        "family",
        "The family tree of agents",
        "A life line for each agent, from its birth to its retirement or the end of the run; an upright line leads "
        "from a parent to the child that began with its weights or in its place."
        + (f" The {left} oldest are left out here; they are in the data." if left else ""),
        (Panel(Network(tuple(nodes), tuple(edges)), "generation", whole_x=True, height=tall),),
        tuple(
            {
                "agent": a["name"],
                "born": a["born"],
                "retired": gone.get(a["name"]),
                "parent": parents[a["name"]],
                "inherited": a["inherited"],
            }
            for a in agents
        ),
    )


def tree_order(agents: Sequence[Row], parents: dict[str, str | None]) -> list[str]:
    """Names so that a child stands right below its parent and the parent's later children."""
    names = [a["name"] for a in agents]
    children: dict[str | None, list[str]] = defaultdict(list)
    for name in names:
        parent = parents[name]
        children[parent if parent in names else None].append(name)
    found, stack = list[str](), children[None][::-1]
    while stack:
        name = stack.pop()
        found.append(name)
        stack += children[name]  # the latest child first
    return found
