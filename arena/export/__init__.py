"""Export of a run: training sets, tables, adapters, the library as a book, and a dataset card."""
