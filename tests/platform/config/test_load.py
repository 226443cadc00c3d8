from pathlib import Path

import pytest

from paraformer.errors import ConfigError
from paraformer_platform.config.conversion import config_from_dict, config_to_dict, flat_params
from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_tutorials_numbers(repository: Path) -> None:
    """The base file's numbers are part of the tutorial and stay as they are."""
    params = flat_params(load_experiment(repository / "experiments" / "paraformer_base.yaml").config)
    expected = {
        "model.encoder.num_layers": 6,
        "model.encoder.hidden_dim": 512,
        "model.encoder.num_heads": 8,
        "model.predictor.num_layers": 2,
        "model.predictor.hidden_dim": 256,
        "model.decoder.num_layers": 6,
        "model.decoder.hidden_dim": 512,
        "data.vocab_size": 100,
        "data.feature_dim": 80,
        "data.max_feat_len": 300,
        "data.max_token_len": 60,
        "training.batch_size": 16,
        "training.learning_rate": 0.0001,
        "training.num_epochs": 100,
    }
    assert {key: params[key] for key in expected} == expected


@pytest.mark.parametrize("name", ["paraformer_base.yaml", "paraformer_small.yaml"])
def test_every_experiment_file_loads(repository: Path, name: str) -> None:
    assert load_experiment(repository / "experiments" / name).config.data.folder == "data/digits"


def test_layers_and_where_each_value_came_from(tmp_path: Path) -> None:
    _write(tmp_path, "base.yaml", "training:\n  batch_size: 4\n  num_epochs: 9\n  seed: 1\n")
    path = _write(tmp_path, "own.yaml", "base: base.yaml\ntraining: {num_epochs: 8, seed: 2}\n")
    loaded = load_experiment(path, ["training.seed=3"], set={"model.use_predictor": False})
    training = loaded.config.training
    assert (training.batch_size, training.num_epochs, training.seed) == (4, 8, 3)
    assert not loaded.config.model.use_predictor
    wanted = {
        "training.batch_size": f"{tmp_path}/base.yaml:2",
        "training.num_epochs": f"{path}:2",
        "training.seed": "--override",
        "model.use_predictor": "set",
        "training.precision": "default",
    }
    assert {key: loaded.provenance[key] for key in wanted} == wanted
    assert set(loaded.provenance) == set(flat_params(loaded.config))


@pytest.mark.parametrize("text", ["1e-5", "1.0e-5", "0.00001"])
def test_exponents_are_numbers(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path, "x.yaml", f"training: {{learning_rate: {text}}}\n")
    assert load_experiment(path).config.training.learning_rate == 1e-5
    assert load_experiment(path, [f"training.learning_rate={text}"]).config.training.learning_rate == 1e-5


def test_every_fault_at_once(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "x.yaml",
        "model:\n"
        "  encoder: {num_layer: 3, hidden_dim: 30, num_heads: 7}\n"
        "training:\n"
        "  num_epochs: '12'\n"
        "  batch_size: 0\n"
        "  precision: fp8\n"
        "data: {augment: {speeds: [0.9, fast]}}\n",
    )
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, ["training.learning_rate=.nan"])
    assert sorted(str(caught.value).splitlines()) == [
        "--override: training.learning_rate: must be a number, not 'nan'",
        f"{path}:2: model.encoder.hidden_dim: hidden_dim (30) must be divisible by num_heads (7)",
        f"{path}:2: model.encoder.num_layer: unknown key; did you mean num_layers?",
        f"{path}:4: training.num_epochs: must be a whole number, not '12'",
        f"{path}:5: training.batch_size: batch_size (0) must be at least 1",
        f"{path}:6: training.precision: precision (fp8) must be one of fp32, bf16, fp16",
        f"{path}:7: data.augment.speeds: must be a number, not 'fast'",
    ]


def test_a_key_at_the_wrong_place_is_shown_its_own(tmp_path: Path) -> None:
    path = _write(tmp_path, "x.yaml", "vocab_size: 50\n")
    with pytest.raises(
        ConfigError, match=r"x.yaml:1: vocab_size: unknown key; did you mean data.vocab_size\?"
    ):
        load_experiment(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "must hold keys with values"),
        ("training: {\n", "is not valid YAML"),
        ("training: {seed: 1, seed: 2}\n", "duplicate key seed"),
        ("base: x.yaml\n", "inherits from itself"),
        ("base: gone.yaml\n", "there is no file .*gone.yaml"),
        ("training: 3\n", "x.yaml:1: training: must be a mapping of keys to values, not 3"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    path = _write(tmp_path, "x.yaml", text)
    with pytest.raises(ConfigError, match=message):
        load_experiment(path)


def test_override_without_a_value(tmp_path: Path) -> None:
    path = _write(tmp_path, "x.yaml", "training: {}\n")
    with pytest.raises(ConfigError, match=r"--override 'training\.seed': must be key=value"):
        load_experiment(path, ["training.seed"])


def test_plain_data_and_back(tmp_path: Path) -> None:
    path = _write(tmp_path, "x.yaml", "data: {augment: {speeds: [0.9, 1.1], gain_db: [-3, 3]}}\n")
    config = load_experiment(path).config
    assert config.data.augment.speeds == (0.9, 1.1)
    assert config_from_dict(config_to_dict(config)) == config
    assert config_from_dict({}) == ExperimentConfig()
