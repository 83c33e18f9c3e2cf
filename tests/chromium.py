"""Debian's Chromium, driven by Playwright, with a WAV file for its microphone."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")


@contextmanager
def browser(microphone: Path | None = None) -> Iterator[Any]:
    """Give a browser; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    if microphone is not None:
        arguments += [
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}",
        ]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=arguments)
        try:
            yield opened
        finally:
            opened.close()


def until(page: Any, condition: str, patience_s: float = 20.0) -> None:
    """Wait until an expression is true; asked from outside, as the page's policy lets nothing be evaluated inside."""
    end = time.monotonic() + patience_s
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never came: {condition}"
        page.wait_for_timeout(50)


@contextmanager
def watched(opened: Any, where: str, *also: str, **options: Any) -> Iterator[Any]:
    """Give a page of an address; it must have complained of nothing at its end, and asked nobody else.

    Args:
        opened: the browser.
        where: the address.
        also: how other addresses may begin that it asks for.
        options: of the browser's context.
    """
    context = opened.new_context(**options)
    try:
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if _is_amiss(said) else None)
        page.on(
            "request", lambda asked: complaints.append(asked.url) if not asked.url.startswith((where, *also)) else None
        )
        page.set_default_timeout(20_000)
        page.goto(where)
        yield page
        assert complaints == []
    finally:
        context.close()


def _is_amiss(said: Any) -> bool:
    """Tell an error in the console from a server's refusal, which a test may well have asked for."""
    return said.type == "error" and "the server responded with a status of 4" not in said.text


@contextmanager
def page_at(opened: Any, where: str, **options: Any) -> Iterator[Any]:
    """Give a served page that is ready, watched."""
    with watched(opened, where, "blob:", permissions=["microphone"], **options) as page:
        until(page, "document.getElementById('status').textContent === 'Ready'")
        yield page
