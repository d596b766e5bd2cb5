"""Estimates of a run before it starts: tokens from the config, time from a short calibration on this machine.

Lengths in the bare notation are typical ones of list programs; speed is measured on a few thousand tokens. Chat prompts
are worded and counted as the model will see them, without library posts. Replies are assumed to be as long as reference
solutions where agents begin from an adapter that has learned the form, otherwise of maximum length. A remote engine
gets no request, because requests may cost money: only requests and tokens are estimated for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from agents.adapters import Adapters
from agents.checkpoint import BaseModel
from agents.engine import Request
from agents.learner import Example, Learner, LearnerConfig
from agents.prompt import Prompt
from agents.tokenizer import Tokenizer
from arena.config.limits import TokenPrices
from arena.config.population import MAIN
from arena.config.schema import Config
from arena.run.engines import close, make_engine
from arena.run.estimate_cost import PROMPT_SHARE, Whole, part_of, served, spoken, stops
from arena.run.estimate_memory import Work, memory, words
from arena.run.estimate_size import LEARNABLE, size_line
from arena.run.foresight import ratchet_line, unknown_words
from arena.run.state import load_base, make_domains, model_folder
from curricula.domain import Domain, Named

SOUND, MIXED, PAID, CORRECTED = 0.35, 0.5, 0.4, 0.1
"""Shares, measured in runs of the shipped configs: problems whose reference solution is trained on, attempts at
problems that did not all come out alike, proposals that are paid, rewritten attempts that are right."""
BARE_PAIR = ("solve rev inc sort | 3 1 4 think", "rev 4 1 3 ; inc 5 2 4 ; sort 2 4 5 answer 2 4 5")
WRITTEN = 40
"""Maximum number of tokens of a completion when speed is measured."""
LEAST_WRITTEN = 4
ROWS = 16
"""Rows for each thread that a large model generates at least: with fewer, a step takes as long for fewer tokens."""
LEARNED = 2
"""Examples for each thread that a large model learns at least."""
OPERATIONS = 1e11
"""Operations of generating, and of learning, when the speed of a large model is measured, beyond which work is reduced
to `ROWS`, `LEAST_WRITTEN` and `LEARNED`."""


@dataclass(frozen=True)
class Lengths:
    """Typical numbers of tokens of prompt and completion together, and the completion's share of them. `pairs` are
    examples to measure speed with."""

    propose: float = 18
    solve: float = 50
    train: float = 52
    written: float = 1 - PROMPT_SHARE
    row: float = 256  # the longest sequences that are generated at a time
    pairs: tuple[tuple[Prompt, str], ...] = (BARE_PAIR,)


def estimate(config: Config) -> list[str]:
    """Lines on tokens, time, memory and disk. Raises ValueError or OSError if the model or a domain is not there."""
    domains, remote = make_domains(config), config.engine.spec.remote
    loaded = None if remote else load_base(config)
    long = worded(config, domains, loaded[1]) if loaded and config.prompts.style == "chat" else Lengths()
    r, s, population = config.rounds, config.sleep, config.population
    agents = population.agents - sum(len(one.places) for one in population.others.values())
    depths = sum(len(config.measure.depths_of(d)) * (2 if isinstance(d, Named) else 1) for d in domains.values())
    part = part_of(config, depths)
    proposing = part.set * long.propose
    solving = (part.solve + part.grade) * long.solve
    solving += agents * s.review * s.review_tries * long.solve * s.enabled
    training = agents * examples_of(config) * long.train * s.enabled
    measuring, full = part.measure * long.solve, part.whole * long.solve
    play = (
        f"a generation: {proposing + solving:,.0f} tokens to play, {training:,.0f} to train, "
        f"{measuring:,.0f} to measure"
    )
    tokens, requests = config.generations * (proposing + solving + measuring) + full, part.in_all(config.generations)
    lines, others = other_models(config, domains, depths, long)
    if loaded is None:
        asked, whole = served(config, domains, requests, tokens)
        return [play, *asked, *lines, *stops(config.limits, sum(others, whole)), size_line(config, domains, 0)]
    prices = config.model_prices.get(MAIN, TokenPrices()) if population.others else config.limits.prices
    speed, size = calibrate(config, *loaded, long.pairs)
    seconds = speed.generating(proposing + solving + measuring, long) + training / speed.train
    total = config.generations * seconds + speed.generating(full, long)
    rows, base = min(config.engine.max_rows, round(part.solve)), loaded[0]
    if config.prompts.style == "chat":
        prompt = long.solve * (1 - long.written)
        play += f"; prompts of {prompt:,.0f} tokens, replies of {long.solve - prompt:,.0f} (at most {r.max_tokens})"
    prompts = min(rows, part.solve / r.attempts) * long.row  # attempts at one problem share its prompt
    work = Work(agents, size, s.rank, rows, long.row, prompts, s.enabled, s.tokens, min(config.engine.threads, agents))
    return [
        play,
        f"measured here: {speed.read:,.0f} tokens/s reading, {speed.write:,.0f} writing, {speed.train:,.0f} training "
        f"({config.engine.threads} threads)",
        f"time: about {seconds:.1f} s a generation, {total / 60:.1f} minutes in all",
        words(memory(base.config, base.dtype, base.device, work)),
        *lines,
        size_line(config, domains, size),
        *filter(None, [ratchet_line(config, domains, long.solve, proposing + solving + 3 * training)]),
        *(f"warning: {line}" for line in unknown_words(config, domains, loaded[1])),
        *stops(config.limits, sum(others, Whole.of(prices, requests, tokens, total))),
    ]


def examples_of(config: Config) -> float:
    """Examples that an agent is trained on in a generation: what is configured, or what there is."""
    r, s = config.rounds, config.sleep
    own = r.per_agent * r.solvers * r.attempts
    problems = r.per_agent * config.population.agents
    learnable = LEARNABLE * problems
    return (
        min(s.fresh, learnable)
        + min(s.archive, learnable * config.generations / 2)
        + min(s.references, SOUND * problems)
        + min(s.attempts, MIXED * own)
        + min(s.review * CORRECTED, own)
        + min(s.grades, r.per_agent * r.grade)
        + min(s.proposals, PAID * r.per_agent)
        + s.lore
        + s.seed_examples
    )


def other_models(
    config: Config, domains: Mapping[str, Domain], depths: int, long: Lengths
) -> tuple[list[str], list[Whole]]:
    """Lines on the other models of a mixed population, and their totals."""
    lines, wholes = list[str](), list[Whole]()
    for name in config.population.others:
        part, own = part_of(config, depths, name), config.of_model(name)
        requests = part.in_all(config.generations)
        tokens = config.generations * (part.set * long.propose + (part.solve + part.grade) * long.solve)
        if own.engine.spec.section == "openai":
            said, whole = served(config, domains, requests, tokens, name)
        else:
            what = own.model.path or own.engine.kind
            said = [f"{name} ({what}): about {tokens:,.0f} tokens in all; its time and memory come on top"]
            whole = Whole(requests, tokens, None)
        lines += said
        wholes.append(replace(whole, seconds=0.0))
    return lines, wholes


def worded(config: Config, domains: Mapping[str, Domain], tokenizer: Tokenizer) -> Lengths:
    """Lengths with chat prompts: prompts as they will be worded, replies as said above, examples as trained on.

    Raises ValueError if the model has no chat template.
    """
    propose = solve = train = row = written = 0.0
    most, schooled = config.rounds.max_tokens, bool(config.model.adapter)
    pairs = list[tuple[Prompt, str]]()
    for each in spoken(config, domains):
        mean = list[float]()
        for some in (each.setting, each.solving):
            prompts = tokenizer.encode_prompts([p for p, _ in some])
            learned = tokenizer.encode_completions([p for p, _ in some], [c for _, c in some])
            row = max(row, *map(len, prompts))
            mean += [sum(map(len, ids)) / max(1, len(some)) for ids in (prompts, learned)]
        replies = [min(most, mean[1]), min(most, mean[3])] if schooled else [most, most]
        propose += each.share * (mean[0] + replies[0])
        solve += each.share * (mean[2] + replies[1])
        written += each.share * replies[1]
        train += each.share * (mean[2] + mean[3])
        pairs += each.solving
    return Lengths(propose, solve, train, written / solve, row + most, tuple(pairs))


@dataclass(frozen=True)
class Speed:
    """Tokens per second of prompts, of replies and of training."""

    read: float
    write: float
    train: float

    def generating(self, tokens: float, long: Lengths) -> float:
        """Seconds for a number of tokens, of which the usual share is written."""
        return tokens * (1 - long.written) / self.read + tokens * long.written / self.write


def calibrate(
    config: Config, base: BaseModel, tokenizer: Tokenizer, pairs: Sequence[tuple[Prompt, str]]
) -> tuple[Speed, int]:
    """Measured speeds, and the number of parameters of one adapter.

    A large model generates and learns a few texts only, so that each takes a second or two.
    """
    torch.set_num_threads(config.engine.threads)
    s = config.sleep
    learner = Learner(base, tokenizer, LearnerConfig(s.rank, s.alpha, batch=s.batch))  # also if nothing is trained
    names = [f"a{i}" for i in range(config.population.agents)]
    for name in names:
        learner.add(name, learner.layout.fresh(name))
    engine = make_engine(config, base, tokenizer, model_folder(config))
    engine.set_adapters(Adapters(base, learner.layout, names, learner.state["acting"]))
    counts = [len(ids) for ids in tokenizer.encode_prompts([prompt for prompt, _ in pairs])]
    mean, threads = sum(counts) / len(counts), config.engine.threads
    most = OPERATIONS / 2 / base.config.linear_parameters  # tokens
    rows = max(1, min(config.engine.max_rows, max(ROWS * threads, int(most / (mean + WRITTEN)))))
    written = max(LEAST_WRITTEN, min(WRITTEN, int(most / rows)))

    def seconds(work: Sequence[Request]) -> float:
        started = time.monotonic()
        engine.generate(work)
        return time.monotonic() - started

    # attempts at one problem share its prompt, so the first call reads each prompt once
    reading = [Request(f"{i}", prompt, names[i % len(names)], 1) for i, (prompt, _) in enumerate(pairs[:rows])]
    writing = [replace(reading[i % len(reading)], key=f"{i}", max_tokens=written) for i in range(rows)]
    seconds([reading[0]])  # some engines start at their first call
    read = seconds(reading)
    write = max(seconds(writing) - read, 1e-9)
    close(engine)
    # the learner starts at its first call too: kernels may have to be compiled
    shortest = min(range(len(pairs)), key=counts.__getitem__)
    learner.sleep([Example(names[0], *pairs[shortest])], "warm")
    started = time.monotonic()
    taught = names if most > mean * s.batch * len(names) else names[:threads]
    each = min(s.batch, max(LEARNED, int(most / mean / len(taught))))
    reports = learner.sleep([Example(n, *pairs[i % len(pairs)]) for n in taught for i in range(each)], "calibrate")
    train = sum(r.tokens for r in reports) / (time.monotonic() - started)
    tokens = sum(counts[: len(reading)])
    return Speed(tokens / read, rows * (written - 1) / write, train), learner.layout.size
