"""The ratchet meter: what a frozen newborn does with the library of each generation, beside all that could explain it.

A newborn is the base model without any adapter: the same mind in every generation, so that what it does better with a
later library is the library's doing. The same held-out problems are asked in every generation and under every library,
greedily; what a mind is asked twice in the same words is asked once. Libraries a newborn is given:

none      nothing
first     L_0: as it stood after the first generation in which anything was posted; empty before
own       L_g: all definitions, whoever wrote them
filler    in place of each note of `own` one of the same number of tokens that defines a name nobody asked for, wrongly
shuffled  each definition's body under the name of another
authors   one author's part, see below
stale     as it stood `measure.ratchet.stale` generations ago
wrong     `own`, but the needed definitions say what their names mean in another world, in as many primitives as here

`authors` is the control of shuffled authors: who wrote which definition is permuted among the authors, each keeping as
many as it wrote, and for each problem one author is drawn, whose part is the whole library. What an author built on its
own earlier finds is torn apart by the permutation, so what is left is what as many posts do for a newborn where
knowledge is not pooled. Filler and shuffled bodies say whether any words in the context do as well as the right ones.

Whether what is read is also what is done shows where it is wrong: `follows` says whether the answer is the one that the
definitions shown make of the problem, by running them. It is NULL where not every needed name was shown, and, with
`shuffled` and `wrong`, where the definitions happen to make the right answer, which would tell nothing. With `own` it
is `answer_correct`, but for a definition that passed every check and still differs on this input.

The living are asked the same, one agent a problem in turn, with `none` and `own`: with the newborn's they are the 2 x 2
of text and weights.

Problems without names get notes in chats with `library.by_words`: the posts that match their words best. `first` and
`stale` are such posts of earlier libraries, `filler` is another post of the kind, and `shuffled` the found post with
the body of another: a worked example whose solution belongs to another question. Elsewhere they get none (needs 0), are
asked with `none` and `own` alone, and are the yardstick of what weights learned besides.

A reading is taken where `measure.ratchet.every` divides the generation and it costs, by estimate, at most
`measure.ratchet.share` of the compute units of the generations since the last; otherwise it waits for a later one.

Left out: names that bodies use (a body is read in primitives), how useful posts found by words proved to readers, and
the config's own controls (`library.reading`, `network`, `content`, `withhold`): a newborn is shown what the library
holds and time and fire have left of it, however the living read it. Not guaranteed: the share, which is estimated from
prompts and reference solutions."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from agents.engine import Request
from agents.prompt import Prompt
from arena.library.context import quoted, speaks_of
from arena.library.definitions import StoredDefinition, definitions_in
from arena.library.visibility import visible_generations
from arena.rounds.roles import solver
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.store import Row
from culture.library import Library
from culture.posts import Post
from culture.retrieval import retrieve
from culture.scope import Scope
from curricula import list_programs as lp
from curricula.domain import Domain, Problem, Rejection, digest

LIBRARIES = ("none", "first", "own", "filler", "shuffled", "authors", "stale", "wrong")
"""What a newborn is given to read."""
BOTH = ("none", "own")
"""What the living are given, and everybody where there is nothing to look up."""
FOUND = ("none", "first", "own", "filler", "shuffled", "stale")
"""What a newborn is given to read where posts are found by words."""
FALSE = ("shuffled", "wrong")
"""Libraries whose definitions are not so; where they make the right answer all the same, nothing is said of it."""
TRIES = 16
"""Fillers drawn to find one of the right number of tokens."""
Definitions = Mapping[str, str]
"""Body, such as `w7 = rev inc`, by name."""


@dataclass(frozen=True)
class Cell:
    """One problem for one mind with one library; `adapter` None is the base model."""

    mind: str
    library: str
    domain: Domain
    problem: Problem
    depth: int
    adapter: str | None
    prompt: Prompt
    needs: int
    """Whether the library is looked up for it."""
    made: str | None = None
    """The answer that the definitions shown make of the problem, where there is something to say of it."""


def reading_due(state: RunState, models: Models) -> bool:
    """Whether the current generation takes a reading; depends on the config and on what is stored alone."""
    config, g = state.config.measure.ratchet, state.generation.index
    if not config.every or g % config.every:
        return False
    return cost(cells(state, models), models.engine.count_tokens) <= config.share * played(state)


def played(state: RunState) -> float:
    """Compute units of the generations since the last reading, the current one included."""
    sql = (
        "SELECT SUM(prompt_tokens + generated_tokens + 3 * trained_tokens) AS units FROM phases WHERE counted"
        " AND generation > (SELECT COALESCE(MAX(generation), 0) FROM ratchet WHERE generation < ? AND mind = 'newborn')"
        " AND generation <= ?"
    )
    return float(state.store.query(sql, [state.generation.index] * 2)[0]["units"] or 0)


def cost(asked: Sequence[Cell], count: Callable[[str], int]) -> int:
    """About so many tokens a reading takes: each prompt once, and the reference solution in place of what comes."""
    return sum(count(str(c.prompt)) + count(c.domain.solution(c.problem)) for c in {key(c): c for c in asked}.values())


def ratchet(state: RunState, models: Models) -> list[Row]:
    """A reading: rows of table `ratchet`, one a problem, mind and library."""
    g, c = state.generation.index, state.config.rounds
    asked = cells(state, models)
    once = {key(cell): i for i, cell in enumerate(asked)}  # by whom in which words, once
    requests = [
        Request(f"{state.config.seed}/{g}/ratchet/{i}", prompt, adapter, c.max_tokens, 0.0)
        for (adapter, prompt), i in once.items()
    ]
    texts = {k: done.text for k, done in zip(once, models.generate(requests), strict=True)}
    rows = []
    for i, cell in enumerate(asked):
        verdict = cell.domain.verify(cell.problem, solver.read(models.voice, texts[key(cell)]))
        rows.append(
            {
                "id": f"g{g:04d}/{cell.mind}/{cell.library}/{i:05d}{state.mark}",
                "generation": g,
                "mind": cell.mind,
                "library": cell.library,
                "domain": cell.problem.domain,
                "depth": cell.depth,
                "needs": cell.needs,
                "problem": cell.problem.text,
                "correct": int(verdict.correct),
                "answer_correct": int(verdict.answer_correct),
                "follows": None if cell.made is None else int(verdict.answer == cell.made),
            }
        )
    return rows


def key(cell: Cell) -> tuple[str | None, Prompt]:
    return cell.adapter, cell.prompt


def cells(state: RunState, models: Models) -> list[Cell]:
    """All that a reading asks."""
    by_words = state.config.library.by_words and models.voice.chat
    shelf, found = Libraries(state, models.engine.count_tokens, by_words), list[Cell]()
    config = state.config.measure
    for domain in state.domains.values():
        for depth in config.depths_of(domain):
            for problem in spread(domain.heldout(config.split, depth), config.ratchet.per_depth):
                living = state.main_agents
                agent = living[len(found) % len(living)] if models.learner else None
                libraries = LIBRARIES if problem.names else FOUND if shelf.by_words else BOTH
                asked = [("newborn", None, a) for a in libraries]
                for mind, adapter, library in [*asked, *(("living", agent, a) for a in BOTH)]:
                    notes = shelf.notes(problem, library)
                    prompt = solver.ask(models.voice, domain, adapter or mind, problem, notes)
                    made = answer_by(problem, notes)
                    if library in FALSE and made == problem.answer:
                        made = None
                    needs = int(libraries is not BOTH)
                    found.append(Cell(mind, library, domain, problem, depth, adapter, prompt, needs, made))
    return found


def answer_by(problem: Problem, notes: Sequence[str]) -> str | None:
    """What a problem with names comes to by the definitions in `notes`, such as `w7 = rev inc`: digits with spaces.

    None for a problem without names, one with a name that no note defines, and bodies that are not all primitives.
    """
    parts = lp.split_problem(problem.text)
    if isinstance(parts, Rejection) or not problem.names:
        return None
    shown = {name: body.split() for name, _, body in (note.partition(" = ") for note in notes)}
    if not set(problem.names) <= set(shown):
        return None
    program = [p for word in parts[0] for p in (shown[word] if word in problem.names else [word])]
    return lp.show(lp.last(program, parts[1])) if set(program) <= set(lp.NAMES) else None


def spread(problems: Sequence[Problem], n: int) -> list[Problem]:
    """The first `n` problems, dealt by the names they use: every name's first comes before any name's second."""
    nth: dict[tuple[str, ...], int] = {}
    order = []
    for at, p in enumerate(problems):
        nth[p.names] = nth.get(p.names, -1) + 1
        order.append((nth[p.names] if p.names else at, at))
    return [problems[at] for _, at in sorted(order)[:n]]


class Libraries:
    """The libraries of one reading. `by_words`: posts are found by the words of problems without names."""

    def __init__(self, state: RunState, count_tokens: Callable[[str], int], by_words: bool) -> None:
        self.state, self.count_tokens, self.config = state, count_tokens, state.config.library
        self.by_words = by_words
        g, stale = state.generation.index, state.config.measure.ratchet.stale
        first = state.store.query("SELECT MIN(generation) AS g FROM posts")[0]["g"]
        self.generations = {"first": 0 if first is None else first, "own": g, "stale": g - stale}
        self.matches: dict[tuple[str, int], list[Post]] = {}
        dated = {library: definitions(state, at) for library, at in self.generations.items()}
        own = dated["own"]
        self.held: dict[str, Definitions] = {
            "none": {},
            **{library: bodies(held) for library, held in dated.items()},
            "shuffled": shuffled_bodies(bodies(own), str(state.config.seed)),
        }
        self.parts = parts(own, state.rng(g, "ratchet", "authors"))

    def notes(self, problem: Problem, library: str) -> tuple[str, ...]:
        """What a reader of `problem` is shown, as a reader at work is: needed definitions and distractors, shuffled.

        Which distractors, and in which order, depends on problem and name alone: libraries that hold the same show
        the same, and one that grew differs where what is new is shown.
        """
        if not problem.names:
            return self._found(problem, library) if self.by_words else ()
        if library == "filler":
            return self._filler(problem)
        if library == "wrong":
            return self._wrong(problem)
        held = self.held.get(library) if library != "authors" else self._part(problem)
        assert held is not None, library
        if not self.config.limit:
            return ()
        count, left, shown = self.count_tokens, self.config.budget, list[str]()
        for name in problem.names:
            if name in held and len(shown) < self.config.limit and (size := count(held[name])) <= left:
                shown.append(name)
                left -= size
        others = [n for n in self._ordered(problem, held) if n not in problem.names][: self.config.distractors]
        shown += [n for n in others if count(held[n]) <= left // len(others)]
        return tuple(held[n] for n in self._ordered(problem, shown, "place"))

    def _found(self, problem: Problem, library: str) -> tuple[str, ...]:
        """The posts whose words match the problem's best, or their controls, as they are quoted in a chat."""
        if library == "none":
            return ()
        g, render = self.generations.get(library, self.generations["own"]), partial(quoted, self.state)
        there = posts(self.state, g)
        if (problem.text, g) not in self.matches:
            found = retrieve(
                there,
                names=(),
                words=problem.shown,
                budget=self.config.budget,
                limit=self.config.limit,
                count_tokens=self.count_tokens,
                rng=self.state.rng("ratchet", "words", problem.text),
                render=render,
                accept=lambda post: speaks_of(post) == problem.domain,
            )
            self.matches[problem.text, g] = [f.post for f in found]
        shown = self.matches[problem.text, g]
        if library in ("filler", "shuffled"):
            others = [(p, self._other(there, p, shown, render)) for p in shown]
            shown = [o if library == "filler" else replace(p, body=o.body) for p, o in others if o is not None]
        return tuple(map(render, shown))

    def _other(self, there: Library, post: Post, shown: list[Post], render: Callable[[Post], str]) -> Post | None:
        """A post of the same kind and domain that is not shown, of about as many tokens."""
        free = [p for p in there.iterate(post.kind) if speaks_of(p) == speaks_of(post) and p not in shown]
        rng, size = self.state.rng("ratchet", "other", post.id), self.count_tokens(render(post))
        drawn = rng.sample(free, min(len(free), TRIES))
        return min(drawn, key=lambda p: abs(self.count_tokens(render(p)) - size), default=None)

    def _ordered(self, problem: Problem, names: Sequence[str] | Definitions, why: str = "pick") -> list[str]:
        return sorted(names, key=lambda name: digest(f"{self.state.config.seed}/{why}/{problem.text}/{name}"))

    def _part(self, problem: Problem) -> Definitions:
        """The library of one author, drawn for this problem."""
        g = self.state.generation.index
        return self.state.rng(g, "ratchet", "author", problem.text).choice(self.parts) if self.parts else {}

    def _wrong(self, problem: Problem) -> tuple[str, ...]:
        """The notes of `own` in their order, those of needed names with the body of another world."""
        own, words = self.notes(problem, "own"), self.state.words_domain()
        if not own:
            return ()
        assert words is not None, "names without a world"
        named = [(note.partition(" = ")[0], note) for note in own]
        return tuple(words.definition(n, words.wrong_body(n)) if n in problem.names else note for n, note in named)

    def _filler(self, problem: Problem) -> tuple[str, ...]:
        """A note for each of `own`, of as many tokens: a random body for a name that neither problem nor notes hold.

        Names that the world does not issue come first, then names nobody has defined, then any.
        """
        own, words = self.notes(problem, "own"), self.state.words_domain()
        if not own:
            return ()
        assert words is not None, "names without a world"
        held, said = self.held["own"], {*problem.names, *(note.partition(" = ")[0] for note in own)}
        count, found = self.count_tokens, list[str]()
        for note in own:
            rng = self.state.rng("ratchet", "filler", problem.text, note)
            free = [w for w in words.issued if w not in said]
            free = [w for w in free if w not in words.words] or [w for w in free if w not in held] or free
            n, drawn = len(note.split()) - 2, list[str]()
            for _ in range(TRIES):
                drawn.append(words.definition(rng.choice(free), lp.random_program(rng, n)))
                if count(drawn[-1]) == count(note):
                    break
            found.append(min(drawn, key=lambda text: abs(count(text) - count(note))))
            said.add(found[-1].partition(" = ")[0])
        return tuple(found)


