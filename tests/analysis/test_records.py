"""Reading sweeps out of real MLflow stores: whole ones, broken ones, and none."""

import time

import pytest
from mlflow import MlflowClient

from paraformer_analysis.errors import AnalysisError
from paraformer_analysis.records import read_pair, read_sweep
from paraformer_analysis.store import TrackingStore

TWO = {"baseline": 0.1, "small": 0.2}


def read(stored, name="demo"):
    return read_sweep(TrackingStore(stored.uri), name)


def notes(records):
    return [f"{deviation.subject}: {deviation.what}" for deviation in records.deviations]


def test_a_whole_sweep_has_every_trial_and_utterance(demo_store):
    records = read(demo_store)
    assert len(records.runs) == 12
    assert records.runs["usable"].all()
    assert len(records.utterances) == 12 * 200
    assert records.deviations == ()
    assert set(records.curves["metric"]) == {"dev/wer", "train/loss"}


def test_a_sweep_is_found_by_its_run_id_too(demo_store):
    assert read(demo_store, demo_store.parent_run_id).design.name == "demo"


def test_the_newest_sweep_of_a_name_is_taken(store_sweep):
    store_sweep(variants=TWO)
    second = store_sweep(variants={**TWO, "third": 0.3}, random_state=5)
    found = read(second, second.parent_run_id)
    assert len(found.design.variants) == 3


def test_an_unknown_sweep_is_refused_with_those_there_are(demo_store):
    with pytest.raises(AnalysisError, match=r"no sweep named 'dmeo'.*it holds demo"):
        read(demo_store, "dmeo")


def test_a_name_that_is_nearly_right_is_asked_back(demo_store):
    with pytest.raises(AnalysisError, match=r"'dmeo' .*did you mean demo"):
        read(demo_store, "dmeo")
    with pytest.raises(AnalysisError, match=r"did you mean demo/baseline/11"):
        read_pair(TrackingStore(demo_store.uri), "demo/baseline/1", "demo/baseline/22")


def test_a_store_that_is_not_there_is_refused_and_not_made(tmp_path):
    with pytest.raises(AnalysisError, match=r"there is no MLflow store at sqlite.*--tracking-uri"):
        TrackingStore(f"sqlite:///{tmp_path}/nothing.db")
    assert not list(tmp_path.iterdir())


def test_a_server_that_does_not_answer_is_said_and_not_waited_for(monkeypatch):
    """Nobody listens at port 9 of this machine; MLflow would try again for minutes."""
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    begun = time.monotonic()
    with pytest.raises(AnalysisError, match=r"http://127.0.0.1:9 cannot be read.*start its server"):
        TrackingStore("http://127.0.0.1:9").find_sweep("demo")
    assert time.monotonic() - begun < 60


def test_a_sweep_without_a_finished_trial_says_what_there_is(store_sweep):
    states = {(variant, seed): "failed" for variant in TWO for seed in (1, 2)} | {("small", 2): "running"}
    with pytest.raises(
        AnalysisError, match=r"no finished trial.*of 4 planned, 3 × failed: OutOfMemory.*1 × running"
    ):
        read(store_sweep(variants=TWO, seeds=(1, 2), states=states))


@pytest.mark.parametrize("state", ["failed", "stopped", "running", "missing"])
def test_an_unfinished_trial_keeps_its_row_and_is_named(store_sweep, state):
    records = read(store_sweep(variants=TWO, states={("small", 22): state}))
    row = records.runs.set_index(["variant", "seed"]).loc[("small", 22)]
    assert (len(records.runs), row["state"], row["usable"]) == (6, state, False)
    assert any(note.startswith("small, seed 22: left out") for note in notes(records))


def test_of_duplicated_runs_the_oldest_is_used_and_said(store_sweep):
    stored = store_sweep(variants=TWO, duplicates=[("small", 11)])
    records = read(stored)
    assert len(records.runs) == 6
    assert stored.run_ids[("small", 11)] in set(records.runs["run_id"])
    assert any("has 2 runs" in note for note in notes(records))


