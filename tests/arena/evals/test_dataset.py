"""A user's item set: every line is an item or an error that names file, line and key; no line is skipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.evals.dataset import Item, ItemSet, read_item, read_set, read_sets
from arena.evals.scorers import matches
from arena.rounds.roles import examinee
from arena.rounds.roles.voice import BARE, Voice
from curricula.list_programs import ListPrograms

DOMAINS = {"list_programs": ListPrograms()}
GOOD = {"question": "What is 2 + 2?", "answer": "4"}


def write(folder: Path, *lines: object, name: str = "mine") -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def read(folder: Path, *lines: object) -> ItemSet:
    return read_set(write(folder, *lines), DOMAINS)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"qestion": "x", "answer": "1"}, "unknown key 'qestion'; did you mean 'question'?"),
        ({"question": "x", "zzz": "1"}, "unknown key 'zzz'; expected some of question"),
        ({"question": "x"}, "lacks an 'answer' or 'checker'"),
        ({"answer": "x"}, "lacks a 'question'"),
        ({**GOOD, "checker": "def check(answer): return True"}, "has both 'answer' and 'checker'"),
        ({**GOOD, "level": 1, "depth": 2}, "has both 'level' and 'depth'"),
        ({"question": "  ", "answer": "4"}, "'question' is empty"),
        ({"question": 5, "answer": "4"}, "'question' is the number 5"),
        ({"question": "x", "answer": ["4"]}, "'answer' is a list"),
        ({"question": "x", "answer": True}, "'answer' is true or false"),
        ({"question": "x", "answer": None}, "'answer' is null"),
        ({**GOOD, "id": {"a": 1}}, "'id' is an object"),
        ({**GOOD, "level": "a\nb"}, "'level' is the text"),
        ({"domain": "list_programs"}, "lacks 'problem'"),
        ({"problem": "rev inc | 3 1 4"}, "lacks 'domain'"),
        ({"domain": "list_program", "problem": "rev inc | 3 1 4"}, "did you mean 'list_programs'?"),
        ({"domain": "hidden", "problem": "x"}, "is no domain of this run; it has list_programs"),
        ({"domain": "list_programs", "problem": "rev inc"}, "not a list_programs problem"),
        ({"domain": "list_programs", "problem": "rev | 3 1", "answer": "1 3"}, "'answer' is not allowed with"),
        ([1], "holds a list, expected an object"),
        ('{"question": "x"', "is not JSON"),
        ('{"question": "x", "question": "y", "answer": "1"}', "has the key 'question' twice"),
        ("", "is empty"),
        ("[" * 100_000, "is not JSON"),
        ('{"question": "\\ud800", "answer": "1"}', "contains a lone surrogate"),
        ({"question": "x", "answer": "#### "}, "the reference answer marks no answer"),
        (
            {"question": "x", "answer": r"\boxed{5} or \boxed{6}"},
            "marks several answers: '5' and '6'",
        ),
    ],
)
def test_bad_line_names_file_and_number(line: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mine\.jsonl line 2: ") as error:
        read(tmp_path, GOOD, line, GOOD)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_valid_lines(tmp_path: Path) -> None:
    s = read(
        tmp_path,
        GOOD,
        {"question": "x", "answer": 0.10, "id": "mine", "depth": 3, "system": "Be brief."},
        {"question": "y", "checker": "def check(answer): return True", "level": "hard"},
        {"domain": "list_programs", "problem": " rev  inc | 3 1 4"},
    )
    assert [i.id for i in s.items] == ["1", "mine", "3", "4"] and s.total == 4
    assert [i.level for i in s.items] == ["-", "3", "hard", "2"] and s.levels() == ["2", "3", "-", "hard"]
    assert s.items[1].answer == "0.1" and s.items[1].system == "Be brief."
    assert s.items[3].text == "rev inc | 3 1 4"  # as the domain writes it


def test_numbers_keep_their_spelling() -> None:
    assert read_item(b'{"question": "x", "answer": 1.50}', 1, {}).answer == "1.50"
    assert read_item(b'{"question": "x", "answer": ' + b"9" * 5000 + b"}", 1, {}).answer == "9" * 5000


def test_unique_ids_and_repeated_items(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 2: id '1' is already used by line 1"):
        read(tmp_path, GOOD, {**GOOD, "id": 1})
    s = read(tmp_path, GOOD, {"question": "z", "answer": "1"}, {"question": " What is  2 + 2?", "answer": "four"})
    assert [(a.line, b.line) for a, b in s.repeated()] == [(1, 3)] and len(s.items) == 3


def test_sealed_problem_is_refused(tmp_path: Path) -> None:
    sealed = DOMAINS["list_programs"].heldout("test", 4)[0]
    with pytest.raises(ValueError, match="line 1: this problem is in the sealed test set"):
        read(tmp_path, {"domain": "list_programs", "problem": sealed.text})


def test_missing_empty_and_duplicate_files(tmp_path: Path) -> None:
    write(tmp_path, GOOD, name="arithmetic")
    with pytest.raises(ValueError, match=r"did you mean 'arithmetic\.jsonl'"):
        read_set(tmp_path / "aritmetic.jsonl", {})
    with pytest.raises(ValueError, match="is empty"):
        read_set(write(tmp_path, "", name="none"), {})
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match="would both be called 'arithmetic'"):
        read_sets([tmp_path / "arithmetic.jsonl", write(tmp_path / "b", GOOD, name="arithmetic")], {})


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_parsing_a_line_is_total(line: bytes) -> None:
    try:
        assert isinstance(read_item(line, 1, DOMAINS), Item)
    except ValueError as error:
        assert str(error)


def test_limit_is_spread_evenly(tmp_path: Path) -> None:
    s = read(tmp_path, *({"question": f"q{i}", "answer": "1", "level": i // 10} for i in range(30)))
    some = s.limited(4)
    assert [i.line for i in some.items] == [1, 11, 20, 30] and some.total == 30 and some.digest == s.digest
    assert s.limited(None) is s and s.limited(99) is s and len(s.limited(1).items) == 1


@pytest.mark.parametrize("path", sorted(Path("configs/eval").glob("*.jsonl")), ids=lambda p: p.stem)
def test_example_sets_are_valid(path: Path) -> None:
    s = read_set(path, DOMAINS)
    assert not s.repeated() and len(s.levels()) > 1
    for item in s.items:
        assert item.answer is None or matches(item.answer, item.answer)[0]


def test_named_programs_answers() -> None:
    for item in read_set(Path("configs/eval/named_programs.jsonl"), {}).items:
        given, asked = item.text.removeprefix("lib ").split(" ; solve ")
        body, xs = given.split(" ", 1)[1], asked.partition(" | ")[2].removesuffix(" think")
        assert DOMAINS["list_programs"].problem(f"{body} | {xs}").answer == item.answer


def test_question_wording_bare_and_chat() -> None:
    assert examinee.ask(BARE, "solve rev | 3 1 think", "", ()) == "solve rev | 3 1 think"
    chat = examinee.ask(Voice(chat=True, personas=("You are grim.",)), "What is 2?", "Be brief.", ["w1 = rev\nignore"])
    assert not isinstance(chat, str)
    assert chat.system.startswith("Be brief.\n") and "<answer>" in chat.system and "grim" not in chat.system
    assert chat.user.endswith("\n\nWhat is 2?") and "> w1 = rev\n> ignore" in chat.user
    assert examinee.ask(Voice(chat=True, structured=True), "x", "", ()).schema  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("rev 4 1 3 ; inc 5 2 4 answer 5 2 4", "5 2 4"),
        ("The answer is 42.", "42."),
        ("Answer: 7", "7"),
        ("first answer 3 , no , answer 5", "5"),
        ("just 9", "just 9"),
        ("answers vary", "answers vary"),
        ("", ""),
    ],
)
def test_answer_of_a_bare_reply(text: str, answer: str) -> None:
    assert examinee.read(BARE, text) == answer


def test_answer_of_a_chat_reply() -> None:
    assert examinee.read(Voice(chat=True), "<think>answer 3</think>so <answer>\n42\n</answer>") == "42"


@pytest.mark.parametrize(
    ("said", "reference", "right"),
    [
        ("5  2 4", "5 2 4", True),
        ("4", "5 2 4", False),
        ("1 2 4", "5 2 4", False),
        ("0.5", "1/2", True),
        ("43", "42", False),
        ("", "42", False),
        ("Paris.", "Paris", True),
        ("7", "6 + 1 = <<6+1=7>>7\n#### 7", True),
        ("7 eggs", r"$\boxed{7}$", True),
        ("8", "#### 7", False),
        ("'ABC'", "'abc'", False),
        ("5 April", "5 March", False),
        ("[THINK]Perhaps 5", "5", False),
        ("\ud800", "Paris", False),
        ("x" * 100_000, "5", False),
    ],
)
def test_answers_match_by_words_or_value(said: str, reference: str, right: bool) -> None:
    assert matches(said, reference) == (right, "ok") if right else not matches(said, reference)[0]
