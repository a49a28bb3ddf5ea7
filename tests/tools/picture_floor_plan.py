"""Pictures of the floor plan, taken of the real thing: `make picture-floor-plan` (needs Chromium).

The operator runs on the embedded cluster with the hall of examples/facilities/4n3, which four UPS carry, any three of
them if one is lost. Jobs fill two thirds of it and more wait; then ups-b goes out of service.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from rackplane.cli import demo, demo_load
from rackplane.localcluster import LocalCluster, Request
from tests.support.browser import Page, browser

#: GPUs of each job, in the order in which they are submitted; what does not fit waits.
JOBS = (512, 64, 256, 64, 128, 32, 288, 16, 64, 24, 192, 8, 64, 160, 512, 512, 320, 448)
PICTURES = Path(__file__).resolve().parents[2] / "docs" / "images"
WIDTH, HEIGHT = 1400, 900


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="rackplane-picture-") as folder:
        console = Console(file=sys.stderr)
        async with demo._cluster(console, Path(folder), demo.Options(facility="4n3")) as (
            cluster,
            _,
            process,
            _,
        ):
            await _until(lambda: process.floor_plan is not None and process.floor_plan.frame is not None)
            for number, gpus in enumerate(JOBS, 1):
                name = f"train-{number:02}-{gpus}gpu"
                cluster.apply(demo_load.job(name=name, namespace="default", gpus=gpus, run_seconds=3600.0))
                await asyncio.sleep(0.4)
            await _until(lambda: _phases(cluster, "Running") >= len(JOBS) - 4)
            await asyncio.sleep(6)
            cluster.handle(_patch("ups-b", "Offline"))
            await asyncio.sleep(10)
            async with browser() as page:
                await page.open(
                    f"http://127.0.0.1:{process.ui_port}/ui/", width=WIDTH, height=HEIGHT, still=True
                )
                await _take(page)


async def _take(page: Page) -> None:
    await page.until("document.querySelector('.tile')?.ariaLabel")
    await page.evaluate("document.querySelector('[value=power]').click()")
    await page.evaluate("document.querySelector('[data-rack=ab-1]').click()")
    await asyncio.sleep(3)
    await asyncio.to_thread(PICTURES.mkdir, exist_ok=True)
    for name, dark in (("floor-plan", False), ("floor-plan-dark", True)):
        await page.evaluate(
            f"byId('theme').value = {'dark' if dark else 'light'!r}; byId('theme').dispatchEvent(new Event('change'))"
        )
        await asyncio.sleep(0.5)
        picture = await page.picture(format="webp", quality=90)
        await asyncio.to_thread((PICTURES / f"{name}.webp").write_bytes, picture)
        print(f"{name}.webp: {len(picture):,} bytes")
    if page.errors:
        raise SystemExit(f"the page complains: {page.errors}")


def _patch(element: str, state: str) -> Request:
    path = f"/apis/rackplane.dev/v1alpha1/powerdomains/{element}"
    return Request(
        "PATCH", path, body={"spec": {"state": state}}, content_type="application/merge-patch+json"
    )


def _phases(cluster: LocalCluster, phase: str) -> int:
    items = cluster.handle(Request("GET", "/apis/rackplane.dev/v1alpha1/gangs")).payload["items"]
    return sum(gang.get("status", {}).get("phase") == phase for gang in items)


async def _until(true: Callable[[], bool]) -> None:
    for _ in range(450):
        if true():
            return
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main())
