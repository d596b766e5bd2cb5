"""Where the interpreter of the default sandbox can differ from Python, Python's value counts, or there is none."""

import random
from typing import Any

import pytest

from arena.tools.bench.agreement import TOGETHER, Agreement, agree, compare, draw_program
from curricula.domain import Problem, Rejection
from curricula.python_programs import PythonPrograms
from curricula.sandbox import CallResult, Limits
from curricula.sandbox_differences import inspect
from curricula.sandbox_monty import Monty
from curricula.sandboxes import Agreeing, make_sandbox
from curricula.values import same_value

LIMITS = Limits(time=0.5)

# Code on which the interpreter alone gives another value than Python, or none: body of f(x), argument, Python's value.
DIFFERENT: list[tuple[str, Any, Any]] = [
    ("return round(x, 2)", 3.155, 3.15),
    ("return [round(y / 3, 1) for y in x] + [round(-0.695, 2)]", [1], [0.3, -0.69]),
    ("z = zip(x, x)\n    return [list(z), list(z)]", [1], [[(1, 1)], []]),
    ("z = (y for y in x)\n    return [sum(z), sum(z)]", [1, 2], [3, 0]),
    ("z = map(abs, x)\n    return [list(z), list(z)]", [-1], [[1], []]),
    ("z = filter(None, x)\n    return [list(z), list(z)]", [1], [[1], []]),
    ("try:\n        return f'{x:>4}'\n    except TypeError:\n        return 0", [1], 0),
    ("try:\n        return '{:4}'.format(x)\n    except TypeError:\n        return 0", [1], 0),
    ("try:\n        return sorted([2, 1], reverse=x)\n    except TypeError:\n        return 0", [1], 0),
    ("return next((y for y in x if y > 1), 0)", [1, 2], 2),
    ("return any(10 // y > 1 for y in x)", [1, 0], True),
    ("try:\n        return any(10 // y > 1 for y in x)\n    except ZeroDivisionError:\n        return 0", [1, 0], True),
    ("for i, y in enumerate(x):\n        if y > 3:\n            x.pop(0)\n    return x", [4, 8], [8]),
    ("z = x\n    for i, y in enumerate(x):\n        if y > 3:\n            z.pop(0)\n    return x", [4, 8], [8]),
    ("def g(z):\n        z.pop(0)\n    for i, y in enumerate(x):\n        g(x)\n    return x", [4, 8], [8]),
    ("return sum(10 // y for y in x if y) + sum(x.pop() for i, y in enumerate(x))", [1, 2, 4], 23),
    ("for y in map(lambda v: 10 // v, x):\n        return y", [1, 0], 10),
    ("return list(set(x))", "abc", ["c", "a", "b"]),
    ("s = set(x)\n    return ''.join(s)", "abc", "cab"),
    ("return [y for y in {*x}]", "abc", ["c", "a", "b"]),
    ("return str(set(x))", [4, 8], "{8, 4}"),
    ("s, t = set(x), 0\n    for y in s:\n        t = t * 10 + y\n    return t", [9, 8], 89),
    ("return set(x).pop()", [9, 8, 1], 8),
    ("return list({y: 1 for y in x}.keys() & set(x))", "abc", ["c", "a", "b"]),
    ("k = {y: 1 for y in x}.keys()\n    return list(k & k)", "abc", ["c", "a", "b"]),
    ("z = list(x)\n    for i, y in enumerate(z):\n        (lambda q: q.pop())(z)\n    return z", [1, 2, 3, 4], [1, 2]),
    ("r = round\n    return r(x, 2)", 2.675, 2.67),
    ("return [*map(round, [x], [2])] + [round(*[x, 2])]", 2.675, [2.67, 2.67]),
    ("def g():\n        return set(x)\n    return list(g())", "abc", ["c", "a", "b"]),
    ("x += (1, 2)\n    return x", [0], [0, 1, 2]),
    ("try:\n        x += 'ab'\n    except TypeError:\n        pass\n    return x", [0], [0, "a", "b"]),
    ("return set(x).union([1], (2,))", [0], {0, 1, 2}),
    ("return set() in {frozenset(x)}", [0], False),
    ("try:\n        return x.bit_length()\n    except AttributeError:\n        return 0", 8, 4),
    ("def g():\n        yield 1\n    return list(g())", 1, [1]),
    ("return list(map(str.upper, x))", "ab", ["A", "B"]),
    ("return hash(x)", 2.5, 1152921504606846978),
    ("del x[0]\n    return x", [1, 2], [2]),
]  # fmt: skip
# Common code that agrees, and so stays fast.
SAME = [
    "return sorted(set(x))",
    "return len(set(x)) == len(x)",
    "s = set()\n    return [y for y in x if not (y in s or s.add(y))]",
    "return {y % 3 for y in x}",
    "return [a * b for a, b in zip(x, x[1:])]",
    "t = 0\n    for i, y in enumerate(x):\n        t += i * y\n    return t",
    "return ' '.join(str(y) for y in reversed(x))",
    "return all(y > 0 for y in x)",
    "d = {}\n    for i, y in enumerate(x):\n        d.setdefault(y, []).append(i)\n    return d",
    "d = {}\n    for i, y in enumerate(x):\n        if 6 - y in d:\n            return [d[6 - y], i]\n        d[y] = i",
    "return list(map(list, zip(*[x, x])))",
    "return round(sum(x) / 3)",
    "return sum(map(abs, x))",
    "return max(x, key=lambda y: (y % 3, y))",
]


