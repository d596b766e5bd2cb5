"""Guesses at hidden names, part of the phase `propose`: what each agent knows, what it guesses, and whether the guess
is right."""

from __future__ import annotations

from typing import Any

from agents.engine import Completion, Request
from arena.library.definitions import Body, DefinitionIndex
from arena.library.recall import knowledge_row, known_bodies, recall
from arena.rounds.roles import guesser
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.store import Row
from curricula.domain import Guess, Rejection
from curricula.scripted_guessers import program_guess, search_guess


class Guessing:
    """The guesses of one generation: plan, requests and records."""

    def __init__(self, state: RunState, models: Models) -> None:
        self.state, self.voice, self.words = state, models.voice, state.words_domain()
        self.planned: list[tuple[str, str, Guess]] = []  # (id, agent, guess)
        self.known: dict[str, dict[str, Body]] = {}
        self.knowledge: list[Row] = []
        if self.words is None:
            return
        index = DefinitionIndex(state)
        recalled = recall(state, models, index)
        for agent in state.living:
            shelf, said = index.shown(agent), recalled.get(agent, {})
            known = self.known[agent] = known_bodies(shelf, said)
            self.knowledge.append(knowledge_row(state, agent, len(shelf), said, known))
            reachable = self.words.reachable(list(known))
            guesses = reachable and state.config.population.may(state.places[agent], "guess")
            for number in range(state.config.rounds.guesses if guesses else 0):
                id_ = f"g{state.generation.index:04d}{agent}q{number:03d}"
                rng = state.rng(state.generation.index, id_)
                self.planned.append((id_, agent, self.words.guess(rng.choice(reachable), known, rng)))

    def requests(self) -> list[Request]:
        """Engine requests; empty if a program guesses (`rounds.guesser`)."""
        rounds, voice, words = self.state.config.rounds, self.voice, self.words
        if rounds.guesser != "self" or words is None:
            return []
        seed = self.state.seed
        return [
            Request(
                f"{seed}/{id_}/guess",
                guesser.ask(voice, agent, guess),
                agent,
                rounds.max_tokens if voice.chat else rounds.guess_tokens,
                rounds.set_temperature,
                rounds.top_p,
            )
            for id_, agent, guess in self.planned
        ]

    def rows(self, done: list[Completion]) -> list[Row]:
        """Rows of table `guesses`. `done` are the completions of `requests`; empty if a program guesses."""
        rows = []
        for at, (id_, agent, guess) in enumerate(self.planned):
            assert self.words is not None
            text = done[at].text if done else self._by_program(id_, agent, guess)
            checked = self.words.check_guess(guess.name, guesser.read(self.voice, text))
            wrong = isinstance(checked, Rejection)
            rows.append(
                {
                    "id": id_,
                    "generation": self.state.generation.index,
                    "agent": agent,
                    "name": guess.name,
                    "prompt": guess.prompt,
                    "text": text,
                    "correct": int(not wrong),
                    "reason": checked.reason if isinstance(checked, Rejection) else "ok",
                }
            )
        return rows

    def _by_program(self, id_: str, agent: str, guess: Guess) -> str:
        rng: Any = self.state.rng(self.state.generation.index, id_, "program")
        if self.state.config.rounds.guesser == "search":
            return search_guess(guess, self.known[agent], rng)
        return program_guess(guess, None, self.known[agent], rng)
