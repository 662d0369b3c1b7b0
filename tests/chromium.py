"""A Chromium for the tests that look at pages."""

import os
import shutil

import pytest

QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-sync"
)


def lacking(what):
    """Where something is not there, say what to do and skip; on the way to a release that is a
    failure.
    """
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        system = (
            shutil.which("chromium")
            or shutil.which("chromium-browser")
            or shutil.which("google-chrome")
        )
        try:
            found = playwright.chromium.launch(executable_path=system, args=QUIET.split())
        except api.Error as error:
            lacking(
                "no browser: install Debian's chromium, or run `playwright install "
                f"chromium` ({error})"
            )
        yield found
        found.close()
