"""A run made ready for others: training sets, tables, adapters, the library as a book, and a card that explains it."""
