"""Failed attempts are rewritten from the first wrong step, and what execution verifies is trained on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.engine import Completion, Request
from agents.prompt import Chat
from arena.loop import play
from arena.phases.corrections import corrections
from arena.rounds.roles.voice import BARE, Voice
from arena.rounds.round import Round
from curricula.domain import Domain
from curricula.list_programs import ListPrograms
from curricula.word_problems import WordProblems
from tests.helpers.brief_runs import brief, digest
from tests.helpers.crashes import die_inside_every_transaction, play_through

LIST, WORDS = ListPrograms(), WordProblems()
PROGRAM = "rev inc cum | 3 1 4"
STORY = (
    "Ann has 7 pens. She buys 5 boxes of 4 pens. How many pens has she now?\n---\n"
    "def answer():\n    bought = 5 * 4\n    return 7 + bought"
)
CHAT = Voice(chat=True, brief=True)


def asked(
    texts: Sequence[str],
    reply: str | Sequence[str],
    domain: Domain = LIST,
    voice: Voice = BARE,
    step: str = "wrong",
    most: int = 9,
    positions: int = 256,
    of: str = "own",
    network: str = "all",
) -> tuple[list[Request], list[Any], list[dict[str, Any]]]:
    """The requests of one agent with these attempts, and what comes of the same reply to all of them: one a try."""
    made = Round("g0001/r0000", domain, "ivo", ("tess",), len(texts), voice=voice)
    problem = domain.problem(PROGRAM if domain is LIST else STORY)
    made.set_problem("", problem)
    made.set_attempts(texts, [domain.verify(problem, text) for text in texts])
    sent: list[Request] = []

    replies = [reply] if isinstance(reply, str) else list(reply)
    left = iter(replies)

    def generate(requests: Sequence[Request]) -> list[Completion]:
        sent.extend(requests)
        said = next(left)
        return [Completion(r.key, said, "stop", 1, 1, 0.0) for r in requests]

    state = SimpleNamespace(
        config=SimpleNamespace(
            sleep=SimpleNamespace(review=most, review_of=of, review_step=step, review_tries=len(replies)),
            library=SimpleNamespace(network=network),
            population=SimpleNamespace(agents=2),
            rounds=SimpleNamespace(max_tokens=64, temperature=1.0, top_p=1.0),
        ),
        generation=SimpleNamespace(rounds=[made], index=1),
        places={"tess": 0, "ivo": 1},
        seed="0",
        rng=lambda *at: random.Random(str(at)),
    )
    engine = SimpleNamespace(count_tokens=lambda text: len(text.split()))
    models = SimpleNamespace(voice=voice, generate=generate, engine=engine, positions=positions)
    examples, rows = corrections(state, models, ["tess", "ivo"])  # type: ignore[arg-type]
    return sent, examples, rows


def test_an_attempt_is_continued_before_its_mistake() -> None:
    """The verified steps are kept; the example answers the original prompt."""
    wrong = "rev 4 1 3 ; inc 5 2 5 ; cum 5 7 2 answer 5 7 2"
    (sent,), (example,), (row,) = asked([wrong], "inc 5 2 4 ; cum 5 7 1 answer 5 7 1")
    original = LIST.solve_prompt(LIST.problem(PROGRAM), ())
    assert sent.prompt == f"{original} rev 4 1 3 ;" and sent.adapter == "tess"
    assert (example.prompt, example.completion) == (original, LIST.solution(LIST.problem(PROGRAM)))
    assert row["step"] == 2 and row["correct"] == 1 and row["attempt"] == "g0001/r0000/solver_0/0"


def test_a_step_too_many_is_corrected_by_an_end() -> None:
    """What is kept ends before the separator, so that the next try may answer."""
    (sent,), (example,), _ = asked(["rev 4 1 3 ; inc 5 2 4 ; cum 5 7 1 ; rev 1 7 5 answer 1 7 5"], "answer 5 7 1")
    assert sent.prompt.endswith("think rev 4 1 3 ; inc 5 2 4 ; cum 5 7 1")
    assert example.completion == LIST.solution(LIST.problem(PROGRAM))


def test_what_is_wrong_again_is_no_example() -> None:
    _, examples, rows = asked(["rev 4 1 3 ; inc 5 2 5 ; cum 5 7 2 answer 5 7 2"], "inc 5 2 5 ; cum 5 7 2 answer 5 7 2")
    assert not examples and [r["correct"] for r in rows] == [0]


def test_tries_go_on_from_the_next_mistake() -> None:
    """Each try keeps what was verified; the last state is stored, with the number of tries."""
    wrong, original = "rev 4 1 3 answer 4 1 3", LIST.solve_prompt(LIST.problem(PROGRAM), ())
    tries = ["; inc 5 2 5 answer 5 2 5", "inc 5 2 4 answer 5 2 4", "; cum 5 7 1 answer 5 7 1", "never asked for"]
    sent, (example,), (row,) = asked([wrong], tries)
    kept = ["rev 4 1 3", "rev 4 1 3 ;", "rev 4 1 3 ; inc 5 2 4"]
    assert [r.prompt for r in sent] == [f"{original} {k}" for k in kept] and len({r.key for r in sent}) == 3
    assert example.completion == LIST.solution(LIST.problem(PROGRAM)) and row["tries"] == 3 and row["correct"] == 1


def test_attempts_without_room_are_given_up() -> None:
    """The kept part counts for the attempt's most tokens, and the prompt for the context."""
    wrong = "rev 4 1 3 ; inc 5 2 5 answer 5 2 5"
    (sent,), _, _ = asked([wrong], "hm")
    assert sent.max_tokens == 64 - len(["rev", "4", "1", "3", ";"])
    assert asked([wrong], "hm", positions=64)[0] == []
    long = " ; ".join(["rev 4 1 3", "inc 5 2 4", "cum 5 7 1", *["inc 6 8 2"] * 20])
    sent, _, (row,) = asked([f"{long} answer 6 8 2"], ["; inc 6 8 2 answer 6 8 2"] * 2, step="random")
    assert all(r.max_tokens <= 64 for r in sent) and row["tries"] == len(sent)


