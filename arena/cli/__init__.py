"""The command line: one module per group of commands; `arena.cli.app` has the entry point."""
