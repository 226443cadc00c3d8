"""The documentation as a site: it builds without a warning, is whole, and asks nobody else for anything."""

import contextlib
import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from paraformer_platform.cli.app import app

CHROMIUM = Path("/usr/bin/chromium")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In strict mode MkDocs ends at any warning: a dead link, a missing anchor, a bad docstring."""
    pytest.importorskip("mkdocs", reason="the site's tools are an extra: make setup")
    folder = tmp_path_factory.mktemp("site")
    rooms = os.pathsep.join(str(repository / room) for room in ("model", "platform", "analysis"))
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": rooms, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_verb_and_every_public_module_has_its_place(site: Path) -> None:
    commands = (site / "reference" / "command_line.html").read_text()
    verbs = [command.name for command in app.registered_commands]
    for group in app.registered_groups:
        verbs += [
            f"{group.name}-{one.name or one.callback.__name__}"
            for one in group.typer_instance.registered_commands
        ]
    assert len(verbs) > 20
    for verb in verbs:
        assert f'id="paraformer-{verb}"' in commands, verb
    for page, member in {
        "paraformer/cif": "paraformer.cif.integrate_and_fire",
        "paraformer_platform/training/loop": "paraformer_platform.training.loop.train",
        "paraformer_analysis/bootstrap": "paraformer_analysis.bootstrap.BlockBootstrap.estimate",
    }.items():
        assert f'id="{member}"' in (site / "api" / f"{page}.html").read_text()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loading = re.compile(
        r'<(?:script|img|iframe|source)[^>]*\ssrc="(?:https?:)?//|<link[^>]*rel="(?:stylesheet|preconnect)"[^>]*//'
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 100
    assert [page.name for page in pages if loading.search(page.read_text())] == []


@pytest.mark.browser
def test_search_finds_a_function_without_asking_anybody_else(site: Path) -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    from playwright.sync_api import TimeoutError as NotYet
    from playwright.sync_api import sync_playwright

    with serving(site) as address, sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        tab = browser.new_page()
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(address)
        found = tab.locator(".md-search-result__link").filter(has_text="integrate_and_fire").first
        for _ in range(12):  # what is typed before the page has read its index is lost
            tab.get_by_role("textbox", name="Search").fill("")
            tab.get_by_role("textbox", name="Search").fill("integrate_and_fire")
            with contextlib.suppress(NotYet):
                found.wait_for(timeout=10_000)
                break
        assert found.is_visible()
        browser.close()
    assert len(asked) > 5
    assert all(url.startswith((address, "data:", f"blob:{address}")) for url in asked), asked


class serving:
    """A folder on a port of this machine."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(Silent, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def documents() -> list[Path]:
    root = Path(__file__).resolve().parent.parent
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.name))
def test_links_lead_somewhere_on_the_repositorys_own_pages_too(document: Path) -> None:
    dead = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert dead == []