def in_f(body: str) -> str:
    return f"def f(x):\n    {body}"


@pytest.mark.parametrize(("body", "argument", "wanted"), DIFFERENT, ids=range(len(DIFFERENT)))
def test_python_settles_what_can_differ(body: str, argument: Any, wanted: Any) -> None:
    code, calls = in_f(body), [(argument,)]
    (alone,) = make_sandbox("monty_only", LIMITS).call(code, "f", calls)
    assert alone.reason == "unsupported", alone
    (ran,) = make_sandbox("monty", LIMITS).call(code, "f", calls)
    assert ran.ok and same_value(ran.value, wanted), ran


def test_interpreter_differs_on_these() -> None:
    """The table above shows real differences; if a new version of the interpreter has fewer, its entries can go."""
    sandbox = Monty(LIMITS)
    for body, argument, wanted in DIFFERENT:
        (ran,) = sandbox.call(in_f(body), "f", [(argument,)])
        assert not (ran.ok and same_value(ran.value, wanted)), body
    sandbox.close()


@pytest.mark.parametrize(
    "body",
    [
        "try:\n        pass\n    except:\n        return 1\n    except ValueError:\n        return 2\n    return 3",
        "return [[z for y in x if (z := y)] for w in [y for y in x if (v := y)] for u in [w for y in (t := x)]]",
    ],
    ids=["bare except", "assignment in an iterable"],
)
def test_python_decides_on_syntax(body: str) -> None:
    assert make_sandbox("monty", LIMITS).call(in_f(body), "f", [([1],)])[0].reason == "syntax"
    assert make_sandbox("monty_only", LIMITS).call(in_f(body), "f", [([1],)])[0].reason == "unsupported"


@pytest.mark.parametrize("body", SAME, ids=range(len(SAME)))
def test_common_code_stays_fast(body: str) -> None:
    found = inspect(in_f(body))
    (ran,) = make_sandbox("monty_only", LIMITS).call(in_f(body), "f", [([3, 1, 3, 2],)])
    assert ran.ok and not found.always
    assert make_sandbox("subprocess", LIMITS).call(in_f(body), "f", [([3, 1, 3, 2],)])[0] == ran


