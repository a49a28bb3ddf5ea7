"""Lists of hosts as Slurm writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackplane.exchange.hostlist import HostlistError, expand


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", []),
        ("login1", ["login1"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[08-11],x", ["n08", "n09", "n10", "n11", "x"]),
        ("n[1,3-4]-ib", ["n1-ib", "n3-ib", "n4-ib"]),
        ("r[1-2]t[01-02]", ["r1t01", "r1t02", "r2t01", "r2t02"]),
        (" a , b ", ["a", "b"]),
    ],
)
def test_an_expression_gives_its_hosts_in_order(text: str, hosts: list[str]) -> None:
    assert expand(text) == hosts


@pytest.mark.parametrize("text", ["n[1-", "n]", "n[]", "n[a-b]", "n[3-1]", "n[1-200000]", "n[1-999]m[1-999]"])
def test_what_is_none_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(HostlistError):
        expand(text)


@given(st.text(alphabet="an[],-0123456789", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        hosts = expand(text)
    except HostlistError:
        return
    assert all("[" not in host and "," not in host for host in hosts)
