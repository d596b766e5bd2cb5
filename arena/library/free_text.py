"""Posts in free text: which agents write them, how replies are read, and which posts are admitted.

Free text cannot be executed. A post is admitted by records (its author tried the problem it is about, with the outcome
that its kind claims), by its form, and only if it contains no held-out problem, no step that is false as far as the
domain can tell, and no text that was posted before. Its utility is measured afterwards, on
readers from whom it was withheld at random. Readers see it as a quotation. A book replaces posts of its own author
only, so that no agent can remove another's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from agents.engine import Request
from arena.library.definitions import PROSE
from arena.rounds.roles import author
from arena.rounds.roles.author import Draft, Episode, Unreadable
from arena.rounds.round import Round
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.store import Row
from culture.kinds import POST_KINDS
from culture.library import Library
from culture.posts import Post
from curricula.domain import SPLITS, Domain, Doubtful

LONGEST_TITLE = 120
"""Characters of the title of a post in free text."""


def is_free_text(post: Post) -> bool:
    return post.about.startswith(PROSE)


def write(state: RunState, models: Models) -> tuple[list[Post], list[Row]]:
    """The generation's posts in free text, and rows of table `refusals` for drafts that are no posts."""
    g, most = state.generation.index, state.config.prompts.posts
    if not most:
        return [], []
    asked, requests = [], []
    for agent in [a for a in state.living if state.config.population.may(state.places[a], "write")]:
        tried = episodes(state, agent)
        if not tried:
            continue
        own = earlier_posts(state.library, agent, state.config.prompts.own_posts)
        asked.append((agent, [r for r, _ in tried], own))
        prompt = author.ask(models.voice, agent, [e for _, e in tried], [f"{p.kind}: {p.title}" for p in own], most)
        c = state.config.rounds
        key = f"{state.seed}/g{g:04d}{agent}/post"
        requests.append(Request(key, prompt, agent, c.max_tokens, c.temperature, c.top_p))
    posts, refusals = dict[str, Post](), list[Row]()
    for (agent, rounds, own), done in zip(asked, models.generate(requests), strict=True):
        for at, draft in enumerate(author.read(done.text)):
            too_many = Unreadable(_title(draft), "one post too many")
            made = post_from_draft(draft, agent, g, rounds, own) if at < most else too_many
            if isinstance(made, Post):
                posts.setdefault(made.id, made)
            else:
                key = hashlib.sha256(f"{g}/{agent}/{at}/{made.text}".encode()).hexdigest()
                title = " ".join(made.text.split())[:LONGEST_TITLE]
                refusals.append({"post": key, "generation": g, "author": agent, "title": title, "reason": made.reason})
    return list(posts.values()), refusals


