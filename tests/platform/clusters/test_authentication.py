import stat

import pytest

from paraformer_platform.clusters import authentication


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(variable, "")  # so that monkeypatch restores what the code sets
        monkeypatch.delenv(variable)
    return tmp_path


def write_token(home):
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("secret")
    path.chmod(0o644)
    return path


def test_without_a_token_nothing_is_switched_on(home):
    authentication.use_token_if_any()
    assert authentication.token_source() is None
    assert "RAY_AUTH_MODE" not in authentication.os.environ


def test_a_token_in_its_place_is_used_and_a_named_one_before_it(home, monkeypatch):
    path = write_token(home)
    assert authentication.token_source() == str(path)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "other")
    assert authentication.token_source() == "RAY_AUTH_TOKEN"
    authentication.use_token_if_any()
    assert authentication.os.environ["RAY_AUTH_MODE"] == "token"


def test_the_token_file_is_made_private(home):
    path = write_token(home)
    authentication.protect_token_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
