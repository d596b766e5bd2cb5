"""Provenance: signatures and keys, refusals, and the training data of each agent's weights.

Everything is verified again: each post's id, signature and citations, each author's key against the register of agents,
each adapter still on disk against its recorded digest, each leaf and head of the signed log.

Not guaranteed: that the holder of the arena's private key did not write everything anew; a head that was kept elsewhere
shows it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from arena.config.schema import Config
from arena.report.figures.figure import Figure, Heat, Panel, Section, Series, Table
from arena.report.source import Source
from arena.run.adapters import FILES, missing_states, stored_adapters
from arena.run.agents import file_digest
from arena.run.paths import inside
from arena.run.store import Row, Store
from arena.text import count, listed, number
from culture.library import Library

KEY, TITLE = "provenance", "Provenance: signatures and training data"
NO_LOG = (
    "No generation has ended with a signed head of the log yet: signatures show the author of each post, but not that "
    "no post was removed together with its successors."
)
MOST_NAMES = 30


def section(source: Source) -> Section:
    store, missing = source.store, list[str]()
    posts = store.query("SELECT COUNT(*) AS n FROM posts")[0]["n"]
    findings, tables = list[str](), list[Table]()
    if posts:
        findings.append(signatures(store, posts))
        findings.append(keys(store))
        tables.append(authors_table(store))
    else:
        missing.append("The library is empty, so there is nothing signed to verify.")
    findings += [*refusals(store, posts), *receipts(store)]
    logged = log(store)
    findings += logged
    if not logged:
        missing.append(NO_LOG)
    kept = checkpoints(source.folder, store, source.config)
    if kept:
        findings.append(checkpoint_finding(kept))
        lost = stored_adapters(source.folder, store, source.config).lost()
        missing += [f"{lost[0].upper()}{lost[1:]}."] if lost else []
    sleeps = sleeps_by_agent(store)
    if not sleeps:
        missing.append(
            "No agent has slept, so no weights were trained: "
            + ("sleep.enabled is false." if not source.config.sleep.enabled else "the run has not reached that phase.")
        )
        return Section(KEY, TITLE, tuple(findings), (), tuple(tables), tuple(missing))
    findings += training(sleeps)
    tables.append(sleep_table(sleeps))
    figures = (loss_figure(store), *([diet] if (diet := diet_figure(store)) else []))
    return Section(KEY, TITLE, tuple(findings), figures, tuple(tables), tuple(missing))


# -- posts and keys ----------------------------------------------------------------------------------------------


def signatures(store: Store, posts: int) -> str:
    problems = Library(store.db).verify()
    if not problems:
        return f"All {count(posts, 'post')} verify: ids match the texts, signatures are valid, every cited post exists."
    return f"{count(len(problems), 'fault')} in {count(posts, 'post')}; the first: {problems[0]}."


def keys(store: Store) -> str:
    """Whether every author signs with the one key that was registered at its birth."""
    sql = (
        "SELECT p.author, COUNT(DISTINCT p.public_key) AS n, MAX(p.public_key = COALESCE(a.public_key, '')) AS same"
        " FROM posts p LEFT JOIN agents a ON a.name = p.author GROUP BY p.author ORDER BY p.author"
    )
    rows = store.query(sql)
    bad = [r["author"] for r in rows if r["n"] != 1 or not r["same"]]
    if bad:
        return f"{listed(bad[:8])} did not sign with the key registered at birth, or with more than one."
    return f"Each of {count(len(rows), 'author')} signs with one key, the one registered at its birth."


def receipts(store: Store) -> list[str]:
    """Whether the receipts of a reviewer's decisions verify."""
    n = store.query("SELECT COUNT(*) AS n FROM receipts")[0]["n"]
    if not n:
        return []
    from arena.run.receipts import verify_receipts

    problems = verify_receipts(store)
    if not problems:
        return [
            f"All {count(n, 'receipt')} of a reviewer's decisions verify: ids, signatures and labels fit each other."
        ]
    return [f"{count(len(problems), 'fault')} in {count(n, 'receipt')} of decisions; the first: {problems[0]}."]


def log(store: Store) -> list[str]:
    """Whether the run's records match its log and the signed heads; empty for a run that has neither."""
    heads = store.query("SELECT COUNT(*) AS n FROM heads")[0]["n"]
    from arena.run.ledger import state, verify_log

    problems = verify_log(store)
    if problems:
        return [f"The signed log does not hold; first: {problems[0]}."]
    if not heads:
        return []
    held, last = state(store)
    return [f"{held} All of it is what the run says: posts, receipts and what each agent was trained on.", last]


