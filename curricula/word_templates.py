"""Sentence templates of the stories of word problems, by kind of story."""

from __future__ import annotations

from curricula.word_steps import Kind, left_over, minus, packs, percent, plus, shared, spent, times

KINDS = (
    Kind(
        "things",
        (
            ("{who} has {n} {thing}.", 12, 140),
            ("There are {n} {thing} in a box at the {place}.", 20, 300),
            ("{who} brings {n} {thing} to the {place}.", 12, 200),
            ("A {place} starts the day with {n} {thing}, and {who} looks after them.", 30, 400),
        ),
        (
            "How many {thing} are there now?",
            "How many {thing} does that make in the end?",
            "What is the number of {thing} now?",
        ),
        (
            plus(5, 90, "Then {other} adds {n} more.", "{n} more are found.", "Another {n} arrive from the {place}."),
            minus(
                4,
                80,
                "{who} gives {n} of them to {other}.",
                "{n} get lost.",
                "Of these, {n} are broken and thrown away.",
            ),
            times(
                2, 6, "The next day there are {n} times as many.", "By luck the number grows to {n} times what it was."
            ),
            shared(
                2,
                9,
                "They are shared out evenly among {n} friends; from here on, only the share of one counts.",
                "{who} packs them into {n} equal bags and keeps only one bag.",
            ),
            packs(3, 9, 24, "{other} buys {n} packs with {m} in each and puts them in.", "{n} trays of {m} are added."),
            spent(3, 9, 12, "{n} children come and take {m} each.", "{who} sells {n} sets of {m}."),
            percent(-1, "{n}% of them are sold.", "A storm ruins {n} percent of them."),
            left_over(4, 12, "{who} fills as many boxes of {n} as possible and keeps what is left over."),
        ),
    ),
    Kind(
        "money",
        (
            ("{who} has {n} dollars.", 20, 400),
            ("{who} earned {n} dollars at the {place}.", 30, 500),
            ("The {place} has {n} dollars in its till, which {who} counts.", 50, 900),
        ),
        ("How many dollars are left?", "How much money is that now, in dollars?", "How many dollars is it in the end?"),
        (
            plus(6, 150, "Then {other} pays back {n} dollars.", "A gift of {n} dollars is added."),
            minus(5, 90, "A coat for {n} dollars is paid from it.", "{n} dollars go to {other}."),
            spent(
                3, 12, 15, "{n} tickets at {m} dollars each are bought with it.", "{n} meals of {m} dollars are paid."
            ),
            packs(
                3,
                12,
                30,
                "{who} works {n} hours at {m} dollars an hour and adds the pay.",
                "{n} weeks bring {m} dollars each.",
            ),
            percent(-1, "{n}% of the money is given to charity.", "A tax takes {n} percent of it."),
            percent(1, "The bank adds {n}% interest.", "A bonus of {n} percent is added to it."),
            shared(2, 8, "The money is split evenly among {n} people, and {who} goes on with one share."),
            times(2, 4, "A lucky bet makes it {n} times as much."),
        ),
    ),
    Kind(
        "distance",
        (
            ("{who} lives {n} kilometres from the {place} and rides there.", 12, 90),
            ("On Monday {who} travels {n} kilometres.", 15, 240),
            ("{who} has already gone {n} kilometres on a tour.", 20, 300),
        ),
        ("How many kilometres is that altogether?", "What is the whole distance in kilometres?"),
        (
            packs(
                3,
                9,
                80,
                "Then {who} drives for {n} hours at {m} kilometres an hour.",
                "{n} days follow with {m} kilometres each.",
            ),
            plus(4, 120, "After a rest {who} goes on for {n} kilometres.", "A detour adds {n} kilometres."),
            times(
                2,
                5,
                "{who} covers this whole distance {n} times in all.",
                "In the following week the total becomes {n} times that.",
            ),
            minus(
                3,
                40,
                "A tunnel makes the whole way {n} kilometres shorter.",
                "The map was wrong, and the true total is {n} kilometres less.",
            ),
            percent(1, "Bad roads make the whole way {n}% longer."),
            shared(2, 6, "The whole way is divided into {n} equal legs, and from here on only one leg counts."),
        ),
    ),
    Kind(
        "age",
        (
            ("{who} is {n} years old.", 12, 60),
            ("{other} has just turned {n}; think of a relative whose age starts out the same.", 14, 50),
        ),
        ("How old is that person, in years?", "What age in years does this come to?"),
        (
            plus(
                3,
                30,
                "A neighbour is {n} years older than that; take the neighbour's age.",
                "Take the age {n} years later.",
            ),
            minus(
                3,
                25,
                "A cousin is {n} years younger than that; take the cousin's age.",
                "Take the age {n} years earlier.",
            ),
            times(2, 4, "An oak by the {place} is {n} times as old as that; take the oak's age."),
            shared(2, 6, "Divide that age by {n}: so old is {other}'s parrot. Take the parrot's age."),
        ),
    ),
    Kind(
        "minutes",
        (
            ("{who} spends {n} minutes on the way to the {place}.", 12, 95),
            ("Setting up a stall at the {place} takes {who} {n} minutes.", 15, 120),
        ),
        ("How many minutes is that in all?", "What is the total time in minutes?"),
        (
            packs(3, 12, 25, "Then {who} does {n} tasks of {m} minutes each.", "{n} lessons of {m} minutes follow."),
            plus(4, 75, "Waiting for {other} takes {n} minutes more.", "A break of {n} minutes is added."),
            minus(
                3,
                30,
                "A new machine saves {n} minutes of the total.",
                "{other} helps, which cuts the total by {n} minutes.",
            ),
            times(2, 6, "All of this is done on {n} days; take the time of these days together."),
            percent(-1, "With practice the whole time falls by {n}%."),
            shared(2, 6, "The work is split evenly among {n} people; take the time of one of them."),
        ),
    ),
    Kind(
        "litres",
        (
            ("A tank at the {place} holds {n} litres of water.", 40, 600),
            ("{who} mixes {n} litres of juice.", 20, 200),
        ),
        ("How many litres are there now?", "How many litres does that leave?"),
        (
            packs(
                3,
                15,
                20,
                "A pump runs for {n} minutes and adds {m} litres a minute.",
                "{n} cans of {m} litres are poured in.",
            ),
            spent(
                3, 12, 15, "{n} jugs of {m} litres are filled from it.", "It leaks {m} litres an hour for {n} hours."
            ),
            plus(5, 80, "{other} pours in {n} litres more."),
            minus(4, 70, "{who} takes out {n} litres."),
            percent(-1, "{n}% of it is used in the {place}.", "{n} percent of it dries up."),
            shared(2, 8, "It is divided evenly over {n} barrels, and from here on only one barrel counts."),
        ),
    ),
)
