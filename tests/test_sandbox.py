"""Code that nobody vouches for: what it may do, and that nothing else happens."""

from typing import Any

from curricula.sandbox import Limits, make_sandbox

LIMITS = Limits(time=0.3)


def test_values_go_in_and_come_out_as_they_are() -> None:
    values: list[Any] = [None, True, 1, -(2**200), 0.5, "ä\n", [1, (2,)], {"a": {1, 2}, 3: []}]
    results = make_sandbox("monty", LIMITS).call("def f(x):\n    return x", "f", [(v,) for v in values])
    assert [r.value for r in results] == values and all(r.ok for r in results)
    assert [type(r.value) for r in results] == [type(v) for v in values]
