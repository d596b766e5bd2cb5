"""Open seats: whoever else takes a seat of a round, be it a script, a person, another framework, a numeric learner."""
