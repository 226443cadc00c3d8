"""The table of simulated sweeps: its verdicts are right because the truth is known."""

from dataclasses import replace

import jiwer
import pytest

from paraformer_analysis.display import error_grid, main_grid
from paraformer_analysis.errors import AnalysisError
from paraformer_analysis.records import read_sweep
from paraformer_analysis.store import TrackingStore
from paraformer_analysis.table import build_table
from paraformer_analysis.verdicts import Verdict, judge
from paraformer_analysis.verdicts import answer as sentences


def table_of(stored):
    return build_table(read_sweep(TrackingStore(stored.uri), stored.name))


def answer(table):
    return " ".join(sentence.text for sentence in sentences(table))


def verdicts(table):
    return {row.variant: row.verdict for row in table.rows}


def test_verdicts_of_known_truths(demo_store):
    found = verdicts(table_of(demo_store))
    assert found["baseline"] is Verdict.BASELINE
    assert found["no-predictor"] is Verdict.WORSE
    assert found["encoder-2"] is Verdict.EQUIVALENT
    assert found["dim-256"] in (Verdict.INCONCLUSIVE, Verdict.EQUIVALENT)


def test_rates_are_corpus_rates_as_jiwer_counts_them(demo_store):
    records = read_sweep(TrackingStore(demo_store.uri), "demo")
    row = build_table(records).rows[0]
    trials = records.utterances[records.utterances["variant"] == "baseline"].groupby("seed")
    rates = [jiwer.wer(list(part["reference"]), list(part["hypothesis"])) for _, part in trials]
    assert row.rate.value == pytest.approx(sum(rates) / 3)


def test_the_difference_is_that_of_the_rates(demo_store):
    baseline, *others = table_of(demo_store).rows
    for row in others:
        assert row.difference.value == pytest.approx(row.rate.value - baseline.rate.value)


def test_a_variant_without_a_ctc_head_has_no_ctc_error_rate(demo_store):
    records = read_sweep(TrackingStore(demo_store.uri), "demo")
    without = records.utterances["variant"] == "encoder-2"
    utterances = records.utterances.astype({"ctc_word_errors": float, "ctc_char_errors": float})
    utterances.loc[without, ["ctc_word_errors", "ctc_char_errors"]] = None
    grid = error_grid(build_table(replace(records, utterances=utterances)))
    column = grid.heads.index("CTC WER")
    shown = {row[0].text: row[column].text for row in grid.rows}
    assert shown["encoder-2"] == "–"
    assert float(shown["baseline"]) > 0


def test_a_better_variant_is_called_better(store_sweep):
    table = table_of(store_sweep(variants={"baseline": 0.3, "deep": 0.08}, utterances=150, speakers=15))
    assert verdicts(table)["deep"] is Verdict.BETTER
    assert "Better: deep by " in answer(table)


def test_characters_are_tested_when_the_sweep_asks_for_cer(store_sweep):
    stored = store_sweep(lock={"metric": {"name": "test/cer", "goal": "minimize"}})
    table = table_of(stored)
    assert table.unit == "character"
    assert table.rows[0].rate.value == pytest.approx(table.details.loc["baseline", "cer"])


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_with_few_seeds_the_answer_says_what_it_cannot_tell(store_sweep, seeds):
    table = table_of(store_sweep(variants={"baseline": 0.1, "small": 0.3}, seeds=seeds))
    assert not table.seed_spread_known
    assert "With fewer than three seeds the spread over seeds cannot be estimated" in answer(table)
    assert (table.rows[1].mapsswe is not None) == (len(seeds) == 1)


def test_a_failed_baseline_leaves_rows_untested_and_says_so(store_sweep):
    states = {("baseline", seed): "failed" for seed in (11, 22, 33)}
    table = table_of(store_sweep(variants={"baseline": 0.1, "small": 0.2}, states=states))
    assert verdicts(table) == {"baseline": Verdict.BASELINE, "small": Verdict.UNTESTED}
    assert answer(table).startswith("No answer yet: the baseline has no finished trial")


def test_without_a_declared_baseline_nothing_is_tested(store_sweep):
    table = table_of(store_sweep(variants={"a": 0.1, "b": 0.2}, lock={"baseline": None}))
    assert table.baseline is None
    assert all(row.p != row.p for row in table.rows)  # NaN
    assert answer(table).startswith("The sweep declares no baseline, so nothing is tested. The lowest")


def test_only_shared_seeds_are_paired(store_sweep):
    table = table_of(store_sweep(states={("baseline", 33): "failed"}))
    assert {row.difference.seeds for row in table.rows if row.difference} == {2}
    assert any("shares 2 of its 3 seeds" in deviation.what for deviation in table.deviations)


