"""What can be said of a run before it is played: domains in words that the model does not know, and a ratchet meter
whose readings cost more than their share.

Left out: whether a model that knows the words can use them. Not guaranteed: the cost of a reading, which is estimated
from typical lengths and all its questions.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.tokenizer import Tokenizer
from arena.config.schema import Config
from curricula.domain import Domain, Named

SAMPLE = 8
"""Held-out problems of each depth whose words are looked up."""
NAMED = 3
"""Unknown words that a warning names."""
MINDS_AND_LIBRARIES = 10
"""Questions of a reading for each problem with names: eight libraries for a newborn, two for the living."""


def unknown_words(config: Config, domains: Mapping[str, Domain], tokenizer: Tokenizer) -> list[str]:
    """A line for each domain with words that the model reads as its unknown token. Chat prompts are not looked at."""
    found = []
    for (name, domain), section in zip(domains.items(), config.domains.values(), strict=True):
        if config.prompts.style == "chat" or not section.share:
            continue
        problems = [p for depth in domain.depths for p in domain.heldout("dev", depth)[:SAMPLE]]
        texts = [domain.propose_prompt(p.text) for p in problems[:1]]
        texts += [domain.solve_prompt(p, ()) for p in problems]
        texts += [domain.solution(p) for p in problems]
        words = dict.fromkeys(word for text in texts for word in text.split())
        lost = [word for word in words if tokenizer.lacks(word)]
        if lost:
            shown = ", ".join(map(repr, lost[:NAMED]))
            found.append(
                f"domain {name}: the model does not know {len(lost)} of the {len(words)} words of its prompts and "
                f"solutions, such as {shown}: it reads them as one unknown token, and proposals and answers in them "
                "cannot be right"
            )
    return found


def ratchet_line(config: Config, domains: Mapping[str, Domain], solve: float, generation: float) -> str:
    """When the ratchet meter takes its first reading, or that it takes none. Empty where it is off.

    Args:
        solve: tokens of one question and its answer.
        generation: compute units of one generation.
    """
    r = config.measure.ratchet
    if not r.every:
        return ""
    measured = config.measure.depths_of
    asked = sum(len(measured(d)) * (MINDS_AND_LIBRARIES if isinstance(d, Named) else 2) for d in domains.values())
    cost, share = asked * r.per_depth * solve, r.share * generation
    due = [g for g in range(r.every, config.generations + 1, r.every) if share * g >= cost]
    text = (
        f"ratchet: a reading costs about {cost:,.0f} tokens; measure.ratchet.share allows {share:,.0f} a generation: "
    )
    if due:
        return f"{text}the first reading is in about generation {due[0]}"
    return (
        f"{text}NONE is taken in {config.generations} generations; raise the share, or lower measure.ratchet.per_depth"
    )