def authors_table(store: Store) -> Table:
    sql = (
        "SELECT p.author, COUNT(*) AS n, MIN(p.generation) AS first, MAX(p.generation) AS last, MIN(p.public_key) AS "
        "key, COUNT(DISTINCT p.public_key) AS keys FROM posts p GROUP BY p.author ORDER BY n DESC, p.author"
    )
    columns = ("author", "posts", "first gen", "last gen", "keys", "public key")
    rows = tuple(
        (r["author"], str(r["n"]), str(r["first"]), str(r["last"]), str(r["keys"]), f"{r['key'][:16]}…")
        for r in store.query(sql)[:MOST_NAMES]
    )
    return Table(
        columns, rows, "Posts by the author that signed them, with the author's Ed25519 key.", frozenset(columns[1:5])
    )


def refusals(store: Store, posts: int) -> list[str]:
    rows = store.query("SELECT reason, COUNT(*) AS n FROM refusals GROUP BY reason ORDER BY n DESC, reason")
    if not rows:
        return ["The library refused no post."] if posts else []
    told = listed([f"{r['reason']} ({r['n']})" for r in rows[:6]])
    return [f"The library refused {count(sum(r['n'] for r in rows), 'post')}: {told}."]


# -- checkpoints -------------------------------------------------------------------------------------------------


def checkpoints(folder: Path, store: Store, config: Config) -> Counter[str]:
    """Recorded checkpoints by what is left of them: `as recorded`, `changed`, `missing`, or `removed` by retention."""
    found, rows = Counter[str](), store.query("SELECT path, sha256 FROM checkpoints ORDER BY generation, name")
    lost = {r["path"] for r in stored_adapters(folder, store, config).missing} | {*missing_states(folder, store)}
    for row in rows:
        path = inside(folder, row["path"])
        file = path / FILES[1] if path.is_dir() else path
        if row["path"] in lost or not path.exists():
            found["missing" if row["path"] in lost else "removed"] += 1
        else:
            found["as recorded" if file_digest(file) == row["sha256"] else "changed"] += 1
    return found


def checkpoint_finding(kept: Counter[str]) -> str:
    """How many checkpoints are on disk, in one sentence."""
    there = kept["as recorded"] + kept["changed"]
    text = f"Of {count(kept.total(), 'recorded checkpoint')} {there} are still on disk"
    if kept["changed"]:
        text += f", and {kept['changed']} of these do not have the SHA-256 that was recorded"
    elif there:
        text += ", all with the SHA-256 that was recorded"
    if kept["missing"]:
        text += f"; {kept['missing']} are missing"
    return f"{text}; {kept['removed']} were removed by the run's retention (store.adapters)."


# -- sleep -------------------------------------------------------------------------------------------------------


def sleeps_by_agent(store: Store) -> list[Row]:
    """Training of each agent in total: sleeps, examples, those that are posts, tokens, steps, first and last loss."""
    reads = {
        r["agent"]: r
        for r in store.query(
            "SELECT r.agent, COUNT(*) AS n, COUNT(DISTINCT r.post) AS posts, COUNT(DISTINCT p.author) AS authors,"
            " SUM(p.author = r.agent) AS own FROM reads r JOIN posts p ON p.id = r.post WHERE r.phase = 'sleep'"
            " GROUP BY r.agent"
        )
    }
    sql = (
        "SELECT s.agent, COUNT(*) AS nights, SUM(s.examples) AS examples, SUM(s.tokens) AS tokens, SUM(s.steps) AS "
        "steps, MIN(s.generation) AS first, MAX(s.generation) AS last, a.inherited, a.parents FROM sleeps s LEFT JOIN "
        "agents a ON a.name = s.agent GROUP BY s.agent ORDER BY a.number"
    )
    losses = {
        (r["agent"], r["generation"]): r["loss"] for r in store.query("SELECT agent, generation, loss FROM sleeps")
    }
    none = {"n": 0, "posts": 0, "authors": 0, "own": 0}
    return [
        {
            **row,
            **{f"read_{k}": reads.get(row["agent"], none)[k] for k in none},
            "first_loss": losses[row["agent"], row["first"]],
            "last_loss": losses[row["agent"], row["last"]],
        }
        for row in store.query(sql)
    ]


def training(sleeps: Sequence[Row]) -> list[str]:
    examples, tokens = sum(r["examples"] for r in sleeps), sum(r["tokens"] for r in sleeps)
    read, own = sum(r["read_n"] for r in sleeps), sum(r["read_own"] for r in sleeps)
    text = f"{count(len(sleeps), 'agent')} slept on {count(examples, 'example')}, {tokens:,} tokens"
    if examples:
        text += (
            f": {number(read / examples)} of them posts of the library, the rest their own rewarded proposals and the "
        )
        text += "seed model's training data"
    if read:
        text += f". Of the posts, {number(own / read)} were the agent's own and the rest came from others"
    return [text + "."]


