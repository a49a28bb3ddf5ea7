"""Why a queue may not take a gang, in one sentence with numbers."""

from __future__ import annotations

from rackplane.engine.queueing.quotas import WATTS, Shortfall, profile_of

__all__ = ["sentence"]


def sentence(short: Shortfall) -> str:
    """Which queue lacks how much of what, and what borrowing would have allowed."""
    resource = short.resource

    def amount(count: int, *, of: str = "") -> str:
        if resource == WATTS:
            return f"{count / 1000:,.1f} kW{of}"
        profile = profile_of(resource)
        return f"{count}{of} GPUs" if profile is None else f"{count}{of} GPUs on nodes of profile {profile}"

    if resource == WATTS:
        has = (
            f"queue {short.queue} has {short.left / 1000:,.1f} kW of its {short.nominal / 1000:,.1f} kW left"
        )
    else:
        has = f"queue {short.queue} has {amount(short.left, of=f' of its {short.nominal}')} left"
    if short.may_borrow > 0:
        has = (
            f"queue {short.queue} holds {amount(short.used)}, of a quota of {_plain(resource, short.nominal)} and "
            f"{_plain(resource, short.may_borrow)} that it may borrow"
        )
    text = f"{has}, and the gang needs {_plain(resource, short.asked)}"
    if short.kept:
        text += f"; {_plain(resource, short.kept)} more are kept by queues below it, which do not lend them"
    if short.own != short.queue:
        text += f"; queue {short.own} {_own(short)}"
    return text


def _own(short: Shortfall) -> str:
    if short.own_nominal is None:
        return "has no quota of its own, so it would have to borrow all of them"
    borrowed = max(0, short.asked - short.own_left)
    left = f"has {_plain(short.resource, short.own_left)} left of its own {_plain(short.resource, short.own_nominal)}"
    return f"{left}, and would have to borrow {_plain(short.resource, borrowed)}" if borrowed else left


def _plain(resource: str, count: int) -> str:
    return f"{count / 1000:,.1f} kW" if resource == WATTS else str(count)
