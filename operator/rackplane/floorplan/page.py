"""The page as files to serve, and as one HTML file with a recorded series of frames in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Final

import msgspec

from rackplane.floorplan import model as m

__all__ = ["ASSETS", "POLICY", "asset", "source_hash", "standalone"]

#: Each file of the page with its media type. Scripts run in this order and share one scope.
ASSETS: Final = {
    "index.html": "text/html",
    "floorplan.css": "text/css",
    "words.js": "text/javascript",
    "data.js": "text/javascript",
    "floor.js": "text/javascript",
    "power.js": "text/javascript",
    "panels.js": "text/javascript",
    "timeline.js": "text/javascript",
    "main.js": "text/javascript",
}
#: What the served page may do: its own files, its own server, nothing inline, in nobody's frame.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STYLE: Final = '<link rel="stylesheet" href="floorplan.css">'


@cache
def asset(name: str) -> str:
    """The text of a file of the page.

    Raises:
        KeyError: there is no such file.
    """
    if name not in ASSETS:
        raise KeyError(name)
    return (resources.files("rackplane.floorplan") / "assets" / name).read_text(encoding="utf-8")


def standalone(layouts: Iterable[m.Layout], frames: Iterable[m.Frame], *, title: str = "") -> str:
    """One HTML file that shows the frames, opened from a disk too; it asks no server for anything.

    Args:
        layouts: those that the frames name.
        frames: the oldest first; at least one.
        title: what was recorded, for people.

    Raises:
        ValueError: there are no frames.
    """
    series = list(frames)
    if not series:
        raise ValueError("there are no frames to show")
    recording = {
        "title": title,
        "layouts": {layout.id: layout for layout in layouts},
        "first": series[0],
        "deltas": [m.changes(before, after) for before, after in pairwise(series)],
    }
    # In a script element only "<" can end it or begin a comment; U+2028 and U+2029 are fine in JSON.
    data = msgspec.json.encode(recording).decode().replace("<", "\\u003c")
    script = "\n".join(asset(name) for name in ASSETS if name.endswith(".js"))
    style = asset("floorplan.css")
    policy = (
        f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = asset("index.html")
    for name in ASSETS:
        if name.endswith(".js"):
            page = page.replace(f'<script src="{name}" defer></script>\n', "")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    page = page.replace(_STYLE, f"{meta}\n<style>{style}</style>")
    ending = (
        f'<script type="application/json" id="recording">{data}</script>\n<script>{script}</script>\n</body>'
    )
    head, _, tail = page.rpartition("</body>")
    return head + ending + tail


def source_hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style with this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
