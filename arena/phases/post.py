"""The phase `post`: agents write posts about the generation, each kind from the event that makes it true.

A right guess becomes a definition; a learnable problem a worked example by its first solver; a proposal that does
nothing a lesson; a wrong guess or a failed attempt a failure; a problem that nobody solved a question. Readers review
the posts they read by the outcome of their attempts, and under `library.forget: books` definitions are compiled into
books. The domain words these posts, and the library checks each one before it is admitted. With `review: gate` they
wait for approval, and the posts approved since are added first. Posts in free text come last
(`arena.library.free_text`), then posts that arrived from other islands (`arena.phases.migration`).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from arena.library import free_text
from arena.library.admission import admit, sign
from arena.library.definitions import DefinitionIndex, StoredDefinition
from arena.library.visibility import visible_authors
from arena.phases import review
from arena.phases.migration import admit_arrivals
from arena.phases.records import Produced, insert
from arena.run.fold import RunState
from arena.run.messages import SentPost
from arena.run.state import Arena
from arena.run.store import Records, Row
from culture.kinds import POST_KINDS
from culture.library import Library
from culture.posts import MAX_BODY, Post, SignedPost
from curricula.definitions import compile_book, pages
from curricula.domain import Named
from curricula.learnability import is_learnable
from curricula.post_forms import PostDomain


def post(arena: Arena) -> Produced:
    """The posts of a generation, signed."""
    state = arena.state
    gate = arena.config.review.mode == "gate"
    library, index = arena.config.library, DefinitionIndex(state)
    written: list[Post] = []
    for name, kind in POST_KINDS.items():
        if name in library.kind_names or (name == "book" and library.forget == "books"):
            written += (kind.write or WRITERS[name])(state, index)
    worded, refusals = free_text.write(state, arena.models)
    signed = [sign(arena.keys, p) for p in {p.id: p for p in [*written, *worded]}.values()]
    posts = (
        {"posts": review.approved(arena.store, state.generation.receipts), "waiting": signed}
        if gate
        else {"posts": signed}
    )
    arriving = list(arena.arrivals.posts) if arena.arrivals else []
    return posts | ({"refusals": refusals} if refusals else {}) | ({"arriving": arriving} if arriving else {})


def store_posts(arena: Arena, produced: Produced) -> Produced:
    """Insert the records. Posts are checked for admission here, those that will wait for approval too; refused ones
    become rows of table `refusals`. The `posts` that come back are the rows of those that were admitted."""
    state = arena.state
    records = dict(produced)
    signed: list[SignedPost] = records.pop("posts", [])
    wait: list[SignedPost] = records.pop("waiting", [])
    arriving: list[SentPost] = records.pop("arriving", [])

    def check(item: Post) -> str | None:
        return admit(state, item)

    results = state.library.add(signed, check, quota=arena.config.library.quota) if signed else []
    reasons = dict(results) | {s.post.id: state.library.refusal(s, check) for s in wait}
    refused = [_refusal(s.post, reason) for s in [*signed, *wait] if (reason := reasons[s.post.id]) is not None]
    if refused:
        records["refusals"] = [*records.get("refusals", []), *refused]
    posts = [{**asdict(s.post), "id": s.post.id} for s in signed if reasons[s.post.id] is None]
    if arriving:
        taken, records["migrations"] = admit_arrivals(state, arriving, check)
        posts += [{**asdict(s.post), "id": s.post.id} for s in taken]
    if "waiting" in produced:
        records["waiting"] = [{**s.to_row(), "decided": None} for s in wait if reasons[s.post.id] is None]
    return {**insert(arena, records), "posts": posts}


def _refusal(p: Post, reason: str) -> Row:
    return {"post": p.id, "generation": p.generation, "author": p.author, "title": p.title, "reason": reason}


def fold_post(arena: Arena, records: Records) -> None:
    """Worked examples go into the bank."""
    arena.state.add_worked_examples(records["posts"])


def definitions(state: RunState, index: DefinitionIndex) -> Iterator[Post]:
    """A definition for each right guess at a name that no visible author has defined."""
    g, words = state.generation.index, state.words_domain()
    waiting = review.waiting_names(state.store) if state.config.review.mode == "gate" else set[str]()
    mine: dict[str, list[str]] = {}  # authors by name, of this generation
    for agent, name, body in state.generation.right_guesses:
        assert words is not None
        near = visible_authors(state, agent)
        told = any(near is None or author in near for author in mine.get(name, ()))
        if name in index.stored(agent) or name in waiting or told:
            continue
        mine.setdefault(name, []).append(agent)
        yield Post("definition", agent, g, name, words.definition(name, body.split()), (), words.name)


def worked_examples(state: RunState, index: DefinitionIndex) -> Iterator[Post]:
    """The first correct attempt at each learnable problem."""
    for r in state.generation.rounds:
        rate = r.solve_rate
        if r.problem is None or rate is None or not is_learnable(rate) or r.doubt:
            continue
        solver, text = next((a.agent, a.text) for a, v in zip(r.attempts, r.verdicts, strict=True) if v.correct)
        shelf = index.stored(solver)
        cites = list(dict.fromkeys(shelf[n].post for n in r.problem.names if n in shelf))
        parent = state.generation.plan[r.id]["parent_post"]
        if parent and parent not in cites:
            cites.append(parent)
        about = f"{r.domain.name}/{r.id}"
        yield Post("worked_example", solver, state.generation.index, r.problem.text, text, tuple(cites), about)


def lessons(state: RunState, index: DefinitionIndex) -> Iterator[Post]:
    """That a program equals a shorter one: from a proposal that does nothing, or from a problem that behaves like an
    earlier, shorter one."""
    g, count, told = state.generation.index, Counter[str](), set[str]()
    most, window = limit_of(state, "lesson"), state.config.library.lesson_window
    nothing = [
        (r.author, r.domain, r.proposal, None)
        for r in state.generation.rounds
        if r.rejection is not None and r.rejection.reason == "no-op"
    ]
    alike = [
        (r["author"], state.domains[r["domain"]], r["text"], r["other"]) for r in state.store.query(_ALIKE, [g, window])
    ]
    for author, domain, program, other in [*nothing, *alike]:
        if count[author] >= most or not isinstance(domain, PostDomain):
            continue
        text = domain.lesson_from(program, other)
        if text is None or text in told or is_posted(state, "lesson", text):
            continue
        told.add(text)
        count[author] += 1
        yield Post("lesson", author, g, text, text, (), domain.name, applies="these words follow each other")


_ALIKE = """WITH near AS MATERIALIZED
    (SELECT * FROM problems WHERE generation BETWEEN ?1 - ?2 AND ?1 AND valid),
    fresh AS MATERIALIZED (SELECT * FROM near WHERE generation = ?1)
    SELECT a.author, a.domain, a.text, MIN(b.text) AS other FROM fresh a JOIN near b
    ON b.behaviour_key = a.behaviour_key AND b.domain = a.domain AND b.depth < a.depth
    GROUP BY a.round ORDER BY a.round"""


def failures(state: RunState, index: DefinitionIndex) -> Iterator[Post]:
    """Wrong guesses, and failed attempts from which the domain can word a failure."""
    g, count, most = state.generation.index, Counter[str](), limit_of(state, "failure")
    words = state.words_domain()
    for agent, name, body in state.generation.wrong_guesses:
        if words is None or count[agent] >= most // 2 or name in index.stored(agent):
            continue
        found = words.failure_from_guess(name, body)
        if found is None or is_posted(state, "failure", *found):
            continue
        count[agent] += 1
        yield Post("failure", agent, g, *found, (), words.name)
    for r in state.generation.rounds:
        for attempt, verdict in zip(r.attempts, r.verdicts, strict=True):
            if r.problem is None or verdict.correct or count[attempt.agent] >= most:
                continue
            teaches = r.domain.failure_from_attempt if isinstance(r.domain, PostDomain) else None
            found = teaches(r.problem, verdict, attempt.text) if teaches else None
            if found is None or is_posted(state, "failure", *found):
                continue
            count[attempt.agent] += 1
            yield Post("failure", attempt.agent, g, *found, (), f"{r.domain.name}/{r.id}")


def questions(state: RunState, index: DefinitionIndex) -> Iterator[Post]:
    """Problems that nobody solved, asked by their setters."""
    count, most = Counter[str](), limit_of(state, "question")
    for r in state.generation.rounds:
        if r.problem is None or r.solve_rate != 0.0 or r.doubt or count[r.author] >= most:
            continue
        if not isinstance(r.domain, PostDomain):
            continue
        count[r.author] += 1
        title, body = r.domain.question_about(r.problem.text)
        yield Post("question", r.author, state.generation.index, title, body, (), f"{r.domain.name}/{r.id}")


def reviews(state: RunState, index: DefinitionIndex) -> Iterator[Post]:
    """A reader's verdict on a post, by the outcome of its attempts: one per reader and post, never on its own post."""
    g, count, most = state.generation.index, Counter[str](), limit_of(state, "review")
    for row in state.store.query(_READ, [state.store.before("reads", g), g]):
        agent = row["agent"]
        if row["author"] == agent or count[agent] >= most or has_reviewed(state.library, agent, row["post"]):
            continue
        count[agent] += 1
        verdict = "helps" if 2 * row["right"] >= row["n"] else f"fails because {row['n'] - row['right']} of {row['n']}"
        yield Post("review", agent, state.generation.index, row["title"], verdict, (row["post"],), row["post"])


