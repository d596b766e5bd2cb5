"""Instructions for list programs and hidden words in prose, for models that were not trained on the notation."""

from __future__ import annotations

from curricula.domain import Guess, Problem, quoted

MEANINGS = {
    "rev": "reverse the list",
    "sort": "sort it, smallest first",
    "inc": "add 1 to every digit (9 becomes 0)",
    "dec": "take 1 from every digit (0 becomes 9)",
    "dbl": "double every digit, keeping the last digit of the result",
    "neg": "replace every digit d by 10 - d (0 stays 0)",
    "tail": "drop the first digit (a single digit stays)",
    "init": "drop the last digit (a single digit stays)",
    "rot": "move the first digit to the end",
    "swap": "exchange the first two digits (a single digit stays)",
    "cum": "replace every digit by the sum up to it, keeping the last digit of the result",
    "dup": "write the first digit twice, then keep no more digits than a list may have",
}
"""Meaning of each primitive."""
NAMES = (
    "A word such as w7 is a name. What it stands for, a row of the words above, is hidden; notes may tell it, "
    "as in: w7 = rev inc."
)


def rules(most: int) -> str:
    """Description of programs over lists of up to `most` digits."""
    words = "\n".join(f"- {name}: {meaning}" for name, meaning in MEANINGS.items())
    return f"A program is a row of words that change a list of 1 to {most} digits, each in turn from the left:\n{words}"


def setting(rules: str, longest: int, parent: str | None, names: bool) -> str:
    """The instruction for a setter."""
    example = "w7 sort | 3 1 4" if names else "rev inc | 3 1 4"
    asked = [
        rules,
        *([NAMES] if names else []),
        f"A problem is a program of 1 to {longest} words and a list, with a bar between: {example}",
        "The program must change the list. Write a new problem in just this form.",
    ]
    if names:
        asked.append("Its program uses at least one name.")
    if parent:
        asked.append(f"Vary this one by a word or two, and choose a list of your own:\n{quoted(parent)}")
    return "\n\n".join(asked)


def asking(rules: str, problem: Problem) -> str:
    """The instruction for a solver."""
    asked = [rules, *([NAMES] if problem.names else []), f"The problem:\n{quoted(problem.shown)}"]
    if problem.names:
        asked.append(
            "Your answer spells it out on one line: first each name with what it stands for (nothing else if you do "
            "not know one: unknown w7), then each word with the list after it, then the result: "
            "w7 rev inc ; rev 4 1 3 ; inc 5 2 4 ; sort 2 4 5 answer 2 4 5"
        )
    else:
        asked.append(
            "Your answer is one line with each word and the list after it, then the result. For rev inc | 3 1 4 it "
            "would be: rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
        )
    return "\n\n".join(asked)


def short_setting(parent: str | None) -> str:
    """The instruction for a setter that knows the form of a problem."""
    return f"Vary this list program:\n{quoted(parent)}" if parent else "Write a list program, a bar, and a list."


def short_asking(problem: Problem) -> str:
    """The instruction for a solver that knows the meaning of the words and the form of an answer."""
    return f"{quoted(problem.shown)}\n\nEach word with the list after it, then answer and the list."


def short_guessing(guess: Guess) -> str:
    """The instruction for a guesser that knows the meaning of the words."""
    shown = "\n".join(f"{xs} -> {ys}" for xs, ys in guess.examples)
    hint = guess.prompt.removeprefix("guess ").partition("|")[0].strip()
    return f"What does {guess.name} stand for?\n{shown}" + (f"\nIt begins with {hint}." if hint else "")


def guessing(rules: str, guess: Guess) -> str:
    """The instruction for a guesser: the examples, and the hint if there is one."""
    shown = "\n".join(f"{xs} -> {ys}" for xs, ys in guess.examples)
    hint = guess.prompt.removeprefix("guess ").partition("|")[0].strip()
    begins = f"\n\nIt begins like a word that is known already: {hint}, and has one word more." if hint else ""
    does = f"The name {guess.name} stands for a row of these words, which does this:\n{shown}{begins}"
    return f"{rules}\n\n{does}\n\nWrite that row of words."