def episodes(state: RunState, agent: str) -> list[tuple[Round, Episode]]:
    """Some of the problems that an agent tried in this generation: up to half successes (the larger half of an odd
    number), the rest failures."""
    found: dict[bool, list[tuple[Round, Episode]]] = {False: [], True: []}
    most, excerpt = state.config.prompts.episodes, state.config.prompts.excerpt
    for r in state.generation.rounds:
        mine = [(a, v) for a, v in zip(r.attempts, r.verdicts, strict=True) if a.agent == agent]
        if r.problem is None or not mine or r.doubt:
            continue
        attempt, verdict = next(((a, v) for a, v in mine if v.correct), mine[0])
        others = (a.text for a, v in zip(r.attempts, r.verdicts, strict=True) if v.correct)
        better = "" if verdict.correct else next(others, "")
        outcome = "right" if verdict.correct else f"wrong: {verdict.reason}"
        episode = Episode(r.problem.shown[:excerpt], attempt.text[:excerpt], outcome, better[:excerpt])
        found[verdict.correct].append((r, episode))
    rng = state.rng(state.generation.index, agent, "episodes")
    for items in found.values():
        rng.shuffle(items)
    wrong, right = found[False], found[True]
    few = min((most + 1) // 2, len(right))
    chosen = wrong[: most - few]
    return chosen + right[: most - len(chosen)]


def earlier_posts(library: Library, agent: str, most: int) -> list[Post]:
    """The agent's posts in free text that are still in the index, the newest last."""
    sql = (
        "SELECT id FROM posts WHERE author = ? AND about LIKE 'prose/%' AND id NOT IN (SELECT post FROM removals)"
        " ORDER BY seq DESC LIMIT ?"
    )
    ids = [row[0] for row in library.db.conn.execute(sql, (agent, most))]
    return [post for id in reversed(ids) if (post := library.get(id)) is not None]


def post_from_draft(
    draft: Draft | Unreadable, agent: str, g: int, rounds: Sequence[Round], own: Sequence[Post]
) -> Post | Unreadable:
    """The draft as a post, or the reason why it is none."""
    if isinstance(draft, Unreadable):
        return draft
    cites = tuple(dict.fromkeys(own[n - 1].id for n in draft.cites if 0 < n <= len(own)))
    if draft.kind == "book":
        if len(cites) < 2:
            return Unreadable(
                draft.title, "a book puts together two or more of its author's own posts, by their numbers"
            )
        about = next(p.about for p in own if p.id == cites[0])
    elif not 0 < draft.about <= len(rounds):
        return Unreadable(draft.title, f"a {draft.kind} says which of the {len(rounds)} episodes it comes from")
    else:
        round_ = rounds[draft.about - 1]
        about, cites = f"{PROSE}{round_.domain.name}/{round_.id}", ()
    try:
        return Post(draft.kind, agent, g, draft.title, draft.body, cites, about, applies=draft.when)
    except ValueError as error:
        return Unreadable(draft.title, str(error))


def check(state: RunState, post: Post) -> str | None:
    """Why a post in free text is refused, or None."""
    _, domain_name, round_ = [*post.about.split("/", 2), "", ""][:3]
    domain = state.domains.get(domain_name)
    if domain is None:
        return f"speaks of no domain of this run: {post.about[:60]!r}"
    if not POST_KINDS[post.kind].free_text:
        return f"a {post.kind.replace('_', ' ')} cannot be written in prose"
    if len(post.title) > LONGEST_TITLE or "\n" in post.title:
        return f"a title has one line of at most {LONGEST_TITLE} characters"
    shortest, longest = state.config.prompts.shortest_post, state.config.prompts.longest_post
    if not shortest <= len(post.body) <= longest:
        return f"a text has {shortest} to {longest} characters, this one {len(post.body)}"
    return _unfounded(state, post, round_) or _gives_away(domain, post) or _false(domain, post) or _repeats(state, post)


def _unfounded(state: RunState, post: Post, round_: str) -> str | None:
    if post.kind == "book":
        for id in post.cites:
            found = state.library.get(id)
            if found is None or found.author != post.author or not is_free_text(found):
                return f"a book takes the place of its own author's posts in prose only, not of {id}"
        return None if len(post.cites) > 1 else "a book puts together two or more posts"
    sql = "SELECT correct FROM attempts WHERE round = ? AND agent = ?"
    outcomes = {bool(r["correct"]) for r in state.store.query(sql, [round_, post.author])}
    if not outcomes:
        return f"its author did not try the problem it comes from: {round_[:40]!r}"
    needed = POST_KINDS[post.kind].outcome
    if needed is not None and needed not in outcomes:
        return f"a {post.kind} comes from a problem that its author {'solved' if needed else 'failed at'}"
    return None


def _gives_away(domain: Domain, post: Post) -> str | None:
    said = f" {' '.join(f'{post.title} {post.applies} {post.body}'.split())} "
    hidden: Any = domain  # domains are objects, and hashable as such
    return "gives a held-out problem away" if any(text in said for text in _held_out(hidden)) else None


def _false(domain: Domain, post: Post) -> str | None:
    """A step that does not hold, where the domain can tell; a failure may quote one."""
    if post.kind == "failure" or not isinstance(domain, Doubtful) or domain.sound(post.body) is not False:
        return None
    return "has a step that is false, such as 2 + 2 = 5"


@lru_cache(maxsize=16)
def _held_out(domain: Any) -> tuple[str, ...]:
    """Texts and questions of all held-out problems, which no post may contain."""
    texts = (
        text
        for split in SPLITS
        for depth in domain.depths
        for problem in domain.heldout(split, depth)
        for text in (problem.text, problem.shown)
    )
    return tuple(dict.fromkeys(f" {' '.join(text.split())} " for text in texts))


def _repeats(state: RunState, post: Post) -> str | None:
    sql = "SELECT 1 FROM posts WHERE about LIKE 'prose/%' AND kind = ? AND body = ? LIMIT 1"
    told = state.store.query(sql, [post.kind, post.body])
    return "says what another post says already" if told else None


def _title(draft: Draft | Unreadable) -> str:
    return draft.title if isinstance(draft, Draft) else draft.text


def note(post: Post) -> str:
    """A post as readers see it in a chat: kind, author, when it applies, title and body."""
    if post.kind == "definition":
        return post.body  # complete in itself: it was executed
    when = f" (when {post.applies.removeprefix('when ')})" if post.applies else ""
    head = f"{post.kind.replace('_', ' ')} by {post.author}{when}: {post.title}"
    return head if post.body == post.title else f"{head}\n{post.body}"
