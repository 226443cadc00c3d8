"""A command in a report is one that a reader can type: nothing of the machine that ran it stays."""

import pytest

from paraformer_analysis.reproduction import portable_command


@pytest.mark.parametrize(
    ("command", "portable"),
    [
        ("paraformer sweep experiments/sweeps/a.yaml", "paraformer sweep experiments/sweeps/a.yaml"),
        (
            "paraformer sweep /home/me/asr/experiments/sweeps/a.yaml",
            "paraformer sweep experiments/sweeps/a.yaml",
        ),
        ("paraformer sweep /scratch/a.yaml --address auto", "paraformer sweep a.yaml"),
        (
            "paraformer sweep a.yaml -o storage=/scratch/x -o seeds=[1,2]",
            "paraformer sweep a.yaml -o 'seeds=[1,2]'",
        ),
        ("paraformer sweep a.yaml --override=tracking.uri=http://h:1", "paraformer sweep a.yaml"),
        ("paraformer sweep a.yaml --tracking-uri=sqlite:////s/m.db --extend", "paraformer sweep a.yaml"),
        ("paraformer sweep 'my sweep.yaml' --max-concurrent 2", "paraformer sweep 'my sweep.yaml'"),
        ("paraformer sweep it's.yaml", "paraformer sweep 'it'\"'\"'s.yaml'"),
        ("", ""),
    ],
)
def test_what_belongs_to_a_machine_is_left_out(command, portable):
    assert portable_command(command) == portable
