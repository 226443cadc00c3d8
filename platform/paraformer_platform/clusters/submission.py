"""Sending a sweep to a cluster as a Ray job: what travels, its log, its exit code, and what Ctrl-C does.

What travels is the checkout without its data and results (``runtime_env``). Ray leaves ``.git`` behind, so
the commit is read here, on the machine that submits, and goes along in two environment variables.
"""

import asyncio
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from paraformer_platform.clusters.runtime_env import checkout, cluster_runtime_env
from paraformer_platform.errors import ClusterError
from paraformer_platform.tracking.environment import GIT_COMMIT_VARIABLE, GIT_DIRTY_VARIABLE, source_state

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

Seconds = float
Write = Callable[[str], object]

COMMAND = ("python", "-m", "paraformer_platform")
"""The command line on the head; its interpreter is the one in whose environment Ray was started."""
STOPPED = 130
"""Exit code of a job that was stopped, as a shell gives it for Ctrl-C."""
STOPS_WITHIN: Seconds = 120.0
"""Until Ray kills a job that was asked to stop; its default of 3 s is too short for writing checkpoints."""
POLL: Seconds = 0.5
NOT_READY = "No available agent"
"""What a head says that was started a moment ago."""
READY_WITHIN: Seconds = 60.0
RECONNECT_FOR: Seconds = 120.0
"""How long a broken connection to the log is tried again; the job goes on meanwhile."""


def sweep_command(file: Path, storage: str, overrides: Sequence[str] = ()) -> str:
    """Return the shell command that runs a sweep file of this checkout on the cluster.

    The job starts in the uploaded checkout, where ``data`` becomes a link into the storage: a folder like
    ``data/digits`` of an experiment is then the same one on every node, and stays after the job.

    Args:
        file: The sweep's YAML file.
        storage: Absolute path of a folder that every node sees.
        overrides: ``key=value`` changes to the sweep file.

    Raises:
        ClusterError: the file is missing or would not travel, or the storage is no absolute path.
    """
    inside = _path_in_checkout(file)
    if not PurePosixPath(storage).is_absolute():
        raise ClusterError(
            f"the storage {storage!r} must be the absolute path of a folder that every node sees, "
            "like /shared/paraformer: a relative one would end with the job's upload"
        )
    data, refusal = shlex.quote(f"{storage}/data"), shlex.quote(_not_writable(storage))
    changes = [f"--override={change}" for change in (f"storage={storage}", *overrides)]
    run = shlex.join([*COMMAND, "sweep", str(inside), "--address", "auto", *changes])
    return f"mkdir -p {data} && ln -sfn {data} data || {{ echo {refusal} >&2; exit 2; }}; {run}"


def _not_writable(storage: str) -> str:
    return (
        f"paraformer: the storage {storage} cannot be written on the cluster's head. Name a folder that is "
        "mounted there and on every node, may be written, and has room: --storage FOLDER"
    )


def _path_in_checkout(file: Path) -> Path:
    root = _checkout()
    path = file.resolve()
    if not path.is_file():
        raise ClusterError(f"there is no file {file}")
    if not path.is_relative_to(root):
        raise ClusterError(
            f"{path} lies outside the checkout {root}, which is what travels to the cluster. "
            "Move the file into the checkout's experiments/"
        )
    return path.relative_to(root)


def _checkout() -> Path:
    root = checkout()
    if root is None:
        raise ClusterError(
            "paraformer runs from an installed wheel, and what travels to a cluster is a checkout. "
            "Clone the repository, run `make setup` there, and submit from it"
        )
    return root


def submission_runtime_env() -> dict[str, object]:
    """Build the runtime environment of a submitted job: the checkout, and the commit it was made from."""
    env = cluster_runtime_env()
    state = source_state(_checkout())
    variables = env["env_vars"]
    assert isinstance(variables, dict)
    variables["RAY_JOB_STOP_WAIT_TIME_S"] = str(int(STOPS_WITHIN))
    if state.commit is not None:
        variables |= {GIT_COMMIT_VARIABLE: state.commit, GIT_DIRTY_VARIABLE: str(state.dirty).lower()}
    return env


@dataclass(frozen=True)
class Job:
    """A job that was submitted."""

    client: "JobSubmissionClient"
    id: str

    def follow(self, write: Write) -> int:
        """Write the job's log as it comes, and return the job's exit code when it is over.

        Raises:
            ClusterError: the connection was lost for good; the job goes on.
            KeyboardInterrupt: Ctrl-C here; the job goes on.
        """
        log = _Log(write)
        deadline = time.monotonic() + RECONNECT_FOR
        while True:
            try:
                asyncio.run(self._tail(log))
                return self.exit_code()
            except (RuntimeError, OSError) as error:  # aiohttp's and requests' errors are among them
                if time.monotonic() > deadline:
                    raise ClusterError(self._lost(error)) from error
            time.sleep(POLL)

    async def _tail(self, log: "_Log") -> None:
        log.begin_again()
        async for chunk in self.client.tail_job_logs(self.id):
            log.take(chunk)

    def _lost(self, error: Exception) -> str:
        return (
            f"the connection to job {self.id} was lost ({error}); the job goes on without us. "
            f"See it with: ray job logs --follow {self.id}"
        )

    def exit_code(self) -> int:
        """Wait until the job is over and return the exit code of its command."""
        while True:
            info = self.client.get_job_info(self.id)
            if info.status.is_terminal():
                break
            time.sleep(POLL)
        if info.status.name == "SUCCEEDED":
            return 0
        return STOPPED if info.status.name == "STOPPED" else info.driver_exit_code or 1

    def why_failed(self) -> str:
        """Return what Ray says about the end of the job; the only reason of a command that never began."""
        return str(self.client.get_job_info(self.id).message or "")

    def stop(self) -> int:
        """Stop the job, wait until it is over, and return its exit code."""
        self.client.stop_job(self.id)
        return self.exit_code()


class _Log:
    """What was written of a log that begins from its start again whenever the connection is made anew."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._written = 0
        self._seen = 0

    def begin_again(self) -> None:
        self._seen = 0

    def take(self, chunk: str) -> None:
        new = chunk[max(0, self._written - self._seen) :]
        self._seen += len(chunk)
        if new:
            self._write(new)
            self._written = self._seen


def submit_job(client: "JobSubmissionClient", command: str) -> Job:
    """Upload the checkout and start a command in it on the cluster's head.

    Raises:
        ClusterError: the cluster did not take the upload or the job.
    """
    env = submission_runtime_env()
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            return Job(client, client.submit_job(entrypoint=command, runtime_env=env))
        except (RuntimeError, OSError, ValueError) as error:
            if NOT_READY not in str(error) or time.monotonic() > deadline:
                raise ClusterError(f"the cluster did not take the job: {error}") from error
        time.sleep(POLL)
