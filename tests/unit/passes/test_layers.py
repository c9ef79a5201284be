from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from compress.passes.prune.layers import spread


def test_the_first_the_last_and_the_middle_stay():
    assert spread(6, 3) == [0, 2, 5]
    assert spread(12, 6) == [0, 2, 4, 7, 9, 11]
    assert spread(4, 1) == [0]


@given(st.integers(2, 120).flatmap(lambda depth: st.tuples(st.just(depth), st.integers(2, depth))))
def test_blocks_are_distinct_and_their_distances_differ_by_one_at_most(sizes):
    depth, kept = sizes
    blocks = spread(depth, kept)
    gaps = [after - before for before, after in pairwise(blocks)]
    assert len(blocks) == kept == len(set(blocks))
    assert (blocks[0], blocks[-1]) == (0, depth - 1)
    assert max(gaps) - min(gaps) <= 1
