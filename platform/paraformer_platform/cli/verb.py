"""How help is printed: what an option takes is named as in manuals, and a paragraph fills its lines."""

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Verb(TyperCommand):
    """A command with readable help."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.help = unwrapped(self.help)

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """The parameters, that of help among them."""
        return readable(super().get_params(ctx))


class VerbGroup(TyperGroup):
    """A command with commands of its own, such as `paraformer data`."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """The parameters, that of help among them."""
        return readable(super().get_params(ctx))


def unwrapped(text: str | None) -> str | None:
    """A docstring with one line for each paragraph: typer would keep the breaks of the source."""
    if text is None:
        return None
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def readable(parameters: Sequence[Any]) -> list[Any]:
    """Parameters that show PATH, TEXT or N for what they take, and nothing for switches."""
    for parameter in parameters:
        shown = _kind(parameter)
        parameter.display_type_rich = lambda ctx, shown=shown: shown
        parameter._get_number_range_help_str = lambda: None  # said in the help text where it matters
    return list(parameters)


def _kind(parameter: Any) -> str | None:
    takes = parameter.type_descriptor
    if getattr(parameter, "is_flag", False):
        return None
    if parameter.metavar:
        return None if parameter.param_type_name == "argument" else str(parameter.metavar)
    if takes.is_choice:
        return "|".join(str(getattr(one, "value", one)) for one in takes.choices)
    name = str(parameter.bare_type()).removeprefix("list[").removesuffix("]")
    return {"str": "TEXT", "int": "N", "float": "N"}.get(name, name.upper())
