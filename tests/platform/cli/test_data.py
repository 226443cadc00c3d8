import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from paraformer.errors import ConfigError, DataError
from paraformer.manifest import read_manifest
from paraformer_platform.cli.data import app

RECIPE = """
name: tiny
grammar: {start: all, rules: {all: ["<digit>[1,2]"], digit: [one, two, three, four, five]}}
splits:
  train: {utterances: 6, voices: [en-us+f1, en-gb+m1]}
  dev: {utterances: 2, voices: [en-us+m2]}
"""


def paraformer_data(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_folder(folder, texts):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(len(texts)):
        soundfile.write(folder / f"{number}.wav", 0.1 * rng.standard_normal(16000), 16000)
    (folder / "train.tsv").write_text("".join(f"{n}.wav\t{text}\n" for n, text in enumerate(texts)))


def test_synth_makes_a_corpus_and_prints_its_parts(tmp_path):
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is an extra: pip install '.[speech]'")
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    result = paraformer_data("synth", tmp_path / "tiny.yaml", tmp_path / "corpus", "--json")
    assert result.exit_code == 0, result.output
    parts = json.loads(result.stdout)
    assert [(part["split"], part["utterances"]) for part in parts] == [("train", 6), ("dev", 2)]
    for part in parts:
        assert len(read_manifest(part["manifest"])) == part["utterances"]
    # What synth makes, check finds sound (but for sentences in common, of 30 there are).
    checked = paraformer_data("check", tmp_path / "corpus", "--json")
    assert checked.exit_code == 0
    assert {finding["kind"] for finding in json.loads(checked.stdout)} <= {"sentence in two splits"}


def test_prepare_prints_a_table_of_the_parts(tmp_path):
    write_folder(tmp_path / "mine", [f"sentence {number}" for number in range(30)])
    result = paraformer_data("prepare", "folder", tmp_path / "mine", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for part, count in (("train", 24), ("dev", 3), ("test", 3)):
        assert any(part in line and str(count) in line for line in result.stdout.splitlines())
    assert "\x1b" not in result.output  # no colours where there is no terminal


def test_check_tells_errors_by_its_exit_code(tmp_path):
    write_folder(tmp_path / "sound", ["one", "two"])
    result = paraformer_data("check", tmp_path / "sound")
    assert result.exit_code == 0
    assert result.stdout == "2 recordings in train: nothing to report\n"
    write_folder(tmp_path / "faulty", ["脑力", "two", ""])
    result = paraformer_data("check", tmp_path / "faulty" / "train.tsv", "--json")
    assert result.exit_code == 2
    assert [(f["kind"], f["error"]) for f in json.loads(result.stdout)] == [
        ("outside vocabulary", True),
        ("empty transcript", False),
    ]
    result = paraformer_data("check", tmp_path / "faulty", "--tokenizer", "char_from_texts")
    assert result.exit_code == 0
    assert "0 errors, 1 warnings" in result.stdout


def test_check_reports_missing_audio_beside_everything_else(tmp_path):
    write_folder(tmp_path / "mine", ["one", "two"])
    (tmp_path / "mine" / "0.wav").unlink()
    result = paraformer_data("check", tmp_path / "mine")
    assert result.exit_code == 2
    assert "unreadable audio" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["synth", "gone.yaml", "out"], ConfigError, "there is no recipe gone.yaml"),
        (["prepare", "timit", ".", "out"], ConfigError, "there is no recipe for corpus 'timit'"),
        (["prepare", "fsdd", ".", "out", "--join", "five"], ConfigError, "--join is 'five', but must be two"),
        (["check", "gone.tsv"], DataError, "there is no manifest gone.tsv"),
        (["check", "."], DataError, "holds none of train.tsv, dev.tsv and test.tsv"),
    ],
)
def test_a_users_fault_is_one_clear_error(arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = paraformer_data(*arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == []
