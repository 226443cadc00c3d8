"""speechocean762 (Zhang et al., Interspeech 2021): English sentences read by native Mandarin speakers.

The authors' test set is the test set here; in the project's own copy that is its `dev`, 25 speakers who are
not in `train`. A tenth of the training utterances, by speaker, are held out as dev. Sentences that dev or
test has too are left out of training. About half of the speakers are children; gender and whether the speaker
is one are kept as groups, so that reports show both.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from paraformer.corpora.layout import contents
from paraformer.corpora.splits import Splits, hold_out, read_with_splits, without_held_out_sentences
from paraformer.errors import DataError
from paraformer.manifest import Utterance, clean_text

DEV_SHARE = 0.1
GROUPS = ("gender", "age")
ADULT_AGE = 18


def read(folder: Path) -> Splits:
    """Utterances of train, dev and test; transcripts in lower case.

    Raises:
        DataError: if the folder is neither the authors' nor the project's copy.
    """
    if (folder / "manifest.tsv").is_file():
        parts = read_with_splits(folder / "manifest.tsv", groups=GROUPS)
        train, test = parts["train"], parts["dev"]
    elif (folder / "train" / "wav.scp").is_file():
        train, test = _read_kaldi(folder, "train"), _read_kaldi(folder, "test")
    else:
        raise DataError(
            f"{folder} holds neither manifest.tsv nor train/wav.scp, but {contents(folder)}; name the folder "
            "of speechocean762 (https://www.openslr.org/101)"
        )
    splits = {**hold_out(train, {"dev": DEV_SHARE}, _speaker), "test": test}
    grown = {name: [_with_age_group(utterance) for utterance in part] for name, part in splits.items()}
    return without_held_out_sentences(grown)


def _with_age_group(utterance: Utterance) -> Utterance:
    """Say child or adult in place of the age: few ages have enough speakers to be groups of their own."""
    groups = dict(utterance.groups)
    age = groups.pop("age", "")
    if age.isdecimal():
        groups["age"] = "adult" if int(age) >= ADULT_AGE else "child"
    return replace(utterance, groups=tuple(groups.items()))


def _read_kaldi(folder: Path, part: str) -> list[Utterance]:
    """A part as the authors ship it: tables of utterance and value, paths relative to the corpus's folder."""
    waves, texts, speakers = (_table(folder / part / name) for name in ("wav.scp", "text", "utt2spk"))
    of_speaker = {
        name: _table(folder / part / f"spk2{name}")
        for name in GROUPS
        if (folder / part / f"spk2{name}").is_file()
    }
    utterances = []
    for name, wave in waves.items():
        if name not in texts or name not in speakers:
            raise DataError(f"{folder / part}: utterance {name} of wav.scp is not in text and utt2spk")
        text = clean_text(texts[name]).lower()
        groups = _groups(of_speaker, speakers[name])
        utterances.append(Utterance(name, folder / wave, text, speakers[name], groups=groups))
    return utterances


def _groups(of_speaker: Mapping[str, Mapping[str, str]], speaker: str) -> tuple[tuple[str, str], ...]:
    found = {name: table.get(speaker, "") for name, table in of_speaker.items()}
    return tuple((name, value) for name, value in found.items() if value)


def _table(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"there is no {path}; is this the whole of speechocean762?") from error
    pairs = (line.split(maxsplit=1) for line in lines if line.strip())
    return {pair[0]: pair[1] if len(pair) == 2 else "" for pair in pairs}


def _speaker(utterance: Utterance) -> str:
    return utterance.speaker or utterance.id
