from paraformer_analysis.store import TrackingStore
from paraformer_analysis.records import read_sweep
from paraformer_analysis.table import build_table
from paraformer_analysis.verdicts import answer


def test_x(demo_store):
    r = read_sweep(TrackingStore(demo_store.uri), "demo")
    t = build_table(r)
    print(answer(t))
    print(t.deviations)
    for row in t.rows:
        print(row)
    print(t.details.T)
    assert 0