def test_empty_references_count_their_insertions_and_are_named(store_sweep):
    table = table_of(store_sweep(empty_references=3))
    assert any("3 empty references" in deviation.what for deviation in table.deviations)


def test_only_empty_references_are_refused(store_sweep):
    with pytest.raises(AnalysisError, match="all 5 test references are empty"):
        table_of(store_sweep(utterances=5, empty_references=5))


@pytest.mark.parametrize("equivalence_margin", [None, 1.0])
def test_a_single_test_utterance_settles_nothing(store_sweep, equivalence_margin):
    stored = store_sweep(
        variants={"baseline": 0.05, "worst": 0.95},
        utterances=1,
        lock={"report": {"equivalence_margin": equivalence_margin}},
    )
    table = table_of(stored)
    assert verdicts(table)["worst"] is Verdict.INCONCLUSIVE
    assert "Worse" not in answer(table)


def test_seeds_that_agree_by_chance_are_marked(demo_store):
    table = table_of(demo_store)
    first, *others = table.rows
    agreed = [replace(row, difference=replace(row.difference, seeds_agree=True)) for row in others]
    grid = main_grid(replace(table, rows=(first, *agreed)))
    assert all(row[6].text.endswith(" §") for row in grid.rows[1:])
    assert "§ The seeds happen to agree" in grid.note
    assert "§" not in main_grid(replace(table, rows=(first,))).note


def test_too_few_speakers_are_not_resampled(store_sweep):
    table = table_of(store_sweep(speakers=3))
    assert table.scores.block_kind == "utterance"
    assert any("holds 3 speakers, too few" in deviation.what for deviation in table.deviations)


def test_enough_speakers_are_resampled_whole(demo_store):
    scores = table_of(demo_store).scores
    assert (scores.block_kind, scores.blocks.max() + 1) == ("speaker", 20)


def test_trials_scored_on_other_references_are_refused(store_sweep):
    header = (
        "id,speaker,reference,hypothesis,words,word_substitutions,word_deletions,word_insertions,"
        "characters,char_substitutions,char_deletions,char_insertions"
    )
    other = f"{header}\nutt0000,speaker00,one,one,1,0,0,0,3,0,0,0\n"
    with pytest.raises(AnalysisError, match="references of different length"):
        table_of(store_sweep(results={("dim-256", 11): other}))


@pytest.mark.parametrize(
    ("difference", "p", "p_equivalent", "expected"),
    [
        (0.1, 0.01, None, Verdict.WORSE),
        (-0.1, 0.01, None, Verdict.BETTER),
        (0.1, 0.2, 0.01, Verdict.EQUIVALENT),
        (0.1, 0.2, 0.2, Verdict.INCONCLUSIVE),
        (0.1, 0.2, None, Verdict.INCONCLUSIVE),
        (0.1, 0.05, None, Verdict.INCONCLUSIVE),
    ],
)
def test_judgement(difference, p, p_equivalent, expected):
    assert judge(difference, p, p_equivalent, 0.05) is expected


EARLY = {"variants": {"baseline": 0.1, "cut": 0.3, "whole": 0.3}, "early": [("cut", 33)]}


def test_rows_that_early_termination_cut_are_not_tested(store_sweep):
    """The seeds that it spared are the lucky ones."""
    table = table_of(store_sweep(**EARLY))
    assert verdicts(table) == {
        "baseline": Verdict.BASELINE,
        "cut": Verdict.UNTESTED,
        "whole": Verdict.WORSE,
    }
    assert "Not tested, since early termination stopped some of the trials: cut" in answer(table)
    row = {row.variant: row for row in table.rows}["cut"]
    assert (row.cut, row.finished, row.difference) == (1, 2, None)
    assert row.rate is not None
    assert row.state == "stopped early by the sweep's scheduler"
    assert "untested ‡" in [cell.text for cell in main_grid(table).rows[1]]


def test_a_cut_baseline_leaves_everything_untested(store_sweep):
    table = table_of(store_sweep(variants={"baseline": 0.1, "small": 0.3}, early=[("baseline", 11)]))
    assert verdicts(table)["small"] is Verdict.UNTESTED


def test_what_was_cut_is_tested_and_marked_where_the_sweep_allows_bias(store_sweep):
    lock = {"early_terminate": {"type": "asha", "allow_biased": True}}
    table = table_of(store_sweep(**EARLY, lock=lock))
    assert verdicts(table)["cut"] is Verdict.WORSE
    assert "‡" in main_grid(table).note
    assert any("‡" in cell.text for cell in main_grid(table).rows[1])