def test_arguments_decide_by_call() -> None:
    rounded = inspect(in_f("return round(x, 1)"))
    assert not rounded.in_call((12,)) and rounded.in_call(([{"a": 0.25}],)) == "round to decimals"
    other = inspect(in_f("return x"))
    assert not other.in_call((1.5, "a", [None]))
    for value in ({1}, [{1}], "é", {"é": 1}, 2**70):
        assert other.in_call((value,))
    mixed = make_sandbox("monty", LIMITS).call(in_f("return round(x, 2)"), "f", [(1,), (3.155,), (2,), ([],)])
    assert [r.value for r in mixed] == [1, 3.15, 2, None] and mixed[3].reason == "raised"


def test_fixed_clocks_stay_with_the_interpreter() -> None:
    """Code that reads clocks or random numbers is not run where they are not fixed."""
    code = "import random, time\ndef f():\n    return [random.random(), time.time(), list(zip([1]))]"
    first, second = (make_sandbox("monty", LIMITS).call(code, "f", [()]) for _ in range(2))
    assert first == second and first[0].ok


def test_missing_guards_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curricula.sandboxes._shared", {})
    monkeypatch.setattr("curricula.sandbox_subprocess.available", lambda: ("rlimits", "landlock"))
    sandbox = Agreeing(LIMITS)
    ran = sandbox.call(in_f("return round(x, 2)"), "f", [(3.155,), (3,)])
    assert (ran[0].reason, ran[1].value) == ("unsupported", 3)
    assert ran[0].detail.startswith("round to decimals") and "lacks the guards" in ran[0].detail
    assert "seccomp" in ran[0].detail and "landlock" not in ran[0].detail
    sandbox.close()


def test_domain_pays_pythons_answer() -> None:
    text = "deduction\ndef f(x):\n    return round(x, 2)\ninput: 3.155"
    domain = PythonPrograms()
    problem = domain.parse_proposal(text)
    assert isinstance(problem, Problem) and problem.answer == "3.15"
    assert domain.verify(problem, "answer: 3.15").correct and not domain.verify(problem, "answer: 3.16").correct
    refused = PythonPrograms(sandbox="monty_only").parse_proposal(text)
    assert isinstance(refused, Rejection) and refused.reason == "unsupported" and "round" in refused.detail


@pytest.mark.parametrize("text", ["", "def f(:", "x = " + "(" * 300, "\0", "(" * 9999, "f(" * 50 + ")" * 50, "ｆ = 1"])
def test_inspect_is_total(text: str) -> None:
    assert inspect(text) == inspect(text)


# Drawn programs


def drawn(calls: int, seed: str) -> dict[str, Agreement]:
    rng, alone = random.Random(seed), Monty(LIMITS)
    programs = [draw_program(rng) for _ in range(calls // TOGETHER)]
    sandboxes = {"alone": alone, "checked": make_sandbox("monty_only", LIMITS)}
    found = compare(programs, sandboxes, make_sandbox("subprocess", LIMITS))
    alone.close()
    return found


def check_drawn(found: dict[str, Agreement]) -> None:
    alone, checked = found["alone"], found["checked"]
    print(f"calls that differ: {alone.rate:.2%} of the interpreter alone, {checked.rate:.2%} with the check")
    assert alone.rate > 0.02, "the draws do not find the differences that are known"
    assert checked.differ.total() == 0, "\n\n".join(checked.shown[:3])
    assert checked.open.total() < checked.calls.total() / 2, "most calls are refused"


def test_few_drawn_programs_agree() -> None:
    check_drawn(drawn(300, "few"))


@pytest.mark.slow
def test_drawn_programs_agree() -> None:
    check_drawn(drawn(3000, "many"))


def test_agreement_compares_values_and_failures() -> None:
    value, other, raised = CallResult(True, 1), CallResult(True, True), CallResult(False, None, "raised")
    assert agree(value, value) is agree(raised, raised) is True
    assert agree(value, other) is agree(value, raised) is False
    assert agree(value, CallResult(False, None, "unsupported")) is None
