import pytest

from paraformer.errors import ConfigError
from paraformer.recipe import SynthesisRecipe, timbre_of

pytest.importorskip("espeakng_loader", reason="eSpeak NG is an extra: pip install '.[speech]'")


def values(**changes):
    return {
        "name": "tiny",
        "grammar": {"start": "all", "rules": {"all": ["<digit>[1,2]"], "digit": ["one", "two"]}},
        "splits": {
            "train": {"utterances": 3, "voices": ["en-us+f1", "en-gb+m1"]},
            "test": {"utterances": 2, "voices": ["en-us+f3"]},
        },
        **changes,
    }


def faults(**changes):
    with pytest.raises(ConfigError) as raised:
        SynthesisRecipe.from_dict(values(**changes), "tiny.yaml")
    return str(raised.value).splitlines()


def test_plain_values_become_a_recipe():
    recipe = SynthesisRecipe.from_dict(values(seed=7, speed=[100, 200], noise_snr_db=None), "tiny.yaml")
    assert recipe.splits["train"].voices == ("en-us+f1", "en-gb+m1")
    assert recipe.speed == (100.0, 200.0)
    assert recipe.noise_snr_db is None
    assert recipe.faults() == []


def test_every_fault_is_listed_with_file_path_value_and_remedy():
    found = faults(sede=3, seed="x", speed=[1, 2, 3], pitch=50)
    assert found == [
        "tiny.yaml: sede: there is no such key; did you mean seed?",
        "tiny.yaml: seed: must be a whole number, but is 'x'",
        "tiny.yaml: speed: must be two numbers [least, greatest], but is [1, 2, 3]",
        "tiny.yaml: pitch: must be two numbers [least, greatest], but is 50",
    ]


def test_missing_keys_are_named():
    with pytest.raises(ConfigError, match=r"tiny\.yaml: grammar: is missing\ntiny\.yaml: splits: is missing"):
        SynthesisRecipe.from_dict({"name": "tiny"}, "tiny.yaml")


def test_impossible_values():
    assert faults(speed=[10, 200]) == [
        "tiny.yaml: speed: must be [least, greatest] within 80 … 450, but is [10.0, 200.0]"
    ]
    assert faults(splits={"train": {"utterances": 0, "voices": []}}) == [
        "tiny.yaml: splits.train.utterances: must be at least 1, but is 0",
        "tiny.yaml: splits.train.voices: must name at least one voice",
    ]
    assert "did you mean f3?" in faults(splits={"train": {"utterances": 1, "voices": ["en-us+f33"]}})[0]
    assert faults(splits={"train": 3})[0].startswith("tiny.yaml: splits.train: must be utterances:")
    grammar = {"start": "a", "rules": {"a": ["<b>"]}}
    assert faults(grammar=grammar)[0].startswith("tiny.yaml: grammar.rules.a: '<b>' refers to <b>")


def test_words_that_yaml_reads_as_truth_values_are_pointed_out():
    found = faults(grammar={"start": "a", "rules": {"a": [True, "maybe"]}})
    assert 'put "yes", "no", "on", "off" and "null" in quotes' in found[0]


def test_splits_share_neither_voice_nor_timbre():
    assert timbre_of("en-gb+f3") == timbre_of("en-us+f3") == "f3"
    assert timbre_of("en-us") == "en-us"
    splits = {
        "train": {"utterances": 1, "voices": ["en-us+f3"]},
        "test": {"utterances": 1, "voices": ["en-gb+f3"]},
    }
    assert faults(splits=splits) == [
        "tiny.yaml: splits.test.voices: variant 'f3' is in splits.train too; splits must not share a variant"
    ]
