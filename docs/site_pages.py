"""Pages of the documentation site that are made and not written: home, command line, API. A hook of MkDocs.

The home page is the README with its links turned; the command line's is made of the commands themselves;
every public module has a page that mkdocstrings fills from its docstrings.
"""

import re
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = {
    "model/paraformer": "Model: paraformer",
    "platform/paraformer_platform": "Platform: paraformer_platform",
    "analysis/paraformer_analysis": "Analysis: paraformer_analysis",
}
WITHOUT_PAGE = ("__main__", "cli", "espeak_worker")
"""Modules that nobody imports: the command line has a page of its own."""
COMMANDS = "reference/command_line.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the API to the navigation."""
    assert config.nav is not None
    config.nav.append({"API": [{title: _nav(Path(folder))} for folder, title in PACKAGES.items()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    pages = {"index.md": _home(), COMMANDS: _command_line()}
    for folder in PACKAGES:
        for module in _modules(REPOSITORY / folder):
            pages[_page(module)] = f"# {module}\n\n::: {module}\n"
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Take away the second colon with which a docstring announces a block, reST's way."""
    return html.replace("<p>::</p>", "").replace("::</p>", ":</p>") if page.url.startswith("api/") else html


def _home() -> str:
    """The README, as a page among those that it links to."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return "---\nhide: [navigation]\n---\n\n" + re.sub(r"\]\(docs/", "](", text)


# --- API ---


def _modules(package: Path) -> Iterator[str]:
    """The modules of a package that a user may import, the package itself first."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names = parts[:-1] if parts[-1] == "__init__" else parts
        private = any(name.startswith("_") or name in WITHOUT_PAGE for name in names)
        if not private and _has_words(path):
            yield ".".join(names)


def _has_words(path: Path) -> bool:
    """Whether there is anything to show: an empty __init__ makes no page."""
    return bool(path.read_text(encoding="utf-8").strip())


def _page(module: str) -> str:
    return f"api/{module.replace('.', '/')}.md"


def _nav(package: Path) -> list[Any]:
    """Modules as a tree: those of a folder within a section of its name."""
    flat: list[Any] = []
    folders: dict[str, list[Any]] = {}
    for module in _modules(REPOSITORY / package):
        _, *inner = module.split(".")
        within = len(inner) > 1 or (REPOSITORY / package / inner[0]).is_dir() if inner else False
        entry = {inner[-1] if inner else module: _page(module)}
        if within:
            folders.setdefault(inner[0], []).append(_page(module) if len(inner) == 1 else entry)
        else:
            flat.append(entry)
    return [*flat, *({name: entries} for name, entries in folders.items())]


# --- command line ---


def _command_line() -> str:
    """Every command with its help, arguments and options."""
    from paraformer_platform.cli.app import app

    root = typer.main.get_command(app)
    sections = [_command(name, command) for name, command in _commands(root, "paraformer")]
    head = (
        "# Command line\n\nEvery command prints its help with `--help`. What you can mend is one message and "
        "exit code 2; Ctrl-C ends in good order with 130. `paraformer --install-completion` completes "
        "commands and options in your shell.\n\n"
        "| command | |\n|---|---|\n"
    )
    rows = [
        f"| [`{name}`](#{name.replace(' ', '-')}) | {_first_sentence(command.help)} |"
        for name, command in _commands(root, "paraformer")
    ]
    return head + "\n".join(rows) + "\n\n" + "\n\n".join(sections) + "\n"


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for verb, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} {verb}")
        elif not command.hidden:
            yield f"{name} {verb}", command


def _command(name: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option" and one.name != "help"]
    parts = [f"## {name}", command.help or ""]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)])
    parts.append(f"```text\n{usage}\n```")
    if shown:
        parts.append("\n".join(["| | | default |", "|---|---|---|", *map(_row, [*arguments, *options])]))
    if command.epilog:
        parts.append("```bash\n" + command.epilog.removeprefix("Example: ") + "\n```")
    return "\n\n".join(parts)


def _argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name = f"{name}..." if argument.nargs == -1 else name
    return name if argument.required else f"[{name}]"


def _row(parameter: Any) -> str:
    names = _argument(parameter) if parameter.param_type_name == "argument" else _spelled(parameter)
    helped = (parameter.help or "").replace("|", "\\|")
    environment = f" Also: `{parameter.envvar}`." if getattr(parameter, "envvar", None) else ""
    return f"| `{names}` | {helped}{environment} | {_default(parameter)} |"


def _spelled(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return (
        names if option.is_flag else f"{names} {option.metavar or _kind(option.type_descriptor.annotation)}"
    )


def _kind(annotation: Any) -> str:
    """What a value is: PATH, INT, TEXT or the words to choose from."""
    (inner,) = typing.get_args(annotation) if typing.get_origin(annotation) is list else (annotation,)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return "/".join(str(one.value) for one in inner)
    return {"str": "TEXT"}.get(inner.__name__, inner.__name__.upper())


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if value in (None, False) or callable(value):
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _first_sentence(text: str | None) -> str:
    return re.split(r"(?<=\.)\s|\n\n", (text or "").strip())[0].replace("\n", " ")