def test_equal_failures_are_corrected_once() -> None:
    wrong = "rev 4 1 3 answer 4 1 3"
    sent, examples, rows = asked([wrong, wrong, "inc 4 2 5 answer 4 2 5"], LIST.solution(LIST.problem(PROGRAM)))
    assert len(sent) == len(rows) == 2 and len(examples) == 1  # two came to the same text


@pytest.mark.parametrize(
    ("of", "network", "trained"),
    [("own", "all", ["tess"]), ("read", "self", ["tess"]), ("read", "all", ["tess", "ivo"])],
)
def test_corrections_of_others(of: str, network: str, trained: list[str]) -> None:
    """An agent is also trained on the corrections of the authors that it reads, one per problem."""
    wrong = ["rev 4 1 3 ; inc 5 2 5 answer 5 2 5", "rev 4 1 3 ; inc 5 2 6 answer 5 2 6"]
    _, examples, rows = asked(wrong, "inc 5 2 4 ; cum 5 7 1 answer 5 7 1", of=of, network=network)
    assert [r["correct"] for r in rows] == [1, 1] and [e.agent for e in examples] == trained
    problem = LIST.problem(PROGRAM)
    assert {(e.prompt, e.completion) for e in examples} == {(LIST.solve_prompt(problem, ()), LIST.solution(problem))}


def test_right_attempts_are_left_alone() -> None:
    right = LIST.solution(LIST.problem(PROGRAM))
    assert asked([right], "") == ([], [], [])
    assert asked(["rev 4 1 3 answer 4 1 3"], "", most=0) == ([], [], [])


def test_first_step_and_answer() -> None:
    """A mistake in the first step leaves the original prompt; one in the answer keeps all steps."""
    original = LIST.solve_prompt(LIST.problem(PROGRAM), ())
    (first, last), _, _ = asked(["inc 4 2 5 answer 4 2 5", "rev 4 1 3 ; inc 5 2 4 ; cum 5 7 1 answer 1"], "hm")
    prompts = {first.prompt, last.prompt}
    assert prompts == {original, f"{original} rev 4 1 3 ; inc 5 2 4 ; cum 5 7 1"}


def test_random_step_is_a_control() -> None:
    """Any step is called wrong, the same one each time the phase is computed."""
    wrong = [f"rev 4 1 3 ; inc 5 2 5 ; cum 5 7 {i % 10} answer {i // 10}" for i in range(40)]
    found = [row["step"] for row in asked(wrong, "hm", step="random", most=40)[2]]
    assert set(found) == {1, 2, 3, 4} and found == [r["step"] for r in asked(wrong, "hm", step="random", most=40)[2]]


def test_chats_are_shown_the_attempt() -> None:
    """The wrong line is quoted; the whole answer is written again and trained on as an answer to the first prompt."""
    (sent,), (example,), _ = asked(
        ["5 * 4 = 24\n7 + 24 = 31\nanswer: 31"], "5 * 4 = 20\n7 + 20 = 27\nanswer: 27", WORDS, CHAT
    )
    assert isinstance(sent.prompt, Chat) and isinstance(example.prompt, Chat)
    assert "> 7 + 24 = 31" in sent.prompt.user and "is wrong:\n> 5 * 4 = 24\n" in sent.prompt.user
    assert sent.prompt.user.startswith(example.prompt.user) and "31" not in example.prompt.user
    (unknown,), _, _ = asked(["no idea"], "", WORDS, CHAT)
    assert isinstance(unknown.prompt, Chat) and "It is wrong." in unknown.prompt.user


@pytest.mark.parametrize("step", ["wrong", "random"])
def test_runs_with_review(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Corrections are stored with their verdicts, counted as compute, and the same after crashes."""
    given = "sleep.review=6", f"sleep.review_step={step}"
    with brief(tmp_path, "calm", *given) as arena:
        play(arena)
        rows = arena.store.query("SELECT c.*, a.correct AS before FROM corrections c JOIN attempts a ON a.id = attempt")
        assert rows and not any(r["before"] for r in rows) and {r["correct"] for r in rows} <= {0, 1}
        spent = arena.store.query("SELECT SUM(generated_tokens) AS n FROM phases WHERE phase = 'sleep'")[0]["n"]
        assert spent > 0
    die_inside_every_transaction(monkeypatch)
    assert play_through(brief(tmp_path, "dying", *given)) == digest(tmp_path / "calm")
