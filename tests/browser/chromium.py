"""A page in a headless Chromium, driven over a pair of pipes: nothing has to be installed beside the browser itself."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60
Json = dict[str, Any]
# The browser wants its ends of the pipes as descriptors 3 and 4, which may be the numbers of others now.
_START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for end, wanted in zip(ends, (3, 4)):
    os.dup2(end, wanted)
    os.close(end)
os.execv(sys.argv[3], sys.argv[3:])
"""


def executable() -> str | None:
    """Return where a Chromium is, None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One browser with one page at a time. Everything that goes wrong in the page is kept in ``problems``."""

    def __init__(self, program: str, home: Path) -> None:
        from_here, self._write = os.pipe()
        self._read, to_here = os.pipe()
        switches = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--disable-background-networking",
            "--no-first-run",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            f"--user-data-dir={home / 'profile'}",
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(from_here), str(to_here), program, *switches, "about:blank"],
            pass_fds=(from_here, to_here),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(home / "chromium.log").open("wb"),
            env={**os.environ, "HOME": str(home)},
        )
        os.close(from_here)
        os.close(to_here)
        self._log = home / "chromium.log"
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._target: str | None = None
        self._events: list[Json] = []
        self.problems: list[str] = []
        self.requests: list[str] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)

    # -- the protocol --------------------------------------------------------------------------------------------------

    def call(self, method: str, **params: Any) -> Json:
        """Make a call and return its result; events that come before it are kept."""
        self._number += 1
        number = self._number
        message: Json = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(method)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: Json = answer.get("result", {})
                return result
            self._note(answer)

    def _next(self, what: str) -> Json:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, *_others = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            more = os.read(self._read, 1 << 20) if ready else b""
            if not more:
                raise RuntimeError(f"No answer to {what}: {self._log.read_text(errors='replace')[-2000:]}")
            self._buffer += more
        message, _zero, self._buffer = self._buffer.partition(b"\0")
        found: Json = json.loads(message)
        return found

    def _note(self, event: Json) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"])[:1000])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(f"{params['type']}: {json.dumps(params['args'])[:1000]}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{params['entry']['source']}: {params['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        self._events.append(event)

    def _wait(self, method: str) -> None:
        while not any(event.get("method") == method for event in self._events):
            self._note(self._next(method))

    # -- the page ------------------------------------------------------------------------------------------------------

    def open(self, page: Path, *, scripts: bool = True, width: int = 1400, height: int = 1000) -> None:
        """Open a file in a new page, and wait until it is there in full."""
        self._session = None
        before, self._target = self._target, self.call("Target.createTarget", url="about:blank")["targetId"]
        if before:
            self.call("Target.closeTarget", targetId=before)
        self._session = self.call("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(width, height)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self._events.clear()
        self.problems.clear()
        self.requests.clear()
        self.call("Page.navigate", url=page.as_uri())
        self._wait("Page.loadEventFired")

    def size(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, media: str = "", **features: str) -> None:
        """Show the page as for print, or at night: ``prefers_color_scheme="dark"``."""
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", media=media, features=told)

    def run(self, expression: str) -> Any:
        """Return the value of an expression in the page. Raises RuntimeError where it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + SECONDS
        while not self.run(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise RuntimeError(f"It never came true: {expression}")
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        """Click into the middle of an element, as a person does."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'center', inline: 'center', behavior: 'instant'}})")
        box = self.run(f"{found}.getBoundingClientRect().toJSON()")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key by its name: Tab, Enter, Escape, ArrowDown."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        codes |= {"End": 35, "Home": 36}
        told: Json = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **told, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def picture(self, to: Path, *, whole: bool = True) -> None:
        """Write a screenshot, of the whole page or of what shows."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        to.write_bytes(base64.b64decode(answer["data"]))

    def _clip(self, whole: bool) -> Json:
        if not whole:
            return {}
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def paper(self, to: Path) -> int:
        """Print the page into a PDF, and return how many bytes it has."""
        answer = self.call("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)
        return to.write_bytes(base64.b64decode(answer["data"]))
