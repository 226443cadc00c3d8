import re
from dataclasses import replace
from pathlib import Path

import pytest

from paraformer.errors import DataError
from paraformer.manifest import Utterance, fingerprint, read_manifest, write_manifest


@pytest.fixture
def folder(tmp_path):
    for name in ("a.flac", "b.flac", "c.flac"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def write(folder: Path, text: str | bytes, name: str = "train.tsv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_without_a_header_each_line_is_a_file_and_its_transcript(folder):
    first, second = read_manifest(write(folder, "a.flac\tone  two \r\n\nb.flac\tthree\n"))
    assert first == Utterance("a", folder / "a.flac", "one two")
    assert second == Utterance("b", folder / "b.flac", "three")
    assert second.source.endswith("train.tsv:3")


def test_a_header_names_columns_in_any_order_and_others_are_groups(folder):
    text = "age\ttext\tseconds\tspeaker\tid\tpath\n7\tone two\t1.250\tf3\tu1\ta.flac\n\ttwo\t\t\tu2\tb.flac\n"
    first, second = read_manifest(write(folder, text))
    assert first == Utterance("u1", folder / "a.flac", "one two", "f3", 1.25, (("age", "7"),))
    assert second == Utterance("u2", folder / "b.flac", "two", None, None)


def test_what_is_written_is_read_again(folder):
    utterances = [
        Utterance("x", folder / "a.flac", "脑力 b", "f3", 1.25),
        Utterance("y", folder / "b.flac", "", None, None),
        Utterance("z", folder / "c.flac", "c", "m1", 2.0, (("gender", "m"), ("age", "child"))),
    ]
    write_manifest(folder / "out.tsv", utterances)
    assert read_manifest(folder / "out.tsv") == utterances
    assert "\na.flac\t" in (folder / "out.tsv").read_text()  # relative: both may move together
    assert not list(folder.glob(".*.partial"))


def test_groups_do_not_change_what_data_is(folder):
    """A corpus whose speakers' ages become known is the same corpus to a training."""
    known = Utterance("x", folder / "a.flac", "one", "f3", groups=(("age", "child"),))
    assert fingerprint([known]) == fingerprint([replace(known, groups=())])


def test_audio_elsewhere_is_named_absolutely(folder):
    (folder / "lists").mkdir()
    write_manifest(folder / "lists" / "out.tsv", [Utterance("x", folder / "a.flac", "one")])
    assert read_manifest(folder / "lists" / "out.tsv")[0].path == folder / "a.flac"


def test_every_fault_is_listed_with_file_line_value_and_remedy(folder):
    (folder / "empty.flac").touch()
    text = "a.flac one\nb.flac\tone\ttwo\ngone.flac\tone\nempty.flac\tone\n\tone\na.flac\tone\na.flac\ttwo\n"
    with pytest.raises(DataError) as raised:
        read_manifest(write(folder, text))
    lines = str(raised.value).splitlines()
    expected = [
        r":1: no tab in 'a.flac one'; write the file, a tab, then its transcript",
        r":2: 2 tabs in 'b.flac\\tone\\ttwo', but its columns \(path, text\) need 1; a header",
        r":3: there is no audio file .*gone.flac; relative paths are relative to",
        r":4: audio file .*empty.flac is empty \(0 bytes\)",
        r":5: the file name is empty",
        r":7: id 'a' appears in line 6 already",
    ]
    for pattern in expected:
        assert any(re.search("train.tsv" + pattern, line) for line in lines), (pattern, lines)
    assert len(lines) == len(expected)


def test_twenty_faults_are_shown_and_the_rest_counted(folder):
    with pytest.raises(DataError, match="… and 15 more") as raised:
        read_manifest(write(folder, "no tab\n" * 35))
    assert len(str(raised.value).splitlines()) == 21


@pytest.mark.parametrize("seconds", ["abc", "-1", "0", "nan", "inf"])
def test_durations_must_be_positive_numbers(folder, seconds):
    text = f"path\ttext\tseconds\na.flac\tone\t{seconds}\n"
    with pytest.raises(
        DataError, match=f"train.tsv:2: seconds is '{seconds}', but must be a positive number"
    ):
        read_manifest(write(folder, text))


def test_missing_empty_and_foreign_files_are_refused(folder):
    with pytest.raises(DataError, match=r"there is no manifest .*gone\.tsv; `paraformer data prepare`"):
        read_manifest(folder / "gone.tsv")
    with pytest.raises(DataError, match=r"lists no recordings"):
        read_manifest(write(folder, "\n"))
    with pytest.raises(DataError, match=r"is not UTF-8 text \(byte 0xe9 at offset 10\)"):
        read_manifest(write(folder, b"a.flac\tcaf\xe9\n"))
    with pytest.raises(DataError, match="is a folder, not a manifest"):
        read_manifest(folder)


def test_the_fingerprint_follows_contents_and_not_places(folder, tmp_path_factory):
    utterances = [
        Utterance("a", folder / "a.flac", "one", "s"),
        Utterance("b", folder / "b.flac", "two", "s"),
    ]
    original = fingerprint(utterances)
    elsewhere = tmp_path_factory.mktemp("copy")
    (elsewhere / "a.flac").write_bytes((folder / "a.flac").read_bytes())
    moved = [replace(utterances[0], path=elsewhere / "a.flac"), utterances[1]]
    assert fingerprint(moved) == original
    assert fingerprint([replace(utterances[0], text="won"), utterances[1]]) != original
    assert fingerprint(utterances[::-1]) != original
    (elsewhere / "a.flac").write_bytes(b"other")
    assert fingerprint(moved) != original
    with pytest.raises(DataError, match=r"a: cannot read .*gone\.flac"):
        fingerprint([replace(utterances[0], path=folder / "gone.flac")])