def test_a_metric_that_is_not_a_number_is_named(store_sweep):
    records = read(store_sweep(variants=TWO, metrics={("small", 11): {"train/loss": float("nan")}}))
    assert "small, seed 11: train/loss not finite at the end" in notes(records)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("", "cannot be read"),
        ("id,speaker\na,b\n", "has no column reference"),
        ("HEADER\n", "has no utterance"),
        ("HEADER\nu,s,a,b,1,x,0,0,1,1,0,0\n", "not whole numbers"),
        ("HEADER\nu,s,a,b,1,nan,0,0,1,1,0,0\n", "not whole numbers"),
        ("HEADER\nu,s,a,b,1,1,0,0,1,1,0,0\nu,s,a,b,1,1,0,0,1,1,0,0\n", "holds the utterance u twice"),
    ],
    ids=["empty", "columns", "no rows", "text for a count", "NaN", "twice"],
)
def test_results_that_cannot_be_trusted_are_left_out(store_sweep, table, reason):
    header = (
        "id,speaker,reference,hypothesis,words,word_substitutions,word_deletions,word_insertions,"
        "characters,char_substitutions,char_deletions,char_insertions"
    )
    records = read(store_sweep(variants=TWO, results={("small", 11): table.replace("HEADER", header)}))
    row = records.runs.set_index(["variant", "seed"]).loc[("small", 11)]
    assert not row["usable"]
    assert reason in row["reason"]


def test_a_hypothesis_that_spells_nan_stays_a_word(store_sweep):
    header = (
        "id,speaker,reference,hypothesis,words,word_substitutions,word_deletions,word_insertions,"
        "characters,char_substitutions,char_deletions,char_insertions"
    )
    table = f"{header}\nu,s,null,nan,1,1,0,0,4,4,0,0\n"
    records = read(store_sweep(variants={"baseline": 0.1}, seeds=(1,), results={("baseline", 1): table}))
    assert records.utterances[["reference", "hypothesis"]].iloc[0].tolist() == ["null", "nan"]


def test_any_two_trials_can_be_compared(demo_store):
    records = read_pair(
        TrackingStore(demo_store.uri), "demo/baseline/11", demo_store.run_ids[("no-predictor", 22)]
    )
    assert [variant.id for variant in records.design.variants] == ["demo/baseline/11", "demo/no-predictor/22"]
    assert "demo/no-predictor/22: trained from seed 22, the other from seed 11" in notes(records)


def test_a_trial_is_not_compared_with_itself(demo_store):
    with pytest.raises(AnalysisError, match="are the same trial"):
        read_pair(TrackingStore(demo_store.uri), "demo/baseline/11", "demo-baseline-11")


def test_an_interrupted_trial_is_not_taken_for_one_that_was_stopped_early(store_sweep):
    records = read(store_sweep(variants=TWO, states={("small", 11): "stopped"}, early=[("small", 22)]))
    early = records.runs.set_index(["variant", "seed"])["early"]
    assert not early[("small", 11)]
    assert early[("small", 22)]


def test_mixed_machines_and_code_are_red_and_come_first(store_sweep):
    stored = store_sweep(
        variants=TWO,
        metrics={("baseline", 11): {"train/loss": float("inf")}},
        environments={("small", 22): {"cpu": "another processor", "gpu": ["H100"], "torch": "2.13.0"}},
    )
    client = MlflowClient(stored.uri)
    client.set_tag(stored.run_ids[("small", 11)], "paraformer.code", "e" * 16)
    client.set_tag(stored.run_ids[("small", 33)], "paraformer.attempt", "3")
    found = read(stored).deviations
    red = [f"{deviation.subject}: {deviation.what}" for deviation in found if deviation.red]
    for words in ("2 code versions", "2 kinds of processor", "2 kinds of GPU", "2 versions of torch"):
        assert any(words in line for line in red)
    assert [deviation.red for deviation in found] == sorted((each.red for each in found), reverse=True)
    assert found[-1].what == "took 3 attempts; each went on from the last one's checkpoint"
    assert not found[-1].red


def test_a_training_that_ended_by_its_own_patience_is_told(store_sweep):
    stored = store_sweep(variants=TWO, metrics={("small", 11): {"epoch": 12.0}})
    MlflowClient(stored.uri).log_param(stored.run_ids[("small", 11)], "training.num_epochs", 20)
    assert "small, seed 11: ended after 12 of 20 epochs, its dev score no longer improving" in notes(
        read(stored)
    )