def limit_of(state: RunState, kind: str) -> int:
    """Maximum number of posts of this kind per author and generation; a large number if there is no limit."""
    return state.config.library.most.get(kind, sys.maxsize)


def has_reviewed(library: Library, agent: str, post_id: str) -> bool:
    return any(review_.author == agent for review_ in library.reviews(post_id))


_READ = """SELECT r.agent, r.post, p.author, p.title, COUNT(*) AS n, SUM(a.correct) AS right FROM reads r NOT INDEXED
    JOIN posts p ON p.id = r.post JOIN attempts a ON a.round = substr(r.request, 1, instr(r.request, '/') - 1)
        AND a.seat = substr(r.request, instr(r.request, '/') + 1)
    WHERE r.rowid > ? AND r.phase = 'solve' AND r.generation = ? GROUP BY r.agent, r.post
    ORDER BY r.agent, COUNT(*) DESC, r.post"""


def books(state: RunState, index: DefinitionIndex) -> Iterator[Post]:
    """A book of every definition that a group of agents with the same visible authors can read.

    A group writes one when two of its definitions are in no book yet, or when another group's book removes posts that
    it reads from the index (in a ring, groups overlap).
    """
    g, words = state.generation.index, state.words_domain()
    if words is None or g % state.config.library.book_every:
        return
    held: dict[frozenset[str] | None, tuple[str, dict[str, StoredDefinition]]] = {}
    for agent in state.living:
        held.setdefault(visible_authors(state, agent), (agent, index.stored(agent)))
    sources = {near: {h.post for h in shelf.values()} for near, (_, shelf) in held.items()}
    due = {near for near, posts in sources.items() if sum(is_definition(state.library, p) for p in posts) >= 2}
    while True:
        taken = set[str]().union(*(sources[near] for near in due))
        more = {near for near, posts in sources.items() if near not in due and posts & taken}
        if not more:
            break
        due |= more
    for near, (agent, shelf) in held.items():
        if near in due:
            yield compile_definitions(words, agent, g, shelf)


