"""Corpora in miniature, laid out as their authors ship them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile


def record(path: Path, rate: int = 16000, seconds: float = 0.3, **options: str) -> None:
    """Write a short noise, another for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(path.name.encode()))
    soundfile.write(path, 0.1 * rng.standard_normal(int(rate * seconds)), rate, **options)


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _an4(root: Path) -> None:
    """With audio as in an4_sphere.tar.gz."""
    speakers = {"train": ("an4_clstk", "fash", "mgah", "mblb"), "test": ("an4test_clstk", "fcaw")}
    for part, (folder, *names) in speakers.items():
        keys = [(name, f"{stem}-{name}-b") for name in names for stem in ("an251", "cen2")]
        write(root / f"etc/an4_{part}.fileids", *(f"{folder}/{name}/{key}" for name, key in keys))
        marks = ("<s> ", " </s>") if part == "train" else ("", "")
        lines = [
            f"{marks[0]}{'YES' if key[:2] == 'an' else 'G L E N N'}{marks[1]} ({key})" for _, key in keys
        ]
        write(root / f"etc/an4_{part}.transcription", *lines)
        for name, key in keys:
            _sphere(root / "wav" / folder / name / f"{key}.sph")


def _sphere(path: Path) -> None:
    """A NIST SPHERE file with the fields that AN4's headers have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (1000 * np.sin(np.arange(4800) / 9)).astype(">i2")
    fields = (
        "NIST_1A",
        "   1024",
        "channel_count -i 1",
        f"sample_count -i {len(samples)}",
        "sample_rate -i 16000",
        "sample_n_bytes -i 2",
        "sample_byte_format -s2 10",
        "sample_sig_bits -i 16",
        "sample_coding -s3 pcm",
        "end_head",
        "",
    )
    path.write_bytes("\n".join(fields).encode().ljust(1024) + samples.tobytes())


def _librispeech(root: Path) -> None:
    parts = {
        "train-clean-100": ("19", "26"),
        "train-other-500": ("20",),
        "dev-clean": ("84",),
        "dev-other": ("116",),
        "test-clean": ("61",),
        "test-other": ("367",),
    }
    speakers = [
        f"{name:4} | {'FM'[int(name) % 2]} | {part} | 25.0 | N N" for part in parts for name in parts[part]
    ]
    write(root / "SPEAKERS.TXT", ";ID  |SEX| SUBSET           |MINUTES| NAME", *speakers)
    for part, names in parts.items():
        for name in names:
            _chapter(root / part / name / "198")


def _mini_librispeech(root: Path) -> None:
    for part, names in {"train-clean-5": ("1088", "1737", "32"), "dev-clean-2": ("1272",)}.items():
        for name in names:
            _chapter(root / part / name / "134")


def _chapter(folder: Path) -> None:
    keys = [f"{folder.parent.name}-{folder.name}-{number:04d}" for number in range(2)]
    write(folder / f"{folder.parent.name}-{folder.name}.trans.txt", *(f"{key} HE'S {key}" for key in keys))
    for key in keys:
        record(folder / f"{key}.flac")


def _aishell(root: Path) -> None:
    lines = []
    for part, name in (("train", "S0002"), ("train", "S0003"), ("dev", "S0724"), ("test", "S0764")):
        for number in (122, 123, 495):
            key = f"BAC009{name}W0{number}"
            record(root / "wav" / part / name / f"{key}.wav")
            if number != 495:  # some recordings have no transcript
                lines.append(f"{key} 而 对 楼市 成交 抑制 作用 最 大 的 限 购")
    write(root / "transcript" / "aishell_transcript_v0.8.txt", *lines)
    genders = ("0002 F", "0003 M", "0724 F", "0764 M")
    write(root.parent / "resource_aishell" / "speaker.info", *genders)


def _thchs30(root: Path) -> None:
    parts = {"train": ("A11_0", "A11_1", "B7_251"), "dev": ("A12_3",), "test": ("D4_750",)}
    for part, names in parts.items():
        (root / part).mkdir(parents=True)
        for name in names:
            record(root / "data" / f"{name}.wav")
            write(
                root / "data" / f"{name}.wav.trn",
                "绿 是 阳春 烟 景",
                "lv4 shi4 yang2 chun1 yan1 jing3",
                "l v4",
            )
            for ending in (".wav", ".wav.trn"):
                (root / part / f"{name}{ending}").symlink_to(f"../data/{name}{ending}")


def _common_voice(root: Path) -> None:
    columns = (
        "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age",
        "gender", "accents", "variant", "locale", "segment",
    )  # fmt: skip
    sentences = ("“It’s late!”, she said.", 'The "first" one - again', "日本, 2 x")
    durations = []
    for number, part in enumerate(("train", "dev", "test")):
        rows = []
        for place, sentence in enumerate((*sentences, "?!")):
            name = f"common_voice_en_{number}{place}.mp3"
            record(root / "clips" / name, 32000, 0.5)
            durations.append(f"{name}\t{500 + place}")
            client = f"{number:0128x}"[::-1]
            cells = (
                client,
                name,
                "5",
                sentence,
                "",
                "2",
                "0",
                "twenties",
                "female_feminine",
                "",
                "",
                "en",
                "",
            )
            rows.append("\t".join(cells))
        write(root / f"{part}.tsv", "\t".join(columns), *rows)
    write(root / "clip_durations.tsv", "clip\tduration[ms]", *durations)


LAYOUTS: Mapping[str, tuple[str, Callable[[Path], None]]] = {
    "an4": ("an4", _an4),
    "librispeech": ("LibriSpeech", _librispeech),
    "mini_librispeech": ("LibriSpeech", _mini_librispeech),
    "aishell": ("data_aishell", _aishell),
    "thchs30": ("data_thchs30", _thchs30),
    "common_voice": ("en", _common_voice),
}


@pytest.fixture
def shipped(tmp_path: Path) -> Callable[[str], Path]:
    """Make a corpus in miniature; the folder returned is the authors' own."""

    def make(name: str) -> Path:
        folder, build = LAYOUTS[name]
        root = tmp_path / "shipped" / folder
        root.mkdir(parents=True)
        build(root)
        return root

    return make
