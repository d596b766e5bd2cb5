"""Posts, the library that stores them, retrieval, estimates of their usefulness, and measures of culture.

Imports nothing from `agents`, `curricula` or `arena`: what it needs of them (signing, a check, a token count) is passed
as a callable.
"""