def sleep_table(sleeps: Sequence[Row]) -> Table:
    columns = ("agent", "nights", "examples", "of the library", "different posts", "authors", "tokens", "steps")
    columns = (*columns, "loss, first", "last")  # type: ignore[assignment]
    rows = tuple(
        (
            r["agent"],
            *(f"{r[k]:,}" for k in ("nights", "examples", "read_n", "read_posts", "read_authors", "tokens", "steps")),
            number(r["first_loss"]),
            number(r["last_loss"]),
        )
        for r in sleeps[:MOST_NAMES]
    )
    caption = (
        "Training data of each agent over all its sleeps; an agent born with a parent's weights also has what the "
        "parent learned. Loss: nats per trained token, mean of a sleep."
    )
    return Table(columns, rows, caption, frozenset(columns[1:]))


def loss_figure(store: Store) -> Figure:
    sql = (
        "SELECT s.generation, AVG(s.loss) AS loss, MIN(s.loss) AS low, MAX(s.loss) AS high, SUM(s.examples) AS "
        "examples, SUM(s.tokens) AS tokens, SUM(s.steps) AS steps, COUNT(*) AS sleepers, COALESCE(MAX(r.n), 0) AS "
        "posts FROM sleeps s LEFT JOIN (SELECT generation, COUNT(*) AS n FROM reads WHERE phase = 'sleep' GROUP BY "
        "generation) r ON r.generation = s.generation GROUP BY s.generation ORDER BY s.generation"
    )
    rows = store.query(sql)
    x = tuple(r["generation"] for r in rows)
    loss, low, high = (tuple(r[k] for r in rows) for k in ("loss", "low", "high"))
    posts = tuple(float(r["posts"]) for r in rows)
    other = tuple(float(max(r["examples"] - r["posts"], 0)) for r in rows)
    return Figure(
        "sleep",
        "Training loss and examples of each sleep",
        "Above: training loss, nats per trained token, mean over the agents that slept, the band from the lowest to "
        "the highest. Low from the start: the examples were known already. Below: examples trained on.",
        (
            Panel((Series("mean of agents", x, loss, low, high),), "", "loss, nats a token", whole_x=True, height=0.8),
            Panel(
                (
                    Series("posts of the library", x, posts, kind="bars"),
                    Series("own proposals and seed examples", x, other, kind="bars"),
                ),
                "generation",
                "examples",
                whole_x=True,
                height=0.8,
                stacked=True,
            ),
        ),
        tuple(rows),
    )


def diet_figure(store: Store) -> Figure | None:
    """Authors of the posts that each agent was trained on."""
    sql = (
        "SELECT r.agent, p.author, COUNT(*) AS n, COUNT(DISTINCT r.post) AS posts FROM reads r JOIN posts p"
        " ON p.id = r.post WHERE r.phase = 'sleep' GROUP BY r.agent, p.author"
    )
    rows = store.query(sql)
    if not rows:
        return None
    number_of = {r["name"]: r["number"] for r in store.query("SELECT name, number FROM agents")}
    total, by_author = defaultdict[str, int](int), defaultdict[str, int](int)
    for r in rows:
        total[r["agent"]] += r["n"]
        by_author[r["author"]] += r["n"]
    most = sorted(total, key=lambda a: (-total[a], a))[:MOST_NAMES]
    sleepers = sorted(most, key=lambda a: (-number_of.get(a, 0), a))  # rows of a grid are from the bottom
    most = sorted(by_author, key=lambda a: (-by_author[a], a))[:MOST_NAMES]
    authors = sorted(most, key=lambda a: (number_of.get(a, 0), a))
    at = {(r["agent"], r["author"]): r["n"] / total[r["agent"]] for r in rows}
    left = max(len(total), len(by_author)) - MOST_NAMES
    heat = Heat(
        tuple(authors),
        tuple(sleepers),
        tuple(tuple(at.get((s, a), 0.0) for a in authors) for s in sleepers),
        "share of the posts trained on",
        0.0,
        annotate=max(len(authors), len(sleepers)) <= 12,
    )
    return Figure(
        "diet",
        "Authors of the posts that each agent was trained on",
        "Of the posts that an agent (left) was trained on, the share written by each author (below), by order of "
        "birth. A row adds up to 1; an agent born with weights also has what its parent was trained on."
        + (f" Those with the most posts are shown, {left} or more are in the data only." if left > 0 else ""),
        (Panel(heat, "author of the post", "agent trained on it", height=min(2.0, 0.5 + len(sleepers) / 12)),),
        tuple({**r, "share": at[r["agent"], r["author"]]} for r in rows),
    )
