"""Does what was learned hold elsewhere: any run's agents on sets that a user brings."""
