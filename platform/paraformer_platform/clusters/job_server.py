"""Ray's job server (the dashboard's HTTP port, 8265): whether it answers, takes our token, and runs our Ray.

Ray's own client sends its requests without a time limit, and lets environment variables override the
address it is given. So the server is asked first here, with a limit, and the client gets an address that
nothing overrides.
"""

import http.client
import importlib.metadata
import json
import logging
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from paraformer_platform.clusters.authentication import TOKEN_FILE, token_source, use_token_if_any
from paraformer_platform.errors import ClusterError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

Seconds = float
ANSWER_WITHIN: Seconds = 5.0
AUTO = "auto"
CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
    "ray._private.runtime_env.working_dir",
)
"""Ray's loggers that name every file an upload leaves out."""


def connect(address: str) -> "JobSubmissionClient":
    """Return Ray's client for the job server at an address.

    Args:
        address: http(s)://host:port of the job server, or "auto" for the cluster this machine is the head of.

    Raises:
        ClusterError: nobody answers, the token is refused, or the cluster runs another Ray; with the remedy.
    """
    url = job_server_url(address)
    check_job_server(url)
    use_token_if_any()
    os.environ["RAY_API_SERVER_ADDRESS"] = url  # else RAY_ADDRESS overrides the address that was asked for
    from ray.job_submission import JobSubmissionClient

    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    return JobSubmissionClient(url)


def job_server_url(address: str) -> str:
    """Turn what the user wrote into the job server's URL.

    Raises:
        ClusterError: the address is neither "auto" nor http(s)://host:port.
    """
    if address == AUTO:
        return _url_on_this_machine()
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClusterError(
            f"the address {address!r} is not a job server: write http://HOST:8265 (on a laptop, after "
            "`ray dashboard cluster.yaml` or `ssh -L 8265:localhost:8265 HEAD`: http://localhost:8265), "
            "or auto on the head"
        )
    return address.rstrip("/")


def _url_on_this_machine() -> str:
    """Ask the Ray that runs on this machine for the address of its job server."""
    use_token_if_any()
    from ray.dashboard.utils import ray_address_to_api_server_url

    try:
        return str(ray_address_to_api_server_url(AUTO))
    except Exception as error:  # Ray raises ConnectionError, ValueError, RuntimeError and its own
        raise ClusterError(
            f"no Ray was found on this machine ({_first_line(error)}). Run this on the cluster's head "
            "(ray attach cluster.yaml), or name the job server: --address http://HOST:8265"
        ) from error


def check_job_server(url: str) -> None:
    """Refuse, within seconds, a job server that cannot take our job.

    Raises:
        ClusterError: nobody answers, the token is missing or wrong, or its Ray is of another release.
    """
    request = urllib.request.Request(f"{url}/api/version", headers=_authorization())
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN) as response:
            answer = json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise ClusterError(_refused(url, error)) from error
    except (
        OSError,
        ValueError,
        http.client.HTTPException,
    ) as error:  # nobody there, too slow, or something that is no job server
        reason = str(getattr(error, "reason", error)).strip()[:80] or type(error).__name__
        raise ClusterError(
            f"no Ray job server answers at {url} within {ANSWER_WITHIN:g} s ({reason}). Is the cluster up, "
            "and its port 8265 forwarded (ray dashboard cluster.yaml)?"
        ) from error
    _check_release(url, str(answer["ray_version"]))


def _check_release(url: str, theirs: str) -> None:
    ours = importlib.metadata.version("ray")
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        raise ClusterError(
            f"the cluster at {url} runs Ray {theirs}, this checkout is pinned to Ray {ours}. "
            "Set the cluster up from this checkout again (ray up cluster.yaml), or check out what it runs"
        )


def _authorization() -> dict[str, str]:
    token = read_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def read_token() -> str | None:
    """Return the token that Ray would use, from the place where it would look first."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return os.environ["RAY_AUTH_TOKEN"].strip()
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else TOKEN_FILE.expanduser()
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


def _refused(url: str, error: urllib.error.HTTPError) -> str:
    if error.code not in (401, 403):
        return f"{url} answers with {error.code} {error.reason}: it is no Ray job server. Check the port"
    sent = "asks for a token, and none was found"
    if read_token() is not None:
        sent = f"refuses the token from {token_source()}"
    return (
        f"the cluster at {url} {sent}. Copy the head's token to ~/.ray/auth_token "
        "(on the head: ray get-auth-token)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
