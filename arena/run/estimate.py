"""Estimates of a run before it starts: tokens from the config, time from a short calibration on this machine.

Lengths in the bare notation are typical ones of list programs; speed is measured on a few hundred tokens. Chat prompts
are worded and counted as the model will see them, without library posts, and replies are assumed to have their maximum
length. A remote engine gets no request, because requests may cost money: only requests and tokens are estimated for it.
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
from arena.run.estimate_cost import Whole, part_of, served, spoken, stops
from arena.run.estimate_memory import Work, memory, words
from arena.run.estimate_size import size_line
from arena.run.foresight import ratchet_line, unknown_words
from arena.run.state import load_base, make_domains, model_folder
from curricula.domain import Domain, Named

BARE_PAIR = ("solve rev inc sort | 3 1 4 think", "rev 4 1 3 ; inc 5 2 4 ; sort 2 4 5 answer 2 4 5")
WRITTEN = 40  # tokens of a completion when speed is measured
OPERATIONS = 1e11  # of generating, and of learning, when the speed of a large model is measured


@dataclass(frozen=True)
class Lengths:
    """Typical numbers of tokens of prompt and completion together. `pairs` are examples to measure speed with."""

    propose: float = 18
    solve: float = 50
    train: float = 52
    row: float = 256  # the longest sequences that are generated at a time
    pairs: tuple[tuple[Prompt, str], ...] = (BARE_PAIR,)


def estimate(config: Config) -> list[str]:
    """Lines on tokens, time, memory and disk. Raises ValueError or OSError if the model or a domain is not there."""
    domains, remote = make_domains(config), config.engine.spec.remote
    loaded = None if remote else load_base(config)
    long = worded(config, domains, loaded[1]) if loaded and config.prompts.style == "chat" else Lengths()
    r, s, population = config.rounds, config.sleep, config.population
    agents = population.agents - sum(len(one.places) for one in population.others.values())
    depths = sum(len(config.measure.depths_of(d.depths)) * (2 if isinstance(d, Named) else 1) for d in domains.values())
    part = part_of(config, depths)
    proposing = part.set * long.propose
    solving = (part.solve + part.grade) * long.solve
    training = (
        agents * (s.fresh + s.archive + s.lore + s.references + s.seed_examples + s.proposals) * long.train * s.enabled
    )
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
    generate_rate, train_rate, size = calibrate(config, *loaded, long.pairs)
    seconds = (proposing + solving + measuring) / generate_rate + training / train_rate
    total = config.generations * seconds + full / generate_rate
    rows, base = min(config.engine.max_rows, round(part.solve)), loaded[0]
    if config.prompts.style == "chat":
        play += f"; chats of {long.solve - r.max_tokens:,.0f} tokens, replies of at most {r.max_tokens}"
    prompts = min(rows, part.solve / r.attempts) * long.row  # attempts at one problem share its prompt
    work = Work(agents, size, s.rank, rows, long.row, prompts, s.enabled, s.tokens, min(config.engine.threads, agents))
    return [
        play,
        f"measured here: {generate_rate:,.0f} tokens/s generating, {train_rate:,.0f} training "
        f"({config.engine.threads} threads)",
        f"time: about {seconds:.1f} s a generation, {total / 60:.1f} minutes in all",
        words(memory(base.config, base.dtype, base.device, work)),
        *lines,
        size_line(config, domains, size),
        *filter(None, [ratchet_line(config, domains, long.solve, proposing + solving + 3 * training)]),
        *(f"warning: {line}" for line in unknown_words(config, domains, loaded[1])),
        *stops(config.limits, sum(others, Whole.of(prices, requests, tokens, total))),
    ]


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
    """Lengths with chat prompts: prompts as they will be worded, replies of maximum length, examples as trained on.

    Raises ValueError if the model has no chat template.
    """
    propose = solve = train = row = 0.0
    pairs = list[tuple[Prompt, str]]()
    for each in spoken(config, domains):
        mean = list[float]()
        for some in (each.setting, each.solving):
            prompts = tokenizer.encode_prompts([p for p, _ in some])
            learned = tokenizer.encode_completions([p for p, _ in some], [c for _, c in some])
            row = max(row, *map(len, prompts))
            mean += [sum(map(len, ids)) / max(1, len(some)) for ids in (prompts, learned)]
        propose += each.share * (mean[0] + config.rounds.max_tokens)
        solve += each.share * (mean[2] + config.rounds.max_tokens)
        train += each.share * (mean[2] + mean[3])
        pairs += each.solving
    return Lengths(propose, solve, train, row + config.rounds.max_tokens, tuple(pairs))


def calibrate(
    config: Config, base: BaseModel, tokenizer: Tokenizer, pairs: Sequence[tuple[Prompt, str]]
) -> tuple[float, float, int]:
    """Tokens per second of generation and of training, measured, and the number of parameters of one adapter.

    A large model generates and learns a few texts only, so that both take a few seconds.
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
    most = OPERATIONS / 2 / base.config.linear_parameters / (sum(counts) / len(counts) + WRITTEN)
    requests = [
        Request(f"{i}", pairs[i % len(pairs)][0], names[i % len(names)], WRITTEN)
        for i in range(max(1, min(config.engine.max_rows, int(most))))
    ]
    engine.generate([replace(requests[0], max_tokens=1)])  # some engines start at their first call
    started = time.monotonic()
    tokens = sum(c.prompt_tokens + c.generated_tokens for c in engine.generate(requests))
    generated = tokens / (time.monotonic() - started)
    close(engine)
    # the learner starts at its first call too: kernels may have to be compiled
    learner.sleep([Example(names[0], *pairs[0])], "warm")
    started = time.monotonic()
    examples = [Example(n, *pairs[i % len(pairs)]) for i in range(s.batch) for n in names]
    reports = learner.sleep(examples[: max(1, int(most))], "calibrate")
    return generated, sum(r.tokens for r in reports) / (time.monotonic() - started), learner.layout.size
