"""The built book, and JupyterLab, in a browser."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from chromium import lacking

HTML = Path(__file__).parents[2] / "_build" / "html"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Every test of this folder needs a browser; `-m "not browser"` leaves them out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def html():
    if not (HTML / "index.html").exists():
        lacking("no book in _build/html: run `make book` first")
    return HTML


@pytest.fixture(scope="session")
def served(html):
    """The address of a plain static server over the book."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=html))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def visit(html, browser):
    """visit(page, ...) -> a page of the book with the network cut off; `faults` holds what a reader
    should not meet. Without `dress` it sets no formulas and has no icons, half of its work.
    """
    contexts = []

    def go(page, base=None, width=1200, wait=True, script="", dress=True, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.faults, context.asked = [], 0
        base = base or html.as_uri()

        def routed(route):
            context.asked += 1
            if not dress and re.search("/mathjax/|/fontawesome.js", route.request.url):
                route.fulfill(body="", content_type="text/javascript")
            elif route.request.url.startswith((base, "blob:", "data:")):
                route.continue_()
            else:
                context.faults.append(f"asks for {route.request.url}")
                route.abort()

        context.route("**/*", routed)
        context.set_default_timeout(60_000)  # the machine may be busy
        tab = context.new_page()
        tab.on(
            "console",
            lambda m: context.faults.append(m.text) if m.type in ("error", "warning") else None,
        )
        tab.on("pageerror", lambda error: context.faults.append(str(error)))
        tab.add_init_script(script)
        tab.goto(f"{base}/{page}")
        if wait:
            tab.evaluate("() => window.MathJax?.startup?.promise")
        if wait and tab.locator(".tag_widget").count():
            tab.wait_for_selector(".uninv figure canvas, .uninv svg")
        return tab

    yield go
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory):
    """A folder, and the address of JupyterLab on loopback over it, every cell of which is drawn."""
    folder = tmp_path_factory.mktemp("lab")
    settings = folder / "config" / "lab" / "user-settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    words = [
        "--no-browser",
        "--allow-root",
        "--port=0",
        "--ServerApp.token=",
        "--ServerApp.port_retries=0",
    ]
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "OMP_NUM_THREADS": "1",  # as in the test, whose number the kernel must give
    }
    command = [sys.executable, "-m", "jupyterlab", *words]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=folder, env=environment, **quiet)
    try:
        yield folder, _address(folder / "runtime")
    finally:
        server.terminate()
        server.wait(20)


def _address(runtime):
    for _ in range(600):  # the machine may be busy
        for found in runtime.glob("jpserver-*.json"):
            return json.loads(found.read_text())["url"]
        time.sleep(0.2)
    return pytest.fail("JupyterLab did not start")
