"""Ray's token authentication, made to work the same way for every kind of connection.

Ray 2.60 starts a local cluster with a token, but a driver that connects to an existing cluster does not use
one unless RAY_AUTH_MODE says so, even when the token lies in its place; what it prints then names neither
token nor remedy.
"""

import os
from pathlib import Path

TOKEN_FILE = Path("~/.ray/auth_token")


def token_source() -> str | None:
    """Say where Ray would take a token from: an environment variable's name, a path, or None."""
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        if os.environ.get(variable):
            return variable
    path = TOKEN_FILE.expanduser()
    return str(path) if path.is_file() else None


def use_token_if_any() -> None:
    """Switch token authentication on when there is a token; must run before Ray is imported."""
    if token_source() is not None:
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def protect_token_file() -> None:
    """Make Ray's token file readable for its owner only; Ray creates it readable for all."""
    path = TOKEN_FILE.expanduser()
    try:
        path.chmod(0o600)
    except OSError:
        return
