import importlib
from pathlib import Path

import pytest

from paraformer_platform.config.conversion import config_from_dict, config_to_dict, flatten, unflatten
from paraformer_platform.config.identity import WITHOUT_EFFECT, code_version, trial_key
from paraformer_platform.config.schema import ExperimentConfig

BASE = ExperimentConfig()


def _with(path: str, value: object) -> ExperimentConfig:
    flat = flatten(config_to_dict(BASE))
    assert path in flat
    return config_from_dict(unflatten({**flat, path: value}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.encoder.num_layers", 3),
        ("model.use_predictor", False),
        ("data.max_feat_len", 200),
        ("training.seed", 12),
        ("training.precision", "bf16"),
        ("decoding.strategy", "ctc_greedy"),
    ],
)
def test_what_changes_the_result_changes_the_key(path: str, value: object) -> None:
    assert trial_key(_with(path, value), "data", "code") != trial_key(BASE, "data", "code")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("resources.workers", 2),
        ("resources.cpus_per_worker", 4.0),
        ("resources.execution", "ray_train"),
        ("tracking.uri", "http://elsewhere"),
        ("tracking.experiment", "other"),
        ("storage", "/elsewhere"),
        ("data.folder", "/elsewhere"),
        ("data.recipe", "recipe.yaml"),
        ("data.train", "all.tsv"),
        ("training.loader_workers", 3),
    ],
)
def test_what_cannot_change_the_result_does_not(path: str, value: object) -> None:
    assert trial_key(_with(path, value), "data", "code") == trial_key(BASE, "data", "code")


def test_data_and_code_enter() -> None:
    keys = {trial_key(BASE, data, code) for data in ("d1", "d2") for code in ("c1", "c2")}
    assert len(keys) == 4
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys)


def test_every_exempt_key_exists() -> None:
    flat = flatten(config_to_dict(BASE))
    for beginning in WITHOUT_EFFECT:
        assert any(key.startswith(beginning) for key in flat), beginning


def test_code_version_is_stable() -> None:
    first = code_version()
    code_version.cache_clear()
    assert code_version() == first


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.encoder.attention", "own_part_of_a_test:Attention"),
        ("data.reader", "own_part_of_a_test:Attention"),
        ("decoding.metrics", ["own_part_of_a_test:Attention"]),
    ],
)
def test_a_part_of_the_users_own_enters_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, value: object
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    config = _with(path, value)
    keys = [trial_key(config, "data", "code")]
    for text in ("class Attention: ...", "class Attention: 'other'", "class Attention: ..."):
        (tmp_path / "own_part_of_a_test.py").write_text(text)
        importlib.invalidate_caches()
        keys.append(trial_key(config, "data", "code"))
    assert keys[1] == keys[3]
    assert len(set(keys)) == 3
