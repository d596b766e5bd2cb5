"""One open run: its folder, store, state, engines, budget, signals and signed log."""
