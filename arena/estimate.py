"""What a run will take, before it is started: tokens counted from the config, time from a short calibration here.

An estimate: lengths are typical ones of list programs, and speed is measured on a few hundred tokens. A server is not
asked anything: what it serves may cost money, so there only requests and tokens are told.
"""

from __future__ import annotations

import time

import torch

from agents.adapters import Adapters
from agents.engine import Request
from agents.learner import Example, Learner, LearnerConfig
from arena.config import Config
from arena.engines import close, make_engine
from arena.estimate_cost import Whole, requests_of, served, stops
from arena.state import load_base, make_domains, model_folder

PROPOSE_TOKENS, SOLVE_TOKENS, TRAIN_TOKENS = 18, 50, 52  # prompt and completion, typical


def estimate(config: Config) -> list[str]:
    """Lines on tokens, time and memory."""
    domains = make_domains(config)
    r, s, m, agents = config.rounds, config.sleep, config.measure, config.population.agents
    problems = agents * r.per_agent
    proposing = problems * PROPOSE_TOKENS if r.setter in ("self", "frozen") else 0
    solving = problems * (r.solvers * r.attempts + r.grade) * SOLVE_TOKENS
    training = agents * (s.fresh + s.archive + s.lore + s.seed_examples + s.proposals) * TRAIN_TOKENS * s.enabled
    depths = sum(len(d.depths) * (2 if d.name == "hidden_words" else 1) for d in domains.values())
    measuring = depths * agents * m.per_depth * SOLVE_TOKENS
    full = 2 * depths * m.final_per_depth * (1 + m.passes) * SOLVE_TOKENS
    play = (
        f"a generation: {proposing + solving:,.0f} tokens to play, {training:,.0f} to train, "
        f"{measuring:,.0f} to measure"
    )
    tokens, requests = config.generations * (proposing + solving + measuring) + full, requests_of(config, depths)
    if config.engine.kind == "openai":
        return [play, *served(config, domains, requests, tokens)]
    generate_rate, train_rate, size = calibrate(config)
    seconds = (proposing + solving + measuring) / generate_rate + training / train_rate
    total = config.generations * seconds + full / generate_rate
    rows = min(config.engine.max_rows, problems * r.solvers * r.attempts)
    memory = 450e6 + agents * size * 4 * 8 + rows * 256 * 4 * 2 * 128
    return [
        play,
        f"measured here: {generate_rate:,.0f} tokens/s generating, {train_rate:,.0f} training "
        f"({config.engine.threads} threads)",
        f"time: about {seconds:.1f} s a generation, {total / 60:.1f} minutes in all",
        f"memory: about {memory / 1e9:.1f} GB; run folder: about {config.generations * 0.35 + 40:.0f} MB",
        *stops(config.limits, Whole.of(config.limits, requests, tokens, total)),
    ]


def calibrate(config: Config) -> tuple[float, float, int]:
    """Measured tokens/s of generating and of training, and the parameters of one adapter."""
    torch.set_num_threads(config.engine.threads)
    base, tokenizer = load_base(config)
    s = config.sleep
    learner = Learner(base, tokenizer, LearnerConfig(s.rank, s.alpha, batch=s.batch))  # also where nobody sleeps
    names = [f"a{i}" for i in range(config.population.agents)]
    for name in names:
        learner.add(name, learner.layout.fresh(name))
    engine = make_engine(config, base, tokenizer, model_folder(config))
    engine.set_adapters(Adapters(base, learner.layout, names, learner.state["acting"]))
    prompt, answer = "solve rev inc sort | 3 1 4 think", "rev 4 1 3 ; inc 5 2 4 ; sort 2 4 5 answer 2 4 5"
    requests = [Request(f"{i}", prompt, names[i % len(names)], 40) for i in range(config.engine.max_rows)]
    engine.generate(requests[:1])  # some engines start at their first call
    started = time.monotonic()
    tokens = sum(c.prompt_tokens + c.generated_tokens for c in engine.generate(requests))
    generated = tokens / (time.monotonic() - started)
    close(engine)
    learner.sleep([Example(names[0], prompt, answer)], "warm")  # so does the learner: kernels may have to be compiled
    started = time.monotonic()
    reports = learner.sleep([Example(n, prompt, answer) for n in names for _ in range(s.batch)], "calibrate")
    return generated, sum(r.tokens for r in reports) / (time.monotonic() - started), learner.layout.size
