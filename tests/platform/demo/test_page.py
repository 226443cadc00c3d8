"""The page in a real browser with real recordings, as `paraformer demo-page` serves it."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from paraformer.audio import read_audio

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
MILLISECONDS = 30_000
REFUSED = re.compile(r"status of (415|422) ")
"""What the console says of an answer with which the page has to deal."""

pytestmark = [pytest.mark.speech, pytest.mark.browser]


@pytest.fixture(scope="module")
def address(trained: Any, repository: Path) -> Iterator[str]:
    """Where the command says that its page is; Ctrl-C ends it in good order."""
    rooms = os.pathsep.join(str(repository / room) for room in ("model", "platform", "analysis"))
    command = [sys.executable, "-m", "paraformer_platform", "demo-page", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--checkpoint", str(trained.checkpoint), "--max-seconds", "5"],
        env={**os.environ, "PYTHONPATH": rooms, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r"open (http://127\.0\.0\.1:\d+) in a browser", process.stdout.readline())
    assert found is not None, process.communicate(timeout=30)
    yield found[1]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "ended\n")


@pytest.fixture(scope="module")
def microphone(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Chromium's microphone hears, over and over."""
    path = tmp_path_factory.mktemp("microphone") / "heard.wav"
    soundfile.write(path, read_audio(trained.utterances[0].path).numpy(), 16_000)
    return path


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A fresh tab on the page; nobody else is asked for anything, and the console stays empty."""
    context = browser.new_context(viewport={"width": 1000, "height": 900}, permissions=["microphone"])
    tab = context.new_page()
    tab.set_default_timeout(MILLISECONDS)
    asked, complaints = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.goto(address)
    tab.get_by_role("button", name="Record").and_(tab.locator(":enabled")).wait_for()
    yield tab
    context.close()
    assert all(url.startswith((address, f"blob:{address}", "data:")) for url in asked), asked
    unexpected = [one for one in complaints if not REFUSED.search(one)]
    assert not unexpected


def pixels_differ(page: Any, canvas: str) -> bool:
    """Whether a canvas shows more than one colour."""
    return bool(
        page.evaluate(
            """name => {
                const canvas = document.querySelector(name);
                const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
                return new Set(new Uint32Array(all.buffer)).size > 20;
            }""",
            canvas,
        )
    )


def upload(page: Any, file: Path) -> None:
    page.locator("#file").set_input_files(str(file))


def test_a_recording_becomes_text_and_pictures(page: Any, trained: Any) -> None:
    one = trained.utterances[1]
    upload(page, one.path)
    page.locator("#heads input").first.wait_for(state="attached")
    assert page.locator("#transcript").inner_text() == one.text
    assert page.locator("#transcript button").count() == len(one.text.split())
    assert pixels_differ(page, "#time")
    assert pixels_differ(page, "#head")
    assert f"fired {len(one.text)} times" in page.locator("#time").get_attribute("aria-label")
    page.get_by_text("Every token as a table").click()
    tokens = page.locator("#tokens tr")
    assert "".join(tokens.nth(n).locator("td").first.inner_text() for n in range(tokens.count())) == (
        one.text.replace(" ", "␣")
    )
    assert re.fullmatch(r"\d+ %", tokens.first.locator("td").nth(1).inner_text())


def test_layer_and_head_can_be_chosen_by_keyboard(page: Any, trained: Any) -> None:
    upload(page, trained.utterances[0].path)
    heads = page.locator("#heads input")
    heads.first.wait_for(state="attached")
    assert page.locator("#layer option").count() == heads.count() == 2
    heads.first.focus()
    page.keyboard.press("ArrowRight")
    note = page.locator("#head-note")
    assert note.inner_text().startswith("Layer 0, head 1: it looks ")
    with page.expect_response("**/api/attention?layer=1"):
        page.locator("#layer").focus()
        page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('#head-note').textContent.startsWith('Layer 1, head 1')")


def test_an_example_shows_what_was_said_and_a_word_is_played(page: Any, trained: Any) -> None:
    one = trained.utterances[2]
    page.get_by_role("button", name=one.text).click()
    word = page.locator("#transcript button").nth(1)
    word.wait_for()
    assert page.locator("#said").inner_text() == f"What was said: {one.text}"
    word.click()
    page.wait_for_function("document.querySelector('#player').currentTime > 0")
    assert re.search(r"\d+ % sure, \d\.\d\d to \d\.\d\d s", word.get_attribute("title"))


def test_the_microphone_is_recorded_and_understood(page: Any, trained: Any) -> None:
    page.get_by_role("button", name="Record").click()
    page.get_by_role("button", name="Stop").wait_for()
    page.wait_for_timeout(2200)
    page.get_by_role("button", name="Stop").click()
    page.locator("#heads input").first.wait_for(state="attached")
    heard = page.locator("#transcript").inner_text()
    # The microphone begins anywhere in the sentence: most of its words are there, in whatever order.
    said = set(trained.utterances[0].text.split())
    assert len(said & set(heard.split())) >= len(said) / 2, heard
    assert pixels_differ(page, "#time")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.wav", "this is a text", "Not so: the audio cannot be read as audio"),
        ("empty.wav", "", "Not so: empty.wav is empty (0 bytes)"),
        ("silent.wav", np.zeros(16_000), "Not so: the recording is silent"),
        (
            "long.wav",
            np.full(16_000 * 6, 0.1),
            "Not so: the recording is 6.0 s long, more than the 5 s allowed here",
        ),
    ],
    ids=["no audio", "empty", "silent", "long"],
)
def test_a_bad_file_is_told(page: Any, tmp_path: Path, name: str, content: Any, words: str) -> None:
    file = tmp_path / name
    if isinstance(content, str):
        file.write_text(content)
    else:
        soundfile.write(file, content, 16_000)
    upload(page, file)
    error = page.locator("#error")
    error.wait_for()
    shown = error.evaluate(
        "node => getComputedStyle(node, '::before').content.slice(1, -1) + node.textContent"
    )
    assert shown.startswith(words)
    assert not page.locator("#result").is_visible()


def test_what_only_the_browser_can_decode_goes_up_as_its_samples(
    page: Any, trained: Any, tmp_path: Path
) -> None:
    """The server is asked twice, the second time with floating-point WAV that gives the same text."""
    one, sent = trained.utterances[1], []
    file = tmp_path / "sentence.flac"
    soundfile.write(file, read_audio(one.path).numpy(), 16_000, subtype="PCM_16")

    def answer(route: Any) -> None:
        sent.append(route.request.post_data_buffer)
        if len(sent) == 1:
            route.fulfill(status=415, json={"error": "cannot be read as audio"})
        else:
            route.continue_()

    page.route("**/api/hear", answer)
    upload(page, file)
    page.locator("#transcript button").first.wait_for()
    assert page.locator("#transcript").inner_text() == one.text
    assert [content[:4] for content in sent] == [b"fLaC", b"RIFF"]
    samples, rate = soundfile.read(io.BytesIO(sent[1]), dtype="float32")
    assert (rate, samples.ndim) == (16_000, 1)
    assert np.abs(samples - read_audio(file).numpy()).max() < 1e-4


def test_a_dropped_file_is_taken(page: Any, trained: Any) -> None:
    one = trained.utterances[0]
    dropped = page.evaluate_handle(
        """bytes => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], 'dropped.flac'));
            return carried;
        }""",
        list(one.path.read_bytes()),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    page.locator("#transcript button").first.wait_for()
    assert page.locator("#transcript").inner_text() == one.text


def test_everything_is_reached_by_tab(page: Any, trained: Any) -> None:
    page.on("filechooser", lambda chooser: chooser.set_files(str(trained.utterances[0].path)))
    page.locator("#choose").focus()
    page.keyboard.press("Enter")
    page.locator("#heads input").first.wait_for(state="attached")
    page.locator("body").focus()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    for wanted in ("record", "choose", "player", "time-scroll", "layer", "INPUT", "SUMMARY"):
        assert wanted in reached


def test_it_fits_a_phone_and_follows_the_dark(page: Any, trained: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    upload(page, trained.utterances[0].path)
    page.locator("#heads input").first.wait_for(state="attached")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    assert sum(map(int, re.findall(r"\d+", dark)[:3])) < 150 < sum(map(int, re.findall(r"\d+", light)[:3]))
    assert pixels_differ(page, "#time")
