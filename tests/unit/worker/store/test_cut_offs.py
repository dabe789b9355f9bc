from pfd_worker.store.cut_offs import CutOffs

KEY, OTHER = "ab" * 32, "cd" * 32


def test_cut_off_calculations_are_counted_until_they_are_forgotten(store):
    # as an earlier version has noted it
    store.put(f"claims/cut-off/uid/stage/0/{KEY}", b"{}")
    mine, others = CutOffs(store, "uid/stage/0"), CutOffs(store, "uid/stage/00")
    for key, count in ((KEY, 2), (OTHER, 1), (OTHER, 1)):
        mine.note(key, count)
    others.note(KEY, 1)
    assert CutOffs(store, "uid/stage/0").counts == {KEY: 2, OTHER: 1}
    mine.forget()
    assert (CutOffs(store, "uid/stage/0").counts, CutOffs(store, "uid/stage/00").counts) == ({}, {KEY: 1})
