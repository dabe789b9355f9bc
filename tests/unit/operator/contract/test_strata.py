"""Names of strata: what they say, and how many take little room."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_operator.contract.strata import joined_names, strata_in, stratum_of

NAMES = st.builds(
    stratum_of,
    st.sampled_from(["bulk", "surface", "melt-2"]),
    st.sampled_from([300.0, 600.0, 1200.5]),
    st.sampled_from([None, 1.0, -1000.0, 1e7]),
)


@given(st.sets(NAMES))
def test_joined_names_are_of_the_same_strata(strata: set[str]) -> None:
    names = joined_names(sorted(strata))
    assert sorted(strata_in(names)) == sorted(strata)
    assert sorted(strata_in(joined_names(names))) == sorted(strata), "also where they are joined again"


@pytest.mark.parametrize(
    ("strata", "names"),
    [
        ([], []),
        (["bulk/300K/1bar"], ["bulk/300K/1bar"]),
        (["bulk/300K", "bulk/600K", "melt/3000K"], ["bulk/300K,600K", "melt/3000K"]),
        (["bulk/300K", "bulk/300K/1bar"], ["bulk/300K", "bulk/300K/1bar"]),
        (["bulk/holdout.data[0]", "slab/300K/1bar"], ["bulk/holdout.data[0]", "slab/300K/1bar"]),
        (
            [f"{system}/{kelvin}K/{bar}bar" for system, kelvin, bar in product(("a", "b"), (300, 600), (1, 1000))],
            ["a,b/300K,600K/1bar,1000bar"],
        ),
    ],
    ids=["none", "one", "temperatures", "with and without a pressure", "given", "all of a grid"],
)
def test_names_that_differ_in_one_part_are_joined(strata: list[str], names: list[str]) -> None:
    assert sorted(joined_names(strata)) == sorted(names)
