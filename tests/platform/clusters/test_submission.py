"""Submitting to a real cluster on this machine; see conftest.py."""

import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from paraformer_platform.clusters.submission import _Log, sweep_command
from paraformer_platform.errors import ClusterError

CODE_OF_JOB = """
import sys
from paraformer_platform.clusters.job_server import connect
from paraformer_platform.clusters.submission import submit_job
job = submit_job(connect(sys.argv[1]), sys.argv[2])
sys.exit(job.follow(sys.stdout.write))
"""
WHICH_CODE = """\
import os
from pathlib import Path
import ray
import paraformer_platform
from paraformer_platform.config.identity import code_version
from paraformer_platform.tracking.environment import source_state

@ray.remote(num_gpus=1)
def of_a_worker():
    import paraformer_platform
    from paraformer_platform.config.identity import code_version
    older = hasattr(paraformer_platform, "AN_OLDER_COPY")
    return ray.util.get_node_ip_address(), older, code_version(), Path(paraformer_platform.__file__).is_file()

ray.init(address="auto", log_to_driver=False)
pending = [of_a_worker.remote() for _ in range(2)]
print("driver", hasattr(paraformer_platform, "AN_OLDER_COPY"), code_version())
for answer in sorted(ray.get(pending)):
    print("worker", *answer)
print("commit", source_state().commit)
"""


def head_commit(repository):
    """The commit of the checkout; None of an unpacked archive."""
    command = ["git", "rev-parse", "HEAD"]
    answer = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def submit(cluster, command, **changes):
    return cluster.run("-c", CODE_OF_JOB, cluster.url, command, timeout=120, **changes)


def test_the_submitted_code_runs_on_every_node_before_an_older_installed_copy(cluster, repository):
    from paraformer_platform.config.identity import code_version

    older = subprocess.run(
        [cluster.python, "-c", "import paraformer_platform as p; print(p.AN_OLDER_COPY)"],
        capture_output=True,
        text=True,
        check=True,
        env=cluster.environment,
    )
    assert older.stdout.strip() == "True"  # what the nodes would run without the upload
    before = head_commit(repository)
    answer = submit(cluster, f"python -c '{WHICH_CODE}'")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    lines = answer.stdout.splitlines()
    assert f"driver False {code_version()}" in lines
    for ip in (cluster.ip(2), cluster.ip(3)):
        assert f"worker {ip} False {code_version()} True" in lines
    assert {f"commit {before}", f"commit {head_commit(repository)}"} & set(lines)


def test_the_log_and_the_exit_code_come_back(cluster):
    answer = submit(cluster, "echo first; echo second >&2; exit 7")
    assert answer.returncode == 7
    assert answer.stdout.index("first") < answer.stdout.index("second")


def test_ctrl_c_asks_and_stops_the_job_when_told_to(cluster, tmp_path):
    ended = tmp_path / "ended"
    job = f"trap 'echo put away > {ended}; exit 3' TERM; echo it runs; while true; do sleep 0.2; done"
    program = (
        "import sys; from paraformer_platform.cli import submit as cli;"
        "from paraformer_platform.clusters.job_server import connect;"
        "from paraformer_platform.clusters.submission import submit_job;"
        "sys.exit(cli._follow(submit_job(connect(sys.argv[1]), sys.argv[2])))"
    )
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program, cluster.url, job],
        env=cluster.users_environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = read_until(terminal, "it runs\r")
    process.send_signal(signal.SIGINT)
    shown += read_until(terminal, "Stop the sweep on the cluster as well?")
    os.write(terminal, b"y\n")
    threading.Thread(target=read_until, args=(terminal, "never shown"), daemon=True).start()
    assert process.wait(timeout=40) == 130, shown
    assert ended.read_text() == "put away\n"


def read_until(terminal: int, words: str) -> str:
    shown = ""
    deadline = time.monotonic() + 60
    while words not in shown and time.monotonic() < deadline:
        try:
            shown += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # the other side is closed
            break
    return shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"RAY_AUTH_TOKEN": "a-wrong-one"}, "refuses the token from RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere"}, "asks for a token, and none was found"),
    ],
)
def test_a_wrong_or_missing_token_is_said_in_seconds(cluster, changes, words):
    began = time.monotonic()
    answer = submit(cluster, "true", **changes)
    assert words in answer.stderr
    assert "ray get-auth-token" in answer.stderr
    assert time.monotonic() - began < 10


def submit_in_vain(address: str) -> subprocess.CompletedProcess:
    """Run the command line itself against something that is no job server."""
    repository = Path(__file__).resolve().parents[3]
    return subprocess.run(
        [
            *(sys.executable, "-m", "paraformer_platform", "submit", "experiments/sweeps/demo.yaml"),
            *("--address", address, "--storage", "/shared"),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["model", "platform", "analysis"])},
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("behaviour", ["closed", "silent", "not http"])
def test_an_address_without_a_job_server_is_said_in_seconds(behaviour):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        if behaviour != "closed":
            server.listen()
        if behaviour == "not http":
            threading.Thread(target=answer_nonsense, args=(server,), daemon=True).start()
        answer = submit_in_vain(f"http://127.0.0.1:{port}")
    assert answer.returncode == 2
    assert f"no Ray job server answers at http://127.0.0.1:{port} within 5 s" in answer.stderr
    assert "Traceback" not in answer.stderr


def answer_nonsense(server: socket.socket) -> None:
    connection, _ = server.accept()
    connection.recv(1000)
    connection.sendall(b"\x00\x01 this is another protocol\r\n")
    connection.close()


def test_an_address_that_is_none_is_refused_with_the_right_form():
    answer = submit_in_vain("gpu-box")
    assert answer.returncode == 2
    assert "the address 'gpu-box' is not a job server: write http://HOST:8265" in answer.stderr


def test_a_cluster_with_another_ray_is_refused(monkeypatch):
    from paraformer_platform.clusters import job_server

    monkeypatch.setattr(job_server.importlib.metadata, "version", lambda package: "2.61.3")
    job_server._check_release("http://head:8265", "2.61.0")  # a patch release apart: fine
    with pytest.raises(ClusterError, match=r"runs Ray 2\.60\.0, this checkout is pinned to Ray 2\.61\.3"):
        job_server._check_release("http://head:8265", "2.60.0")


def test_a_sweep_file_must_travel_and_its_storage_must_stay(tmp_path, repository):
    outside = tmp_path / "x.yaml"
    outside.write_text("name: x\n")
    demo = repository / "experiments/sweeps/demo.yaml"
    with pytest.raises(ClusterError, match="lies outside the checkout"):
        sweep_command(outside, "/shared")
    with pytest.raises(ClusterError, match="there is no file"):
        sweep_command(tmp_path / "missing.yaml", "/shared")
    with pytest.raises(ClusterError, match="'runs' must be the absolute path"):
        sweep_command(demo, "runs")
    assert "sweep experiments/sweeps/demo.yaml --address auto" in sweep_command(demo, "/shared")


def test_a_log_read_again_from_its_start_is_written_once():
    written = []
    log = _Log(written.append)
    log.begin_again()
    log.take("one\ntw")
    log.begin_again()
    for chunk in ("one", "\ntwo\n", "three\n"):
        log.take(chunk)
    assert "".join(written) == "one\ntwo\nthree\n"
