"""Names of strata: what they say, and how many take little room."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_operator.contract.strata import (
    conditions_of,
    exact_number,
    joined_names,
    pressure_of,
    strata_in,
    stratum_of,
    temperature_of,
)

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


@pytest.mark.parametrize(
    "name", ["/".join([","] * 1700), "a/" + ",/" * 40, ",".join("a" * 900) + "/" + ",".join("b" * 900)]
)
def test_names_of_more_strata_than_any_job_has_stand_for_none(name: str) -> None:
    assert strata_in(["bulk/300K", name]) == []


KELVIN = st.floats(min_value=0, max_value=20_000, exclude_min=True)
BAR = st.none() | st.floats(min_value=-1e8, max_value=1e8)


@given(KELVIN, BAR)
def test_a_name_says_its_conditions(kelvin: float, bar: float | None) -> None:
    name = stratum_of("bulk", kelvin, bar)
    assert f"bulk/{conditions_of(name)}" == name
    assert (temperature_of(name), pressure_of(name)) == (kelvin, bar)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (300.0, "300"),
        (1200.5, "1200.5"),
        (1e-05, "1e-05"),
        (100_000.0, "100000"),
        (1e6, "1e+06"),
        (1e7, "1e+07"),
        (-1000.0, "-1000"),
        (300.0001, "300.0001"),
        (1_234_567.0, "1234567"),
        (99_999_999.0, "99999999"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_a_number_is_named_shortly_and_by_all_of_it(value: float, name: str) -> None:
    assert exact_number(value) == name


@pytest.mark.parametrize(
    "name",
    ["", "data", "bulk/", "bulk/holdout.data[0]", "bulk/e+K", "bulk/1.2.3K", "/300K", f"bulk/{'1' * 16}.{'1' * 16}K"],
)
def test_other_names_say_none(name: str) -> None:
    assert (conditions_of(name), temperature_of(name), pressure_of(name)) == (None, None, None)
