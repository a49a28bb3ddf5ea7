"""Pictures of a run's report: `make picture-report` (needs Chromium). The run is the first one of docs/simulator.md."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from rackplane.cli import parser
from tests.support.browser import browser

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "images"
WIDTH, HEIGHT = 1240, 1320
RUN = (
    *("--facility", str(ROOT / "examples/facilities/gb300-row")),
    *("--trace", str(ROOT / "tests/data/acme/kalos_completed_jobs.csv")),
    *("--largest", "256", "--first", "100", "--load", "0.9", "--seed", "1"),
    *("--events", str(ROOT / "examples/simulator/events.yaml")),
)


async def main(report: Path) -> None:
    async with browser() as page:
        for name, dark in (("report", False), ("report-dark", True)):
            await page.open(report.as_uri(), width=WIDTH, height=HEIGHT, dark=dark, still=True)
            await page.evaluate("document.getElementById('power').scrollIntoView()")
            await page.evaluate("point(432000 + 1800)")
            picture = await page.picture(format="webp", quality=85)
            await asyncio.to_thread((PICTURES / f"{name}.webp").write_bytes, picture)
            print(f"{name}.webp: {len(picture):,} bytes")
        if page.errors:
            raise SystemExit(f"the page complains: {page.errors}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="rackplane-picture-") as folder:
        if parser.main(["simulate", *RUN, "--out", folder]):
            raise SystemExit("the run failed")
        asyncio.run(main(Path(folder) / "report.html"))