def definitions(state: RunState, generation: int) -> dict[str, StoredDefinition]:
    """What there was to read after a generation, by name: without what had burned, worn off or left the index by
    then."""
    return definitions_in(posts(state, generation))


def posts(state: RunState, generation: int) -> Library:
    """The library as it stood after a generation, without what had burned or worn off by then."""
    left = visible_generations(state.config.library, generation)
    return state.library.as_of(generation).within(Scope(generations=left, now=generation))


def bodies(held: Mapping[str, StoredDefinition]) -> dict[str, str]:
    return {name: f"{name} = {' '.join(h.body)}" for name, h in held.items()}


def shuffled_bodies(held: Definitions, seed: str) -> dict[str, str]:
    """Every name with the body of another, the next one by length, so that lengths stay where they can.

    Empty with fewer than two definitions, of which none could be another's.
    """
    if len(held) < 2:
        return {}
    order = sorted(held, key=lambda n: (len(held[n].split()), digest(f"{seed}/shuffled/{n}")))
    found = {}
    for name, other in zip(order, [*order[1:], order[0]], strict=True):
        found[name] = f"{name} = {held[other].partition(' = ')[2]}"
    return found


def parts(held: Mapping[str, StoredDefinition], rng: random.Random) -> list[dict[str, str]]:
    """The authors' parts of a library once who wrote what is permuted: as many definitions each as it wrote."""
    authors = [h.author for h in held.values()]
    rng.shuffle(authors)
    found: dict[str, dict[str, str]] = {a: {} for a in sorted(set(authors))}
    for author, (name, text) in zip(authors, bodies(held).items(), strict=True):
        found[author][name] = text
    return list(found.values())
