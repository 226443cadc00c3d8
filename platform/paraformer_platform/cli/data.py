"""`paraformer data`: make, prepare and check corpora."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraformer_platform.cli.options import JsonOption, QuietOption
from paraformer_platform.cli.progress import progress_bar, working

if TYPE_CHECKING:
    from paraformer.manifest import Utterance
    from paraformer.quality import Finding

app = typer.Typer(no_args_is_help=True, help="Make, prepare and check corpora.")

SPLITS = ("train", "dev", "test")


@app.command(epilog="Example: paraformer data synth experiments/speech/digits.yaml data/digits")
def synth(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe: what is said, by which voices, how many.")],
    folder: Annotated[Path, typer.Argument(help="Where the corpus goes: a new folder.")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a corpus of synthetic speech with eSpeak NG, the same bytes for the same recipe."""
    from paraformer.synthesis import synthesise
    from paraformer_platform.config.recipe import load_recipe

    made_of = load_recipe(recipe)
    with progress_bar("speaking", "utterances", quiet) as advance:
        synthesise(made_of, folder, advance)
    _print_splits({name: folder / f"{name}.tsv" for name in made_of.splits}, as_json)


@app.command(epilog="Example: paraformer data prepare fsdd ~/free-spoken-digit-dataset data/fsdd --join 1,5")
def prepare(
    corpus: Annotated[
        str,
        typer.Argument(
            help="aishell, an4, audio_cmn, common_voice, fsdd, librispeech, speechocean762, thchs30, "
            "or folder for any other."
        ),
    ],
    source: Annotated[Path, typer.Argument(help="Folder of the corpus, as its authors ship it.")],
    out: Annotated[Path, typer.Argument(help="Where the manifests go.")],
    join: Annotated[
        str | None,
        typer.Option(help="fsdd: join digits to strings of so many.", metavar="LEAST,MOST"),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="audio_cmn, thchs30: text (characters) or pinyin; common_voice: text or sentence.",
            metavar="KIND",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="fsdd: recordings (the authors' parts) or speakers.", metavar="DIVISION"),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn a recorded corpus into manifests; the audio stays where it is."""
    from paraformer import corpora

    with working(f"reading {source}", quiet):
        manifests = corpora.prepare(corpus, source, out, join=_read_join(join), text=text, split=split)
    _print_splits(manifests, as_json)


@app.command(epilog="Example: paraformer data check data/digits")
def check(
    manifests: Annotated[
        list[Path], typer.Argument(help="A folder of train.tsv, dev.tsv and test.tsv, or manifests.")
    ],
    reader: Annotated[
        str | None,
        typer.Option(help="Your own reader of manifests, as in data.reader.", metavar="MODULE:FUNCTION"),
    ] = None,
    tokenizer: Annotated[str, typer.Option(help="char, char_from_texts, bpe or an import path.")] = "char",
    vocab_size: Annotated[int, typer.Option(help="Number of token ids.")] = 100,
    max_seconds: Annotated[float, typer.Option(help="Longer recordings are reported.")] = 30.0,
    frame_ms: Annotated[float, typer.Option(help="Time between encoder frames, in milliseconds.")] = 40.0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read every recording and transcript, and report what is wrong; exit code 2 if there are errors."""
    from paraformer import quality
    from paraformer.manifest import read_manifest
    from paraformer.tokenizer import make_tokenizer
    from paraformer_platform.training.utterances import read_utterances

    if reader is None:
        splits = {path.stem: read_manifest(path, check_files=False) for path in _manifests(manifests)}
    else:
        splits = {path.stem: read_utterances(path, reader) for path in manifests}
    texts = [utterance.text for utterance in next(iter(splits.values()))]
    limits = quality.Limits(max_seconds, frame_ms / 1000)
    with progress_bar("listening", "recordings", quiet) as advance:
        findings = quality.check(splits, make_tokenizer(tokenizer, texts, vocab_size), limits, advance)
    _print_findings(findings, splits, as_json)
    if any(finding.is_error for finding in findings):
        raise typer.Exit(2)


def _read_join(text: str | None) -> tuple[int, int] | None:
    from paraformer.errors import ConfigError

    if text is None:
        return None
    try:
        least, most = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--join is {text!r}, but must be two numbers LEAST,MOST such as 1,5") from error
    return least, most


def _manifests(named: list[Path]) -> list[Path]:
    """Manifests that were named, and those of folders that were."""
    from paraformer.errors import DataError

    found = []
    for path in named:
        inside = [path / f"{name}.tsv" for name in SPLITS if (path / f"{name}.tsv").is_file()]
        if path.is_dir() and not inside:
            raise DataError(
                f"{path} holds none of train.tsv, dev.tsv and test.tsv; name the manifests themselves"
            )
        found += inside if path.is_dir() else [path]
    return found


def _print_splits(manifests: dict[str, Path], as_json: bool) -> None:
    from paraformer.manifest import read_manifest

    rows = [_summary(name, path, read_manifest(path, check_files=False)) for name, path in manifests.items()]
    _print_table(rows, as_json)


def _summary(name: str, path: Path, utterances: "list[Utterance]") -> dict[str, object]:
    hours = sum(utterance.seconds or 0.0 for utterance in utterances) / 3600
    speakers = {utterance.speaker for utterance in utterances} - {None}
    return {
        "split": name,
        "utterances": len(utterances),
        "speakers": len(speakers),
        "hours": round(hours, 2),
        "manifest": str(path),
    }


def _print_findings(findings: "list[Finding]", splits: "dict[str, list[Utterance]]", as_json: bool) -> None:
    if as_json:
        rows = [{"kind": f.kind, "error": f.is_error, "where": f.where, "detail": f.detail} for f in findings]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    count = sum(len(utterances) for utterances in splits.values())
    typer.echo(f"{count} recordings in {', '.join(splits)}: {_verdict(findings)}")
    if findings:
        _print_table(_by_kind(findings), as_json=False)


def _verdict(findings: "list[Finding]") -> str:
    errors = sum(finding.is_error for finding in findings)
    return f"{errors} errors, {len(findings) - errors} warnings" if findings else "nothing to report"


def _by_kind(findings: "list[Finding]") -> list[dict[str, object]]:
    """One row for each kind, errors first, with its first example."""
    counts = Counter(finding.kind for finding in findings)
    first = {finding.kind: finding for finding in reversed(findings)}
    ordered = sorted(first.values(), key=lambda finding: (not finding.is_error, finding.kind))
    return [
        {
            "": "error" if finding.is_error else "warning",
            "what": finding.kind,
            "how often": counts[finding.kind],
            "for example": f"{finding.where}: {finding.detail}",
        }
        for finding in ordered
    ]


def _print_table(rows: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
