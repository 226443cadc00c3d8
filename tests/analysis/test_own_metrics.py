"""Metrics of the user's own: one that counts word errors must come to what the table says of them."""

from dataclasses import replace

import numpy as np
import pytest

from paraformer_analysis.own_metrics import build_own_metrics
from paraformer_analysis.records import read_sweep
from paraformer_analysis.report import make_report
from paraformer_analysis.results import parse_results
from paraformer_analysis.store import TrackingStore
from paraformer_analysis.table import build_table


@pytest.fixture(scope="module")
def records(write_into, tmp_path_factory):
    stored = write_into(tmp_path_factory.mktemp("own"))
    return read_sweep(TrackingStore(stored.uri), "demo")


def with_columns(records, **columns):
    return replace(records, utterances=records.utterances.assign(**columns))


def word_errors(records):
    kinds = ("substitutions", "deletions", "insertions")
    return records.utterances[[f"word_{kind}" for kind in kinds]].sum(axis=1)


def test_word_errors_as_an_own_metric_are_the_table(records):
    """The same amounts and weights through the same bootstrap: equal to the last digit."""
    table = build_table(records)
    columns = {"metric:errors": word_errors(records), "weight:errors": records.utterances["words"]}
    found = {one.variant: one for one in build_own_metrics(with_columns(records, **columns), table)}
    assert set(found) == {row.variant for row in table.rows}
    for row in table.rows:
        own = found[row.variant]
        assert own.value == pytest.approx(row.rate.value)
        if row.difference is None:
            assert own.difference is None
        else:
            assert (own.difference.value, own.difference.low, own.difference.high) == pytest.approx(
                (row.difference.value, row.difference.low, row.difference.high)
            )
            assert own.p_corrected == pytest.approx(row.p_corrected)


def test_a_second_metric_costs_the_first_one_something(records):
    """Holm's correction is over both."""
    table, generator = build_table(records), np.random.default_rng(0)
    errors = {"metric:errors": word_errors(records), "weight:errors": records.utterances["words"]}
    coin = {"metric:coin": generator.integers(0, 2, len(records.utterances)), "weight:coin": 1.0}
    alone = {one.variant: one for one in build_own_metrics(with_columns(records, **errors), table)}
    found = build_own_metrics(with_columns(records, **errors, **coin), table)
    assert len(found) == 2 * len(alone)
    for one in found:
        if one.metric == "errors" and one.difference is not None:
            assert one.p == alone[one.variant].p
            assert one.p_corrected >= alone[one.variant].p_corrected


def test_weights_that_differ_between_trials_leave_the_value_only(records):
    changing = {"metric:found": 1.0, "weight:found": 1.0 + word_errors(records)}
    found = build_own_metrics(with_columns(records, **changing), build_table(records))
    assert found
    assert all(0 < one.value <= 1 and one.difference is None for one in found)


def test_what_is_not_a_number_everywhere_is_left_out(records):
    gaps = {"metric:gaps": np.where(np.arange(len(records.utterances)) == 3, np.nan, 1.0), "weight:gaps": 1.0}
    assert build_own_metrics(with_columns(records, **gaps), build_table(records)) == []
    no_weight = with_columns(records, **{"metric:alone": 1.0})
    assert build_own_metrics(no_weight, build_table(records)) == []


def test_they_are_read_and_reported(records, tmp_path):
    columns = {"metric:errors": word_errors(records), "weight:errors": records.utterances["words"]}
    report = make_report(with_columns(records, **columns), "sqlite:///x.db")
    report.write(tmp_path)
    for page in ("report.md", "report.html"):
        assert "Metrics of your own" in (tmp_path / page).read_text()
    rows = (tmp_path / "own_metrics.csv").read_text().splitlines()
    assert rows[0].startswith("metric,variant,value,difference,difference_low,difference_high,p")
    assert len(rows) == 1 + len(report.table.rows)


def test_columns_survive_the_reading():
    header = (
        "id,speaker,reference,hypothesis,words,word_substitutions,word_deletions,word_insertions,"
        "characters,char_substitutions,char_deletions,char_insertions,metric:first,weight:first,other"
    )
    frame, fault = parse_results(f"{header}\na,s,one,one,1,0,0,0,3,0,0,0,0.5,2,x\n".encode())
    assert fault == ""
    assert frame.loc[0, "metric:first"] == 0.5
    assert frame.loc[0, "weight:first"] == 2
    assert "other" not in frame
