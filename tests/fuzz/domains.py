"""Text of agents in every domain: proposals, attempts, stored problems and posts."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from hypothesis import strategies as st

from arena.rounds.roles import author, examinee, guesser, setter, solver
from arena.rounds.roles.voice import BARE, Voice
from culture.posts import Post, SignedPost
from curricula.domain import Domain, Problem, Rejection
from curricula.registry import DOMAINS, make_domain
from tests.fuzz.base import DEEP, JSON, Place, Target, answers, in_time

CHAT = Voice(chat=True) if "chat" in Voice.__dataclass_fields__ else BARE
"""Fragments of texts of the domains, so that generated texts are nearly valid."""
PIECES = [
    *"|;()[]{}'\"\\\n\t\0,.=<>#-+*/% ",
    *("rev", "inc", "dbl", "sort", "w1", "w7", "answer", "think", "lib", "0", "9", "-1", "1e9", "10**10", "__import__"),
    *("def f(x):\n", "    return x\n", "lambda: 0", "open('/etc/passwd')", "while True: pass", "f", "f([1, 2])", "```"),
    *(
        "<answer>",
        "</answer>",
        "<post kind='lesson' about='1'>",
        "</post>",
        "title: a",
        "<think>",
        "</think>",
        "{",
        "}",
    ),
    *(
        "How many apples?",
        "3 apples",
        "x = 3",
        "x = y / 0",
        "a" * 5000,
        "(" * 300,
        "[" * 300,
        "9" * 5000,
        "\ud800",
        "\u202e",
    ),
    *("program:", "input:", "output:", "question:", "deduce", "abduce", "induce", "steps", "\r", "\u2028", "½", "٣"),
]
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join),
    DEEP,
)


@cache
def domain(name: str) -> Domain:
    return make_domain(name, **({"world": 0} if name == "hidden_words" else {}))


@cache
def some(name: str) -> tuple[Problem, ...]:
    """Some valid problems of a domain."""
    rng = random.Random(0)
    return tuple(domain(name).random_problem(rng) for _ in range(3))


def spliced(name: str) -> st.SearchStrategy[tuple[int, str, int, int]]:
    return st.tuples(st.integers(0, 2), TEXTS, st.integers(0, 400), st.integers(0, 60))


def splice(text: str, piece: str, at: int, cut: int) -> str:
    """Replace a part of a valid text by a piece."""
    at %= len(text) + 1
    return text[:at] + piece + text[at + cut :]


def proposals(name: str) -> Any:
    def attack(_: Place, value: tuple[int, str, int, int]) -> None:
        which, piece, at, cut = value
        held = domain(name)
        for text in (piece, splice(some(name)[which].text, piece, at, cut)):
            with in_time():
                found = held.parse_proposal(text)
                assert isinstance(found, Problem | Rejection)
                if isinstance(found, Problem):
                    assert held.problem(found.text).text_key == found.text_key
                    assert held.verify(found, held.solution(found)).answer_correct
                else:
                    assert found.reason in held.reasons, found
            with answers():
                held.problem(text)

    return attack


def attempts(name: str) -> Any:
    def attack(_: Place, value: tuple[int, str, int, int]) -> None:
        which, piece, at, cut = value
        held, problem = domain(name), some(name)[which]
        for text in (piece, splice(held.solution(problem), piece, at, cut)):
            with in_time():
                verdict = held.verify(problem, text)
                assert verdict.correct <= verdict.answer_correct and verdict.reason

    return attack


def replies(_: Place, text: str) -> None:
    """Parse a reply in every role, in both prompt styles."""
    with in_time():
        for voice in (BARE, CHAT):
            for role in (setter, solver, guesser, examinee):
                assert isinstance(role.read(voice, text), str)
        for found in author.read(text):
            assert isinstance(found, author.Draft | author.Unreadable)


def posts(_: Place, fields: dict[str, Any]) -> None:
    with answers():
        post = Post(**fields)
        assert Post.from_json(post.to_json()) == post and len(post.id) == 64
        assert not SignedPost(post, "0" * 64, "0" * 128).verify()
    with answers():
        SignedPost.from_row({"cites": "[]", "public_key": "", "signature": "", **fields, "id": ""})


def post_texts(_: Place, text: str) -> None:
    with answers():
        Post.from_json(text)


FIELDS = {
    "kind": st.sampled_from(["lesson", "definition", "review", "nonsense"]) | JSON,
    "author": st.just("ada") | JSON,
    "generation": st.integers(0, 5) | JSON,
    "title": st.just("w1") | JSON | TEXTS,
    "body": st.just("w1 = rev inc") | JSON | TEXTS,
    "cites": st.just(()) | st.lists(st.just("0" * 64)).map(tuple) | JSON,
    "about": st.just("") | JSON | TEXTS,
}


def _targets() -> list[Target]:
    made = []
    for name in sorted(DOMAINS):
        slow = name == "python_programs"
        made.append(Target(f"proposals of {name}", spliced(name), proposals(name), 5 if slow else 20, slow))
        made.append(Target(f"attempts in {name}", spliced(name), attempts(name), 5 if slow else 20, slow))
    made.append(Target("replies", TEXTS, replies, 30))
    made.append(Target("posts", st.fixed_dictionaries(FIELDS), posts, 25))
    made.append(Target("post texts", TEXTS | st.builds(str, JSON), post_texts, 15))
    return made


TARGETS = _targets()
