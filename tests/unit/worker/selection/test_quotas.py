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


@given(AVAILABLE.filter(bool), st.integers(0, 200), st.integers(0, 99), st.data())
def test_what_is_needed_is_dealt_first_and_the_rest_as_evenly_as_can_be(available, total, seed, data):
    needed = {name: data.draw(st.integers(0, most)) for name, most in available.items()}
    quotas = fair_quotas(available, total, seed, needed)
    assert sum(quotas.values()) == min(total, sum(available.values()))
    if total < sum(needed.values()):
        assert all(quotas[name] <= needed[name] for name in available)
        return
    assert all(needed[name] <= quotas[name] <= available[name] for name in available)
    not_full = [quotas[name] for name in available if quotas[name] < available[name]]
    raised = [quotas[name] for name in available if quotas[name] > needed[name]]
    assert not not_full or max(raised, default=0) <= min(not_full) + 1
