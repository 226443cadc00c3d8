"""The main table for a paper, with booktabs."""

from paraformer_analysis.display import Cell, Grid

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "…": r"\,\ldots\,",
    "±": r"$\pm$",
    "<": "$<$",
    ">": "$>$",
    "†": r"$\dagger$",
    "×": r"$\times$",
    "‡": r"$\ddagger$",
    "§": r"\S",
    "·": r"$\cdot$",
    "\u2009": r"\,",
    "\u00a0": "~",
}


def escape(text: str) -> str:
    """Make text safe inside LaTeX."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def latex_table(grid: Grid, caption: str, label: str) -> str:
    r"""Write a grid as a table environment; needs ``\usepackage{booktabs}``."""
    first = grid.rows[0]
    columns = "".join("r" if cell.kind == "number" else "l" for cell in first)
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{escape(caption)}}}",
        f"  \\label{{tab:{label}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        "    \\toprule",
        f"    {' & '.join(escape(head) for head in grid.heads)} \\\\",
        "    \\midrule",
        *[f"    {_line(row)} \\\\" for row in grid.rows],
        "    \\bottomrule",
        "  \\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(row: tuple[Cell, ...]) -> str:
    return " & ".join(escape(cell.text) for cell in row)
