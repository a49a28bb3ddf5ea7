"""Time on the virtual loop: nobody waits, the order holds, and what would wait for ever is an error."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.support import virtualtime
from tests.support.virtualtime import Stuck, virtual


@virtual
async def test_sleeping_takes_no_time_and_keeps_its_order() -> None:
    started, now = time.monotonic(), asyncio.get_running_loop().time
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, now()))

    await asyncio.gather(sleeper("day", 86_400), sleeper("second", 1), sleeper("hour", 3600))
    assert woken == [("second", 1.0), ("hour", 3600.0), ("day", 86_400.0)]
    assert time.monotonic() - started < 5


@virtual
async def test_timeouts_follow() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await asyncio.sleep(31)
    assert asyncio.get_running_loop().time() == 30


@virtual
async def test_bytes_on_their_way_and_threads_at_work_stop_the_clock() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    async with asyncio.timeout(10):
        for number in range(200):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
        await asyncio.to_thread(time.sleep, 0.05)
    assert asyncio.get_running_loop().time() == 0
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def test_waiting_for_ever_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtualtime, "_PATIENCE", 0.01)

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        virtualtime.run(wait())


def test_what_is_replayable_leaves_tasks_in_the_order_in_which_they_were_made_and_nothing_to_threads() -> (
    None
):
    left: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            left.append(number)

    async def main() -> bool:
        async with asyncio.timeout(1):
            async with asyncio.TaskGroup() as tasks:
                for number in range(50):
                    tasks.create_task(wait(number))
        return False

    with pytest.raises(TimeoutError):
        virtualtime.run(main(), replayable=True)
    assert left == list(range(50))

    async def work() -> tuple[int, int]:
        return threading.get_ident(), await asyncio.to_thread(threading.get_ident)

    here, there = virtualtime.run(work(), replayable=True)
    assert here == there
    with pytest.raises(ZeroDivisionError):
        virtualtime.run(asyncio.to_thread(divmod, 1, 0), replayable=True)
