import numpy as np

from pfd_worker.acceptance.memory import MemoryForecast, memory_limit

MIB = 2**20


def test_a_straight_line_through_the_last_two_sizes_tells_what_a_third_needs():
    forecast = MemoryForecast(limit=4000 * MIB)
    assert forecast.refusal(4000) is None
    forecast.add(100, 600 * MIB)
    assert forecast.refusal(4000) is None  # one size has no slope
    forecast.add(500, 1000 * MIB)
    assert forecast.refusal(3500) is None  # 1000 + 3000 MiB are just allowed
    refusal = forecast.refusal(4000)
    assert refusal is not None and "4500 MiB at 4000" in refusal and "4000 MiB are allowed" in refusal


def test_memory_that_did_not_grow_forbids_nothing():
    forecast = MemoryForecast(limit=1000 * MIB)
    forecast.add(100, 900 * MIB)
    forecast.add(500, 800 * MIB)
    assert forecast.refusal(10**6) is None


def test_the_high_water_mark_sees_what_was_freed_since():
    forecast = MemoryForecast(limit=memory_limit())
    forecast.start()
    forecast.note(1)
    block = np.ones(100 * MIB // 8)
    del block
    forecast.note(2)
    (_, before), (_, peak) = forecast.peaks
    assert 80 * MIB < peak - before < 200 * MIB
    forecast.start()
    forecast.note(3)
    assert forecast.peaks[-1][1] < peak - 80 * MIB
