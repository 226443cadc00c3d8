"""The report's files, and the page in a real browser."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from paraformer_analysis import figures
from paraformer_analysis.latex import escape
from paraformer_analysis.report import report_pair, report_sweep

CHROMIUM = Path("/usr/bin/chromium")
FILES = {"report.html", "report.md", "table.csv", "table.tex", "table.parquet"}


@pytest.fixture(scope="module")
def page(demo_store, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    report_sweep(demo_store.uri, "demo", folder, log=False)
    return folder / "report.html"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_form_is_written(page):
    names = set(contents(page.parent))
    assert names >= FILES
    for figure in ("forest", "learning_curves", "pareto", "error_types"):
        assert {f"figures/{figure}.svg", f"figures/{figure}.png"} <= names


def test_rebuilding_gives_the_same_bytes(page, demo_store, tmp_path):
    report_sweep(demo_store.uri, "demo", tmp_path, log=False)
    assert contents(tmp_path) == contents(page.parent)


def test_the_report_is_logged_to_the_parent_run_and_does_not_change_by_it(store_sweep, tmp_path):
    from mlflow import MlflowClient

    stored = store_sweep()
    report_sweep(stored.uri, "demo", tmp_path / "one")
    logged = {file.path for file in MlflowClient(stored.uri).list_artifacts(stored.parent_run_id, "report")}
    assert {f"report/{name}" for name in FILES} <= logged
    report_sweep(stored.uri, "demo", tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_numbers_are_unrounded_and_the_same_in_both_files(page):
    table, numbers = pd.read_csv(page.parent / "table.csv"), pd.read_parquet(page.parent / "table.parquet")
    assert list(table["variant"]) == ["baseline", "no-predictor", "encoder-2", "dim-256"]
    assert table["difference"].tolist() == pytest.approx(numbers["difference"].tolist(), nan_ok=True)


def test_markdown_and_latex_hold_the_table(page):
    markdown = (page.parent / "report.md").read_text()
    latex = (page.parent / "table.tex").read_text()
    assert "| no-predictor | worse |" in markdown
    assert "![" in markdown
    assert r"\toprule" in latex
    assert "no-predictor & worse" in latex


def test_latex_needs_no_more_than_booktabs(page):
    """Plain ASCII in math mode or macros, and nothing special that is not escaped."""
    latex = (page.parent / "table.tex").read_text()
    assert latex.isascii()
    rows = latex.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    columns = latex.split(r"\begin{tabular}{")[1].split("}")[0]
    assert {line.count("&") + 1 for line in rows} == {len(columns)}
    assert all(line.endswith(r"\\") for line in rows)
    outside = re.sub(r"\\[&%$#_{}]|\$[^$]*\$", "", latex.split(r"\toprule")[1])
    assert not set("%#_$~^") & set(outside)


def test_latex_escapes_what_a_variant_may_be_called():
    assert escape("num_layers=2 & 50% {x}~^") == (
        r"num\_layers=2 \& 50\% \{x\}\textasciitilde{}\textasciicircum{}"
    )


def test_what_is_published_is_what_a_repository_keeps(demo_store, tmp_path):
    (tmp_path / "docs" / "figures").mkdir(parents=True)
    for name in ("figures/of_an_older_report.png", "older.csv"):
        (tmp_path / "docs" / name).write_text("old")
    report_sweep(demo_store.uri, "demo", tmp_path / "out", log=False, publish=tmp_path / "docs")
    found = contents(tmp_path / "docs")
    assert found["README.md"] == (tmp_path / "out" / "report.md").read_bytes()
    assert {"table.csv", "trials.csv", "slices.csv", "figures/forest.png"} <= set(found)
    assert {Path(name).suffix for name in found} == {".md", ".csv", ".png"}
    assert not {"figures/of_an_older_report.png", "older.csv"} & set(found)
    for name in re.findall(r"\]\((figures/[^)]+)\)", found["README.md"].decode()):
        assert name in found


def test_long_names_of_variants_leave_room_for_the_panels(store_sweep, tmp_path):
    long = "learning_rate=0.00258817,batch_size=8,ratio=0.4,ctc_weight=0.5"
    stored = store_sweep(variants={"baseline": 0.2, long: 0.1, long.replace("8,", "9,"): 0.3})
    table = report_sweep(stored.uri, "demo", tmp_path, log=False).table
    costs = {cost: [1e6, 2e6, 3e6] for cost in ("cost/parameters", "cost/train_seconds", "cost/rtf")}
    table = replace(table, details=table.details.assign(**costs))
    for figure in (figures.pareto(table), figures.forest(table)):
        figure.draw_without_rendering()
        parts = [axes.get_position().width for axes in figure.axes]
        assert sum(parts) > 0.5
        assert min(parts) > 0.2


@pytest.mark.parametrize("shown", [1, 2, 3, 4])
def test_the_lowest_panel_of_each_column_says_what_its_axis_is(shown):
    figure = Figure()
    columns = min(2, shown)
    grid = figure.subplots(-(-shown // columns), columns, sharex=True, sharey=True, squeeze=False)
    figures.hide_rest(grid, shown)
    figure.draw_without_rendering()
    for column in grid.T:
        seen = [axes for axes in column if axes.get_visible()]
        labelled = [any(label.get_visible() for label in axes.get_xticklabels()) for axes in seen]
        assert labelled == [False] * (len(seen) - 1) + [True]


def test_names_are_broken_at_commas_only():
    assert figures.broken("encoder-2", 5) == "encoder-2"
    assert figures.broken("a=1,b=2,much_longer=3,c=4", 9) == "a=1,b=2,\nmuch_longer=3,\nc=4"


def test_a_pair_has_a_segment_test(demo_store, tmp_path):
    found = report_pair(demo_store.uri, "demo/baseline/11", "demo/no-predictor/11", tmp_path)
    assert found.table.rows[1].mapsswe.p < 0.001
    assert "MAPSSWE" in (tmp_path / "report.md").read_text()


def test_a_factorial_sweep_has_effects(store_sweep, tmp_path):
    cells = {f"{depth}-{width}": (depth, width) for depth in (2, 4) for width in (64, 128)}
    stored = store_sweep(
        variants={name: 0.1 + 0.1 * (depth == 2) for name, (depth, _) in cells.items()},
        changes={
            name: {"model.depth": depth, "model.width": width} for name, (depth, width) in cells.items()
        },
        lock={
            "method": "grid",
            "baseline": "4-128",
            "factors": {"model.depth": [2, 4], "model.width": [64, 128]},
        },
    )
    found = report_sweep(stored.uri, "demo", tmp_path, log=False)
    depth = found.effects.of("model.depth")[0]
    assert depth.level == "2"
    assert 3 < depth.estimate < 7  # half of ten points
    files = {"figures/main_effects.png", "figures/interactions.png", "effects.csv", "effects.parquet"}
    assert files <= set(contents(tmp_path))
    effects = pd.read_csv(tmp_path / "effects.csv").set_index(["term", "level"])
    assert effects.loc[("model.depth", "2"), "effect_points"] == pytest.approx(depth.estimate)
    assert effects.loc[("model.depth", "4"), "change_points"] == pytest.approx(-2 * depth.estimate)
    assert "Factors that matter, each averaged over the others: model.depth 2 → 4 −" in found.answer
    assert "| 2 → 4: −" in (tmp_path / "report.md").read_text()


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-background-networking"]
        )
        yield opened
        opened.close()


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 390)])
def test_the_page_opens_offline_without_complaint(browser, page, scheme, width):
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    outside = [url for url in asked if not url.startswith(("file:", "data:"))]
    assert (said, outside) == ([], [])
    assert tab.locator("figure svg").count() == 5
    assert all(
        box["width"] > 200 for box in (figure.bounding_box() for figure in tab.locator("figure svg").all())
    )
    assert tab.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
    tab.close()


@pytest.mark.browser
def test_tables_sort_both_ways_and_keep_the_unknown_last(browser, page):
    tab = browser.new_page()
    tab.goto(page.as_uri())
    head = tab.locator("#main thead button", has_text="difference")

    def order():
        return tab.locator("#main tbody th").all_inner_texts()

    numbers = pd.read_csv(page.parent / "table.csv").set_index("variant")["difference"].dropna().sort_values()
    head.click()
    assert order() == [*numbers.index, "baseline"]
    head.click()
    assert order() == [*numbers.index[::-1], "baseline"]
    tab.close()


@pytest.mark.browser
def test_colours_follow_the_scheme(browser, page):
    def paper(scheme):
        tab = browser.new_page(color_scheme=scheme)
        tab.goto(page.as_uri())
        colours = [
            tab.locator("body").evaluate("element => getComputedStyle(element).backgroundColor"),
            tab.locator("figure text").first.evaluate("element => getComputedStyle(element).fill"),
        ]
        tab.close()
        return colours

    light, dark = paper("light"), paper("dark")
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_the_command_prints_the_table_and_the_numbers(demo_store, tmp_path):
    import typer
    from typer.testing import CliRunner

    from paraformer_platform.cli.report import report

    app = typer.Typer()
    app.command()(report)
    common = ["--tracking-uri", demo_store.uri, "--out", str(tmp_path), "--no-log"]
    shown = CliRunner().invoke(app, ["demo", *common])
    assert shown.exit_code == 0
    assert "no-predictor" in shown.stdout
    told = json.loads(CliRunner().invoke(app, ["demo", *common, "--json"]).stdout)
    assert [row["verdict"] for row in told["rows"]][:2] == ["baseline", "worse"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one sweep"),
        (["demo", "--compare", "a", "b"], "and not both"),
        (["nothing"], "no sweep named 'nothing'"),
    ],
)
def test_the_command_refuses_in_one_sentence(demo_store, tmp_path, arguments, message):
    import typer
    from typer.testing import CliRunner

    from paraformer_platform.cli.report import report

    app = typer.Typer()
    app.command()(report)
    uri = ["--tracking-uri", demo_store.uri, "--out", str(tmp_path / "out")]
    shown = CliRunner().invoke(app, [*arguments, *uri])
    assert shown.exit_code == 2
    assert message in shown.stderr
    assert not (tmp_path / "out").exists()


def test_markdown_tables_are_tables(page: Path) -> None:
    """Runs of lines with as many cells as heads, an empty line before and after."""
    text = (page.parent / "report.md").read_text()
    tables = [block.splitlines() for block in text.split("\n\n") if "|" in block.splitlines()[0][:1]]
    assert len(tables) >= 3
    for table in tables:
        assert len(table) >= 3, table
        assert {line.count("|") for line in table} == {table[0].count("|")}
        assert set(table[1]) <= set("|:- ")
    assert sum(line.startswith("|") for line in text.splitlines()) == sum(map(len, tables))
