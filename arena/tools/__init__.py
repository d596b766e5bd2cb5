"""Developer tools: benchmarks, fault injection, seed models, the install check."""
