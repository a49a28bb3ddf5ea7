"""A headless Chromium, driven over its DevTools protocol: what the page's tests and its pictures need, and no more.

The system's Chromium (Debian: `apt-get install chromium`), found on the PATH or named by $RACKPLANE_CHROMIUM.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

__all__ = ["CHROMIUM", "Page", "browser"]

CHROMIUM = (
    os.environ.get("RACKPLANE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_PATIENCE = 30.0


class PageError(AssertionError):
    """The browser refused a command, or a script on the page threw."""


class Page:
    """One tab. `errors` collects whatever its console or its scripts complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None
        self.errors: list[str] = []

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol and wait for its answer."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(message)
        async with asyncio.timeout(_PATIENCE):
            answer = await self._answers[number]
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def listen(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._heard(message.json())

    def _heard(self, message: dict[str, Any]) -> None:
        waiting = self._answers.pop(message["id"], None) if "id" in message else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.errors.append(str([a.get("value", a.get("description")) for a in parameters["args"]]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")

    async def attach(self) -> None:
        target = await self.command("Target.createTarget", url="about:blank")
        session = await self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = session["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.command(f"{domain}.enable")

    async def open(
        self, url: str, *, width: int = 1440, height: int = 900, dark: bool = False, still: bool = False
    ) -> None:
        """Open a page in a window of that size; `still`: it is to move nothing."""
        await self.size(width, height)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        await self.command("Emulation.setEmulatedMedia", features=features)
        await self.command("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def size(self, width: int, height: int) -> None:
        """Of the window, in CSS pixels."""
        await self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression on the page; a promise is waited for."""
        answer = await self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true on the page, looked at on each of its frames."""
        script = f"""new Promise((yes, no) => {{
            const end = performance.now() + {_PATIENCE * 900};
            const look = () => {{
                let value = false;
                try {{ value = {expression}; }} catch (problem) {{ if (performance.now() > end) return no(problem); }}
                if (value) return yes(value);
                if (performance.now() > end) return no(new Error('it never was true'));
                setTimeout(look, 15);
            }};
            look();
        }})"""
        try:
            return await self.evaluate(script)
        except PageError as problem:
            raise PageError(f"{expression}: {problem}; console: {self.errors}") from None

    async def key(self, name: str) -> None:
        """Press a key such as Tab, Enter or ArrowDown."""
        code = {
            "Tab": 9,
            "Enter": 13,
            "Escape": 27,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
        }
        more = {"windowsVirtualKeyCode": code[name], **({"text": "\r"} if name == "Enter" else {})}
        await self.command("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, **more)
        await self.command("Input.dispatchKeyEvent", type="keyUp", key=name, code=name)

    async def hover(self, selector: str) -> None:
        """Put the pointer on the middle of an element."""
        box = await self.evaluate(
            f"(({{left, top, width, height}}) => [left + width / 2, top + height / 2])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        await self.command("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])

    async def picture(self, *, format: str = "png", quality: int | None = None) -> bytes:
        """What the window shows."""
        more = {} if quality is None else {"quality": quality}
        answer = await self.command("Page.captureScreenshot", format=format, **more)
        return base64.b64decode(answer["data"])


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A browser with one tab, as long as the block lasts; its profile is thrown away."""
    assert CHROMIUM is not None, "there is no chromium on the PATH"
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *(CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port, path = await _endpoint(Path(profile), process)
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
            ):
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                try:
                    await page.attach()
                    yield page
                finally:
                    listening.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await listening
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _endpoint(profile: Path, process: asyncio.subprocess.Process) -> tuple[str, str]:
    file = profile / "DevToolsActivePort"
    async with asyncio.timeout(_PATIENCE):
        while True:
            if process.returncode is not None:
                raise PageError(f"chromium ended with {process.returncode}")
            if file.exists() and len(lines := file.read_text().split()) == 2:
                return lines[0], lines[1]
            await asyncio.sleep(0.02)
