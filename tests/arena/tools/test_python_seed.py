"""The Python seed's school and recipe: correct examples, no held-out problem, a total tokenizer, determinism.

Left out: how much a model learns, which is measured (docs/measurements.md), not tested.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.checkpoint import BaseModel
from agents.tokenizer import Tokenizer
from arena.tools.seeds.python_seed import SIZES, recipe_of, shuffled_batches, train, write_tokenizer
from curricula.domain import Problem, Rejection
from curricula.list_school import SeedExample
from curricula.python_programs import PythonPrograms
from curricula.python_school import TASKS, pool
from curricula.python_tasks import DEDUCTION
from curricula.python_trace import traced
from curricula.values import same_value

DOMAIN = PythonPrograms()


@pytest.fixture(scope="module")
def examples() -> list[SeedExample]:
    return pool(300, 1)


def test_school_depends_on_the_seed_only(examples: list[SeedExample]):
    assert pool(40, 1) == examples[:40] != pool(40, 2)
    assert {e.task for e in examples} == set(TASKS)


def test_examples_are_correct(examples: list[SeedExample]):
    """None of them is held out."""
    deductions = [e for e in examples if e.task == f"solve {DEDUCTION}"]
    for example in deductions[:60]:
        problem = DOMAIN.problem(example.prompt.removeprefix("solve\n").removesuffix("\n"))
        assert example.prompt == DOMAIN.solve_prompt(problem, ())
        assert DOMAIN.verify(problem, example.completion).correct and not DOMAIN.is_heldout(problem)
    proposals = [DOMAIN.parse_proposal(e.completion) for e in examples if e.task in ("set", "vary")]
    refused = {found.reason for found in proposals if isinstance(found, Rejection)}
    assert refused <= {"trivial"} and sum(isinstance(found, Problem) for found in proposals) > 0.85 * len(proposals)


def test_traces_show_each_step():
    code = "def f(a):\n    b = max(a, 2) + 1\n    for i in range(2):\n        b += i\n"
    code += "    return [x * b for x in [1, 2][::-1]]"
    (ran,) = DOMAIN._run(traced(code), [(3,)])
    steps = ["max(3, 2) = 3", "3 + 1 = 4", "b = 4", "i = 0", "b = 4", "i = 1", "b = 5", "[1, 2][::-1] = [2, 1]"]
    assert ran.value == ([10, 5], [*steps, "[x * b for x in [2, 1]] = [10, 5]"])


def test_traces_keep_values():
    problems = [p for depth in DOMAIN.depths for p in DOMAIN.heldout("dev", depth) if p.text.startswith(DEDUCTION)]
    for problem in problems:
        known = DOMAIN._known(problem.text)
        (ran,) = DOMAIN._run(traced(known.task.code.text), known.task.inputs)
        assert same_value(ran.value[0], known.outputs[0])


def test_tokenizer_keeps_any_text(tmp_path: Path, examples: list[SeedExample]):
    write_tokenizer(tmp_path, examples)
    tokenizer = Tokenizer(tmp_path)
    texts = ["def f(a):\n    return [1, 22]", "ж\t\x00<eos>  \n", *(e.completion for e in examples[:50])]
    assert tokenizer.decode(tokenizer.encode(texts)) == texts
    assert len(tokenizer.encode(["1234"])[0]) == 4


def test_every_example_once_a_pass():
    rows = shuffled_batches([([i], [i]) for i in range(6)], batch=3, seed=0)
    first = sorted(p[0] for step in (0, 1) for p, _ in rows(step))
    assert first == sorted(p[0] for step in (2, 3) for p, _ in rows(step)) == list(range(6))
    assert rows(0) == rows(0)


def test_unknown_size_names_all_sizes():
    with pytest.raises(ValueError, match="size must be one of tiny, small, 25m, 60m"):
        recipe_of("huge", None, 0)
    assert recipe_of("25m", 5, 3).steps == 5 and set(SIZES) == {"tiny", "small", "25m", "60m"}


@pytest.mark.slow
def test_training_is_deterministic(tmp_path: Path):
    torch.set_num_threads(1)
    recipe = replace(recipe_of("tiny", 3, 0), batch=8)
    for name in ("one", "two"):
        assert train(recipe, 24, tmp_path / name, "cpu", lambda _: None) == 24
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    assert BaseModel.load(tmp_path / "one").config.max_position_embeddings == 8192
