"""Open seats: whoever else takes a seat of a round: a script, a person, agents of other frameworks, numeric learners."""
