from hypothesis import given
from hypothesis import strategies as st

from pfd_worker.selection.quotas import fair_quotas

AVAILABLE = st.dictionaries(st.text("abc/K9", min_size=1, max_size=6), st.integers(0, 50), max_size=8)


@given(AVAILABLE, st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_quotas_give_exactly_what_is_asked_as_evenly_as_possible(available, total, seed):
    quotas = fair_quotas(available, total, seed)
    assert sum(quotas.values()) == min(total, sum(available.values()))
    assert all(quotas[name] <= available[name] for name in available)
    most = max(quotas.values(), default=0)
    assert all(quotas[name] in (available[name], most, most - 1) or quotas[name] >= most - 1 for name in available)
    assert quotas == fair_quotas(dict(reversed(available.items())), total, seed)
