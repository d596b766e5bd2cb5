"""What is remembered: posts, the library that holds them, how they are found again, and measures of culture.

Owns the noun Post. Imports nothing of the players (`agents`), the games (`curricula`) or the loop (`arena`):
what it needs of them (a signature, a check, a token count) it takes as a callable.
"""
