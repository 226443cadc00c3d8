"""Files by URI: pyarrow's own file systems and fsspec's, looked at through real copies."""

from pathlib import Path

import fsspec
import pytest

from paraformer_platform.errors import RemoteError
from paraformer_platform.storage import uri as module
from paraformer_platform.storage.uri import Remote, as_uri, fetched_file, fetched_folder, is_uri, store_folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    fetched_folder.cache_clear()
    return tmp_path / "cache"


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder in pyarrow's file system, and in one that only fsspec has."""
    if request.param == "file":
        return f"file://{tmp_path}/there"
    fsspec.filesystem("memory").store.clear()
    return f"memory://{tmp_path}/there"


def corpus(folder: Path, text: str = "one") -> Path:
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    (folder / "train.tsv").write_text(text)
    (folder / "audio/a.flac").write_bytes(b"\x00\x01" * 5000)
    return folder


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        (Path("s3://bucket/a/b"), "s3://bucket/a/b"),  # which pathlib has made s3:/bucket/a/b
        (Path("file:///a/b"), "file:///a/b"),
        (
            "s3://KEY:SECRET@bucket/a?endpoint_override=h:9000",
            "s3://KEY:SECRET@bucket/a?endpoint_override=h:9000",
        ),
    ],
)
def test_a_uri_is_known_also_as_a_path(written: str | Path, uri: str) -> None:
    assert is_uri(written)
    assert as_uri(written) == uri


@pytest.mark.parametrize("path", ["data/digits", "/data", "C:/data", "C:\\data", "a:b", "runs"])
def test_a_path_is_no_uri(path: str) -> None:
    assert not is_uri(path)


def test_what_was_stored_is_fetched_as_it_was(place: str, tmp_path: Path) -> None:
    here = corpus(tmp_path / "here")
    store_folder(here, place)
    assert set(Remote(place).listing()) == {"train.tsv", "audio/a.flac"}  # and nothing partial
    fetched = fetched_folder(place)
    assert (fetched / "train.tsv").read_text() == "one"
    assert (fetched / "audio/a.flac").read_bytes() == (here / "audio/a.flac").read_bytes()
    assert fetched_file(f"{place}/train.tsv").read_text() == "one"


def test_a_folder_is_fetched_once_for_each_state_of_it(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_folder(corpus(tmp_path / "here"), place)
    first = fetched_folder(place)
    fetched_folder.cache_clear()  # as in another process

    def never(*arguments: object) -> None:
        raise AssertionError("it was fetched already")

    with monkeypatch.context() as changed:
        changed.setattr(Remote, "fetch", never)
        assert fetched_folder(place) == first
    store_folder(corpus(tmp_path / "here", "one and two"), place)
    fetched_folder.cache_clear()
    assert (fetched_folder(place) / "train.tsv").read_text() == "one and two"
    assert (first / "train.tsv").read_text() == "one"  # for whoever is still reading it


def test_what_breaks_off_leaves_no_half_a_folder(
    place: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_folder(corpus(tmp_path / "here"), place)
    fetch, calls = Remote.fetch, []

    def lost(self: Remote, name: str, into: Path) -> None:
        calls.append(name)
        if len(calls) == 2:
            raise RemoteError("the connection is lost")
        fetch(self, name, into)

    with monkeypatch.context() as changed:
        changed.setattr(Remote, "fetch", lost)
        with pytest.raises(RemoteError, match="connection is lost"):
            fetched_folder(place)
    assert (fetched_folder(place) / "audio/a.flac").stat().st_size == 10_000


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file:///nowhere/at/all", "holds no files; copy the corpus there"),
        ("carrier-pigeon://loft/data", "cannot be opened: Protocol not known: carrier-pigeon"),
    ],
)
def test_what_is_not_there_is_said(uri: str, words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        fetched_folder(uri)


def test_a_file_that_is_not_there_is_said(place: str) -> None:
    with pytest.raises(RemoteError, match=r"there/best\.pt is not there, and cannot be read"):
        fetched_file(f"{place}/best.pt")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RemoteError, match="cannot be written"):
        Remote(f"file://{tmp_path}/file").store(tmp_path / "file", "a/b")
