"""The phases of a generation: read, propose, solve, grade, post, sleep, turnover, measure."""