def is_definition(library: Library, post_id: str) -> bool:
    """Whether this post is a definition of its own, not a book."""
    found = library.get(post_id)
    return found is not None and found.kind == "definition"


def compile_definitions(words: Named, author: str, g: int, shelf: dict[str, StoredDefinition]) -> Post:
    """A book of the definitions that fit into one post; it cites the posts that held them."""
    text = compile_book({n: h.body for n, h in shelf.items()}, limit=MAX_BODY)
    cites = tuple(dict.fromkeys(shelf[n].post for n in pages(text)))
    return Post("book", author, g, f"book {' '.join(str(g))}", text, cites, words.name, applies="a name is met")


def is_posted(state: RunState, kind: str, title: str, body: str | None = None) -> bool:
    """Whether the library holds a post of this kind and title, and body if one is given."""
    sql, params = "SELECT 1 FROM posts WHERE kind = ? AND title = ?", [kind, title]
    if body is not None:
        sql, params = sql + " AND body = ?", [*params, body]
    return bool(state.store.query(sql + " LIMIT 1", params))


WRITERS = {
    "definition": definitions,
    "worked_example": worked_examples,
    "lesson": lessons,
    "failure": failures,
    "question": questions,
    "review": reviews,
    "book": books,
}
"""The function that writes each built-in kind."""
