"""A policy of your own in a seat: a scripted solver plays rounds and collects rewards. `python examples/own_policy.py`.

Seats exchange texts. Step 1 is the setter's proposal, then all solvers give one text per attempt (docs/open_seats.md).
"""

import random

from arena import parallel_env
from curricula.list_programs import ListPrograms


class Careless:
    """Solves a share of the problems right, and gives a wrong answer to the others."""

    def __init__(self, skill: float, seed: int) -> None:
        self.skill, self.rng = skill, random.Random(seed)
        self.domain = ListPrograms()

    def __call__(self, observation: str) -> str:
        text = observation.removeprefix("solve ").removesuffix(" think")
        if self.rng.random() < self.skill:
            return self.domain.solution(self.domain.problem(text))
        return "answer 0"


def main(rounds: int = 20) -> dict[str, float]:
    """Total reward by seat: the setter proposes random problems, two careless solvers attempt them twice."""
    env = parallel_env("list_programs", solvers=2, attempts=2, grader=False)
    policies = {"solver_0": Careless(0.9, seed=0), "solver_1": Careless(0.4, seed=1)}
    rng, domain = random.Random(0), ListPrograms()
    totals = dict.fromkeys(["setter", *policies], 0.0)
    for _ in range(rounds):
        observations, _ = env.reset()
        while env.agents:
            actions = {"setter": domain.random_problem(rng, depth=2).text}
            actions |= {
                seat: act(observations[seat]["text"]) for seat, act in policies.items() if observations[seat]["text"]
            }
            observations, rewards, *_ = env.step({seat: actions.get(seat, "") for seat in env.agents})
            for seat, reward in rewards.items():
                totals[seat] += reward
    return totals


if __name__ == "__main__":
    for seat, total in main().items():
        print(f"{seat}: {total:.1f}")
