"""speechocean762 (Zhang et al., Interspeech 2021): English sentences read by native Mandarin speakers.

The authors' test set is the test set here; in the project's own copy that is its `dev`, 25 speakers who are
not in `train`. A tenth of the training utterances, by speaker, are held out as dev. Sentences that dev or
test has too are left out of training.
"""

from pathlib import Path

from paraformer.corpora.splits import Splits, hold_out, read_with_splits, without_held_out_sentences
from paraformer.errors import DataError
from paraformer.manifest import Utterance, clean_text

DEV_SHARE = 0.1


def read(folder: Path) -> Splits:
    """Utterances of train, dev and test; transcripts in lower case."""
    if (folder / "manifest.tsv").is_file():
        parts = read_with_splits(folder / "manifest.tsv")
        train, test = parts["train"], parts["dev"]
    elif (folder / "train" / "wav.scp").is_file():
        train, test = _read_kaldi(folder, "train"), _read_kaldi(folder, "test")
    else:
        raise DataError(
            f"{folder} holds neither manifest.tsv nor train/wav.scp; name the folder of speechocean762"
        )
    return without_held_out_sentences({**hold_out(train, {"dev": DEV_SHARE}, _speaker), "test": test})


def _read_kaldi(folder: Path, part: str) -> list[Utterance]:
    """A part as the authors ship it: tables of utterance and value, paths relative to the corpus's folder."""
    waves, texts, speakers = (_table(folder / part / name) for name in ("wav.scp", "text", "utt2spk"))
    utterances = []
    for name, wave in waves.items():
        if name not in texts or name not in speakers:
            raise DataError(f"{folder / part}: utterance {name} of wav.scp is not in text and utt2spk")
        text = clean_text(texts[name]).lower()
        utterances.append(Utterance(name, folder / wave, text, speakers[name]))
    return utterances


def _table(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"there is no {path}; is this the whole of speechocean762?") from error
    pairs = (line.split(maxsplit=1) for line in lines if line.strip())
    return {pair[0]: pair[1] if len(pair) == 2 else "" for pair in pairs}


def _speaker(utterance: Utterance) -> str:
    return utterance.speaker or utterance.id
