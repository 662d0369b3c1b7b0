import os
import shutil

import pytest
import torch

from uninv_lib import Spec, prepare

QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-sync"
)


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory):
    """Caches of a test run live in its own folder."""
    patch = pytest.MonkeyPatch()
    patch.setenv("UNINV_HOME", str(tmp_path_factory.mktemp("home")))
    torch.set_num_threads(1)  # beside another program two wait for each other, ten times as long
    yield
    patch.undo()


@pytest.fixture(scope="session")
def linear():
    """A linear model of digits, one sample forgotten by gradient ascent."""
    return prepare(Spec(dataset="digits", model="linear", budget="smoke"))


@pytest.fixture(scope="session")
def convnet():
    """A small convnet of digits, one sample forgotten by gradient ascent."""
    return prepare(Spec(dataset="digits", model="convnet", width=4, budget="smoke"))


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def lacking():
    """lacking(what): where something is not there, say what to do and skip; on the way to a release
    that is a failure.
    """
    return pytest.fail if os.environ.get("CI") else pytest.skip


@pytest.fixture(scope="session")
def browser(lacking):
    """A Chromium, of the system or of playwright."""
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
