import os
import subprocess
import sys
from pathlib import Path

import paraformer_platform
from paraformer_platform.clusters.runtime_env import checkout, cluster_runtime_env, export_to_local_workers


def test_the_upload_is_the_checkout_with_the_three_roots_first(monkeypatch):
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    env = cluster_runtime_env()
    assert Path(env["working_dir"]) == checkout()
    assert env["env_vars"]["PYTHONPATH"] == "model:platform:analysis"
    assert "runs/" in env["excludes"]


def test_a_submitted_job_is_not_uploaded_a_second_time(monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert "working_dir" not in cluster_runtime_env()


def test_local_workers_import_this_checkout_before_an_installed_copy(monkeypatch, tmp_path):
    older = tmp_path / "paraformer_platform"
    older.mkdir()
    (older / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    export_to_local_workers()
    imported = subprocess.run(
        [sys.executable, "-c", "import paraformer_platform; print(paraformer_platform.__file__)"],
        env=dict(os.environ),
        cwd=tmp_path.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert imported.stdout.strip() == paraformer_platform.__file__
