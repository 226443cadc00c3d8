"""Groups of utterances: who is in them, that each is tested as the whole is, and what their number costs."""

import numpy as np
import pytest

from paraformer_analysis.comparisons import holm
from paraformer_analysis.records import read_sweep
from paraformer_analysis.slices import build_slices, utterance_groups
from paraformer_analysis.store import TrackingStore
from paraformer_analysis.table import build_table

WITH_CHILDREN = {
    "variants": {"baseline": 0.1, "worse": 0.3, "same": 0.1},
    "children": 0.15,
    "utterances": 240,
    "speakers": 24,
}


@pytest.fixture(scope="module")
def sliced(write_into, tmp_path_factory):
    """Records, table and slices of a sweep in which every other speaker is a child."""
    stored = write_into(tmp_path_factory.mktemp("slices"), **WITH_CHILDREN)
    records = read_sweep(TrackingStore(stored.uri), "demo")
    table = build_table(records)
    return records, table, build_slices(records, table)[0]


def of_store(stored):
    records = read_sweep(TrackingStore(stored.uri), "demo")
    table = build_table(records)
    return records, table, *build_slices(records, table)


def test_groups_divide_the_test_set(sliced):
    records, table, _ = sliced
    groups, _ = utterance_groups(records, table.scores)
    assert set(groups) == {"length", "age"}
    assert set(groups["age"]) == {"adult", "child"}
    for levels in groups.values():
        assert (np.sum(list(levels.values()), axis=0) == 1).all()
    lengths = table.scores.lengths
    short, middle, long = groups["length"].values()
    assert lengths[short].max() < lengths[middle].min() <= lengths[middle].max() < lengths[long].min()


def test_differences_of_groups_add_up_to_that_of_the_table(sliced):
    """Weighted by their words, the differences within groups are the whole difference."""
    _, table, slices = sliced
    for row in table.rows[1:]:
        for group in ("length", "age"):
            parts = [one for one in slices if (one.group, one.variant) == (group, row.variant)]
            total = sum(one.difference.value * one.units for one in parts) / sum(one.units for one in parts)
            assert total == pytest.approx(row.difference.value)


def test_children_are_recognised_worse_and_the_change_hurts_both(sliced):
    _, _, slices = sliced
    by = {(one.variant, one.level): one for one in slices}
    assert by["same", "child"].baseline > by["same", "adult"].baseline + 0.05
    assert by["worse", "child"].difference.low > 0
    assert by["worse", "adult"].difference.low > 0


def test_the_correction_is_over_all_groups_and_variants_together(sliced):
    _, _, slices = sliced
    assert len(slices) == 2 * 5
    assert [one.p_corrected for one in slices] == holm([one.p for one in slices])


def test_few_speakers_in_a_group_are_not_resampled_whole(store_sweep):
    """Ten speakers of which five are children: utterances are resampled within the groups of age."""
    *_, slices, _ = of_store(store_sweep(**{**WITH_CHILDREN, "speakers": 10, "utterances": 120}))
    blocks = {one.level: one.difference.blocks for one in slices if one.group == "age"}
    assert min(blocks.values()) > 40
    assert all(one.difference.blocks <= 10 for one in slices if one.group == "length")


def test_data_without_groups_has_only_lengths(store_sweep):
    *_, slices, _ = of_store(store_sweep(variants={"baseline": 0.1, "small": 0.2}, utterances=90))
    assert {one.group for one in slices} == {"length"}


def test_a_group_that_is_too_small_is_not_looked_at(store_sweep):
    *_, slices, _ = of_store(store_sweep(variants={"baseline": 0.1, "small": 0.2}, utterances=30))
    assert slices == []


@pytest.mark.parametrize(
    ("asked", "groups"), [(["age"], {"age"}), ([], set()), (["length", "accent"], {"length"})]
)
def test_a_sweep_file_may_say_which(store_sweep, asked, groups):
    *_, slices, notes = of_store(
        store_sweep(**WITH_CHILDREN, lock={"report": {"slices": asked, "bootstrap": 200}})
    )
    assert {one.group for one in slices} == groups
    missing = [note.what for note in notes]
    assert missing == (
        ["asks for accent, by which the test set cannot be divided; it can by length, age"]
        if "accent" in asked
        else []
    )


def test_without_a_baseline_there_is_nothing_to_compare(store_sweep):
    *_, slices, _ = of_store(
        store_sweep(variants={"a": 0.1, "b": 0.2}, utterances=90, lock={"baseline": None})
    )
    assert slices == []
