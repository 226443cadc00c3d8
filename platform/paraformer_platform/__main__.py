"""`python -m paraformer_platform`: the command line without its script, as in a cluster's job."""

from paraformer_platform.cli.app import run

run()
