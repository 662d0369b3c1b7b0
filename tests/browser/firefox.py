"""The built book in Firefox, from disk and from a server: python tests/browser/firefox.py.
Run by hand, not by pytest.

Needs `make book`, Firefox (Debian: firefox-esr) and `pip install marionette-driver`. For every page
it reports what the console says, what was asked of another host, and whether its widget moves; it
exits with 1 where something is wrong.
"""

import shutil
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from marionette_driver.marionette import Marionette

HTML = Path(__file__).parents[2] / "_build" / "html"
PAGES = sorted(f"book/{page.name}" for page in (HTML / "book").glob("*.html"))
PREFERENCES = {
    "network.proxy.type": 1,  # everything but loopback goes to a proxy that is not there
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1, localhost",
}
CONSOLE = """
    const { Services } = globalThis;
    return Services.console.getMessageArray()
        .filter((m) => m instanceof Ci.nsIScriptError)
        .filter((m) => /html\\/|127\\.0\\.0\\.1/.test(m.sourceName))
        .map((m) => m.errorMessage + " at " + m.sourceName + ":" + m.lineNumber);
"""
ASKED = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
MOVES = """
    const [done] = arguments;
    const root = document.querySelector(".uninv");
    if (!root) return done("no widget here");
    root.querySelector(".uninv-main")?.click();
    const charts = () => [...root.querySelectorAll(".uninv-chart")];
    const text = () => [root.innerText, ...charts().map((c) => c.innerHTML)].join();
    const before = text();
    const ranges = [...root.querySelectorAll("input[type=range]")];
    const input = ranges.find((i) => !i.disabled && i.max > 0);
    input.value = (Number(input.value) + 1) % (Number(input.max) + 1);
    input.dispatchEvent(new Event("input"));
    setTimeout(() => done(text() !== before ? "moves" : "DEAD"), 500);
"""


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main() -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=HTML))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    firefox = Marionette(
        bin=shutil.which("firefox-esr") or shutil.which("firefox"),
        headless=True,
        prefs=PREFERENCES,
        gecko_log="-",
    )
    firefox.start_session()
    print("Firefox", firefox.session_capabilities["browserVersion"])
    bad = 0
    for base in (HTML.as_uri(), f"http://127.0.0.1:{server.server_port}"):
        for page in PAGES:
            with firefox.using_context("chrome"):
                firefox.execute_script("Services.console.reset()")
            firefox.navigate(f"{base}/{page}")
            time.sleep(1.5)
            alive = firefox.execute_async_script(MOVES)
            asked = [
                url
                for url in firefox.execute_script(ASKED)
                if not url.startswith((base, "data:", "blob:"))
            ]
            with firefox.using_context("chrome"):
                said = firefox.execute_script(CONSOLE)
            faults = [*asked, *said, *([alive] if alive == "DEAD" else [])]
            bad += len(faults)
            print(f"{base.split(':')[0]}: {page}: {alive}; {'; '.join(faults) or 'silent'}")
    firefox.quit()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
