"""Searches: what they tried is told apart from what was trained again, and only the latter makes a table."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from paraformer_analysis.history import search_history
from paraformer_analysis.records import read_sweep
from paraformer_analysis.report import make_report, report_sweep
from paraformer_analysis.stages import compared, searched
from paraformer_analysis.store import TrackingStore

TRIED = 12
FRESH = (101, 102, 103)
# The lower the learning rate, the better, on dev and on test.
RATES = {f"lr-{number}": 0.08 + 0.02 * number for number in range(TRIED)}
CHANGES = {
    name: {"training.learning_rate": 1e-4 * (number + 1), "training.seed_of_nothing": number * 7 % TRIED}
    for number, name in enumerate(RATES)
}
ORDER = [f"lr-{number}" for number in (5, 7, 3, 9, 0, 1, 2, 4, 6, 8, 10, 11)]
CONFIRM = {"top": 1, "seeds": list(FRESH), "metric": "dev/wer", "chosen": ["lr-0"]}


def search_sweep(store_sweep, confirm=True, fresh=FRESH, **more):
    variants = {**{name: RATES[name] for name in ORDER}, "baseline": 0.2}
    tried = [{"trial_key": f"demo-{name}-11", "variant": name, "seed": 11} for name in ORDER]
    again = [
        {"trial_key": f"demo-{name}-{seed}", "variant": name, "seed": seed, "stage": "confirm"}
        for name in ("baseline", "lr-0")
        for seed in fresh
    ]
    lock = {
        "method": "bayes",
        "trials": tried + (again if confirm else []),
        "confirm": CONFIRM if confirm else None,
        "baseline": "baseline" if confirm else None,
    }
    if not confirm:
        variants.pop("baseline")
    return store_sweep(variants=variants, changes=CHANGES, seeds=(11,), lock=lock, **more)


@pytest.fixture(scope="module")
def confirmed(write_into, tmp_path_factory):
    """A search with its winner confirmed, and its report."""
    folder = tmp_path_factory.mktemp("search")
    stored = search_sweep(partial(write_into, folder), utterances=100)
    made = report_sweep(stored.uri, "demo", folder / "report", log=False)
    return stored, made, folder / "report"


def test_only_trials_from_fresh_seeds_are_compared(confirmed):
    stored, made, _ = confirmed
    records = read_sweep(TrackingStore(stored.uri), "demo")
    fresh = compared(records)
    assert set(fresh.runs["seed"]) == set(FRESH)
    assert set(fresh.utterances["seed"]) == set(FRESH)
    assert fresh.design.seeds == FRESH
    assert [row.variant for row in made.table.rows] == ["baseline", "lr-0"]
    assert made.table.rows[1].verdict.value == "better"
    assert set(searched(records).runs["seed"]) == {11}


def test_the_answer_says_that_it_is_from_training_again(confirmed):
    answer = confirmed[1].answer
    assert answer.startswith("Of 12 variants the search found lr-0 best by dev/wer; what follows is from")
    assert "from 3 fresh seeds" in answer
    assert "Better: lr-0 by" in answer


def test_the_best_so_far_never_rises_and_ends_at_the_best(confirmed):
    history = confirmed[1].history
    best = [proposal.best_so_far for proposal in history.proposals]
    assert best == sorted(best, reverse=True)
    assert best[-1] == min(proposal.value for proposal in history.proposals)
    assert [proposal.variant for proposal in history.proposals] == ORDER
    assert history.ranked[0].variant == "lr-0"
    assert [proposal.variant for proposal in history.proposals if proposal.chosen] == ["lr-0"]


def test_values_are_of_the_epoch_whose_weights_are_kept(confirmed):
    """Dev falls from epoch to epoch in the simulated curves: 0.5 / 5 above the rate at the last of five."""
    stored, made, _ = confirmed
    run = TrackingStore(stored.uri).client.get_run(stored.run_ids[("lr-5", 11)])
    assert made.history.proposals[0].value == pytest.approx(run.data.metrics["dev/wer"])


def test_no_test_score_of_the_search_is_anywhere(confirmed):
    _, made, folder = confirmed
    trials = pd.read_csv(folder / "trials.csv")
    assert trials.loc[trials["seed"] == 11, "wer"].isna().all()
    assert trials.loc[trials["seed"] > 100, "wer"].notna().all()
    assert set(pd.read_csv(folder / "table.csv")["variant"]) == {"baseline", "lr-0"}
    assert list(pd.read_csv(folder / "search.csv")["metric"].unique()) == ["dev/wer"]
    assert {row.variant for row in made.table.rows} == set(made.shown.utterances["variant"])


def test_what_mattered_is_told_and_called_descriptive(confirmed):
    _, made, folder = confirmed
    shares = made.history.importances
    assert shares["training.learning_rate"] > shares["training.seed_of_nothing"]
    markdown = (folder / "report.md").read_text()
    assert "Descriptive: adaptively sampled" in markdown
    for picture in ("search_history", "importances"):
        assert (folder / "figures" / f"{picture}.png").stat().st_size > 5000
    assert "12 variants tried, chosen by dev/wer; 12 of 12 trials finished" in markdown


def test_an_unconfirmed_search_has_no_table_and_says_what_to_do(store_sweep, tmp_path):
    stored = search_sweep(store_sweep, confirm=False)
    made = report_sweep(stored.uri, "demo", tmp_path, log=False)
    assert made.answer.startswith("Nothing is established yet. By dev/wer the best of 12 variants is lr-0")
    assert "add confirm: {top: 1, seeds: [101, 102, 103]}" in made.answer
    assert not (tmp_path / "table.csv").exists()
    assert "wer" not in pd.read_csv(tmp_path / "trials.csv")
    page = (tmp_path / "report.html").read_text()
    assert 'id="main"' not in page
    assert 'id="search"' in page
    assert made.main_grid.rows[0][0].text == "lr-0"


def made_of(stored):
    return make_report(read_sweep(TrackingStore(stored.uri), "demo"), stored.uri)


def test_a_confirmation_that_has_not_ended_is_counted(store_sweep):
    cells = {(variant, seed): "missing" for variant in ("baseline", "lr-0") for seed in FRESH}
    made = made_of(search_sweep(store_sweep, states=cells))
    assert "0 of 6 trials that train it again" in made.answer
    assert not made.comparable


def test_a_confirmation_of_which_the_baseline_is_missing_tests_nothing(store_sweep):
    states = {("baseline", seed): "failed" for seed in FRESH}
    made = made_of(search_sweep(store_sweep, states=states))
    assert "No answer yet: the baseline has no finished trial" in made.answer


def test_a_search_of_which_nothing_has_a_value_says_so(store_sweep):
    """NaN on dev from the first epoch on: trials finish, and there is nothing to choose by."""
    stored = search_sweep(store_sweep, confirm=False)
    records = read_sweep(TrackingStore(stored.uri), "demo")
    curves = records.curves.assign(value=float("nan"))
    history = search_history(type(records)(**{**records.__dict__, "curves": curves}))
    assert all(proposal.value != proposal.value for proposal in history.proposals)
    assert history.importances is None


def test_a_random_sweep_without_confirmation_is_compared_as_it_was_drawn(store_sweep, tmp_path: Path):
    variants = {"baseline": 0.1, "a": 0.3, "b": 0.12}
    stored = store_sweep(variants=variants, lock={"method": "random"}, utterances=200)
    made = report_sweep(stored.uri, "demo", tmp_path, log=False)
    assert made.comparable
    assert made.table.rows[1].verdict.value == "worse"
    markdown = (tmp_path / "report.md").read_text()
    assert "drawn at random before any result was known" in markdown
    assert "lest anything be chosen by them" not in markdown
