"""The parts of the report, one a file, each a `Builder`: it takes a `Source` and gives a `Section`."""
