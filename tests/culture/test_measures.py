"""Measures of culture agree with values worked out by hand, and refuse to invent a rate over nothing."""

import math

import networkx
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from culture.measures import (
    Nearest,
    citation_depth,
    compression_ratio,
    distinct_n,
    effective_styles,
    hill_numbers,
    innovation_rate,
    ngrams,
    pagerank,
    reuse_rate,
    similarity,
    vendi_score,
)


def test_reuse_counts_posts_cited_by_others():
    cites = {"a": [], "b": ["a"], "c": ["a", "a"], "d": ["c"]}
    assert reuse_rate(cites, {"a": "ada", "b": "bo", "c": "cy", "d": "cy"}) == 1 / 4


def test_citing_oneself_or_the_unknown_is_no_reuse():
    assert reuse_rate({"a": [], "b": ["a", "elsewhere"]}, {"a": "ada", "b": "ada"}) == 0
    assert math.isnan(reuse_rate({}, {}))


def test_citation_depth_is_the_longest_chain():
    assert citation_depth({}) == 0
    assert citation_depth({"a": [], "b": ["elsewhere"]}) == 0
    assert citation_depth({"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a"]}) == 2


def test_long_citation_chain_needs_no_recursion():
    """The citation depth of a very long chain needs no recursion."""
    chain = {str(i): [str(i - 1)] if i else [] for i in range(5000)}
    assert citation_depth(chain) == 4999
    assert citation_depth(dict(reversed(chain.items()))) == 4999


def test_citation_depth_of_a_dense_library_is_quick():
    assert citation_depth({str(i): [str(j) for j in range(i)] for i in reversed(range(200))}) == 199


@pytest.mark.parametrize(
    "cites", [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}, {"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}]
)
def test_a_circle_of_cites_is_refused(cites):
    with pytest.raises(ValueError, match="circle"):
        citation_depth(cites)


def test_punctuation_marks_are_words():
    """Punctuation marks count as words, since programs differ by them."""
    assert ngrams("X + y", 2) == [("x", "+"), ("+", "y")]
    with pytest.raises(ValueError, match="at least 1"):
        ngrams("x", 0)


def test_similarity_is_the_share_of_common_trigrams():
    assert similarity("a b c d", "A b  c e") == 1 / 3
    assert similarity("a b", "a b") == 1 and similarity("a b", "b a") == 0
    assert similarity("", "") == 1 and similarity("", "a") == 0


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_similarity_is_symmetric(a, b):
    """Similarity is symmetric, bounded, and 1 of a text with itself."""
    assert similarity(a, b) == similarity(b, a)
    assert 0 <= similarity(a, b) <= 1 and similarity(a, a) == 1


def test_innovation_is_unlikeness_to_what_was_read():
    copied = ("one two three four", ["nine", "one two three four"])
    fresh = ("five six seven eight", ["one two three four"])
    unread = ("one two three four", [])
    assert innovation_rate([copied, fresh, unread]) == 2 / 3
    assert innovation_rate([("a b c d", ["a b c e"])], tau=1 / 3) == 0
    assert innovation_rate([("a b c d", ["a b c e"])], tau=0.34) == 1
    assert math.isnan(innovation_rate([]))
    with pytest.raises(ValueError, match="tau"):
        innovation_rate([copied], tau=0)


def test_hill_numbers_of_equal_counts_are_their_number():
    assert hill_numbers([5, 5, 5, 5, 0]) == pytest.approx((4, 4, 4))
    assert hill_numbers([]) == hill_numbers([0, 0]) == (0, 0, 0)


def test_hill_numbers_by_hand():
    n1 = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert hill_numbers([3, 1]) == pytest.approx((2, n1, 1 / (0.75**2 + 0.25**2)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_hill_numbers_fall_with_their_order(counts):
    n0, n1, n2 = hill_numbers(counts)
    assert n0 >= n1 - 1e-9 and n1 >= n2 - 1e-9


@pytest.mark.parametrize("counts", [[-1, 2], [float("nan")]])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="negative"):
        hill_numbers(counts)


def test_distinct_n_is_over_all_texts():
    """distinct-n is the share of distinct n-grams over all texts."""
    assert distinct_n(["a b", "a b"], 1) == 0.5
    assert distinct_n(["a b c", "a b d"], 2) == 3 / 4
    assert math.isnan(distinct_n(["a", ""], 2))


def test_pagerank_is_stationary():
    """PageRank is the stationary distribution of the Google matrix."""
    cites = {"a": [], "b": ["a"], "c": ["a", "b", "a"], "d": ["c", "elsewhere"], "e": []}
    graph = networkx.DiGraph()
    graph.add_nodes_from(cites)
    graph.add_edges_from((by, to) for by, targets in cites.items() for to in targets if to in cites)
    values, vectors = numpy.linalg.eig(networkx.google_matrix(graph, alpha=0.85).T)
    wanted = numpy.real(vectors[:, numpy.argmax(numpy.real(values))])
    assert list(pagerank(cites).values()) == pytest.approx(list(wanted / wanted.sum()), abs=1e-9)
    assert pagerank({}) == {} and pagerank({"a": []}) == {"a": 1.0}


WORDS = st.lists(st.sampled_from("abc"), max_size=5).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=6), WORDS, st.integers(1, 3))
def test_nearest_text_matches_brute_force(read, text, n):
    """The nearest text is the one that a comparison with each would find."""
    nearest = Nearest(n)
    for other in read:
        nearest.add(other)
    assert nearest.closest(text) == max((similarity(text, other, n) for other in read), default=0.0)


def test_the_vendi_score_counts_different_texts():
    assert vendi_score(["a b c"] * 5) == pytest.approx(1)
    assert vendi_score(["a b c", "d e f", "g h i"]) == pytest.approx(3)
    assert math.isnan(vendi_score([]))
    # K / 2 has eigenvalues (1 +- 1/3) / 2
    half = [(1 + 1 / 3) / 2, (1 - 1 / 3) / 2]
    assert vendi_score(["a b c d", "a b c e"]) == pytest.approx(math.exp(-sum(x * math.log(x) for x in half)))


def test_repetition_compresses():
    """Repetitive text compresses; too little text has no ratio."""
    same, different = ["a b c d"] * 50, [f"{i * 7919 % 1009} {i * 104729 % 997}" for i in range(50)]
    assert compression_ratio(same, 200) > 2 * compression_ratio(different, 200)
    assert compression_ratio(same[:26] + different, 200) == compression_ratio(same, 200)
    assert math.isnan(compression_ratio(["a"], 200)) and math.isnan(compression_ratio([]))


def test_effective_styles_range():
    """Effective styles range from 1 for equal authors to their number."""
    assert effective_styles({"a": "xyz", "b": "xyz"}) == pytest.approx(1)
    assert effective_styles({"a": "xyz", "b": "uvw" * 9, "c": ""}) == pytest.approx(2)
    assert math.isnan(effective_styles({})) and math.isnan(effective_styles({"a": []}))
