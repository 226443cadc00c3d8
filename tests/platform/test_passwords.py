import pytest

from paraformer_platform.config.schema import ExperimentConfig, TrackingConfig
from paraformer_platform.passwords import without_password, without_passwords


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql+psycopg://me:geheim@host:5432/name", "postgresql+psycopg://me:***@host:5432/name"),
        ("https://:geheim@mlflow.example/x", "https://:***@mlflow.example/x"),
        ("https://mlflow.example:5000/a@b", "https://mlflow.example:5000/a@b"),
        ("sqlite:////data/runs/ledger.db", "sqlite:////data/runs/ledger.db"),
        ("postgresql://me@host/name", "postgresql://me@host/name"),
    ],
)
def test_only_the_password_is_hidden(address, shown):
    assert without_password(address) == shown


def test_a_trials_configuration_shows_no_password():
    config = ExperimentConfig(tracking=TrackingConfig(uri="https://me:geheim@mlflow.example"))
    assert without_passwords(config).tracking.uri == "https://me:***@mlflow.example"
    assert without_passwords(ExperimentConfig()) == ExperimentConfig()
