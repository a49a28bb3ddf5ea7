"""Bodies in protobuf, as Go clients send them, against bytes put together by hand."""

from __future__ import annotations

import pytest

from rackplane.localcluster import protobuf
from rackplane.localcluster.bodies import Unreadable, decode


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def part(field: int, *content: bytes | str) -> bytes:
    raw = b"".join(text.encode() if isinstance(text, str) else text for text in content)
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def body(version: str, kind: str, *content: bytes) -> bytes:
    return b"k8s\x00" + part(1, part(1, version), part(2, kind)) + part(2, *content)


METADATA = part(1, part(1, "a"), part(3, "n"), part(8), part(11, part(1, "k"), part(2, "v")))
SEEN = {"name": "a", "namespace": "n", "labels": {"k": "v"}}


def test_a_job_with_pointers_to_zero_and_values_never_set() -> None:
    container = part(
        2,
        part(1, "main"),
        part(2, "x:1"),
        part(5, ""),
        part(8, part(1, part(1, "cpu"), part(2, part(1, "500m")))),
    )
    template = part(6, part(2, container, part(3, "Never"), number(11, 0)))
    found = protobuf.decode(
        body("batch/v1", "Job", METADATA, part(2, number(1, 0), number(3, -5), template), part(3))
    )
    assert found == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": SEEN,
        "spec": {
            "parallelism": 0,
            "activeDeadlineSeconds": -5,
            "template": {
                "spec": {
                    "containers": [
                        {"name": "main", "image": "x:1", "resources": {"limits": {"cpu": "500m"}}}
                    ],
                    "restartPolicy": "Never",
                }
            },
        },
        "status": {},
    }


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (number(1, 0) + number(2, 3), 3),
        (number(1, 0) + number(2, -1), -1),
        (number(1, 1) + part(3, "50%"), "50%"),
    ],
)
def test_a_number_or_a_text(wire: bytes, value: int | str) -> None:
    found = protobuf.decode(body("policy/v1", "PodDisruptionBudget", METADATA, part(2, part(1, wire))))
    assert found is not None
    assert found["spec"] == {"minAvailable": value}


def test_bytes_become_base64() -> None:
    secret = body("v1", "Secret", METADATA, part(2, part(1, "p"), part(2, b"\xff\x00")), part(3, "Opaque"))
    assert protobuf.decode(secret) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": SEEN,
        "data": {"p": "/wA="},
        "type": "Opaque",
    }


def test_times_with_and_without_fractions() -> None:
    moment = number(1, 1_700_000_000), number(2, 5000)
    lease = protobuf.decode(body("coordination.k8s.io/v1", "Lease", part(2, part(1, "me"), part(3, *moment))))
    assert lease is not None
    assert lease["spec"] == {"holderIdentity": "me", "acquireTime": "2023-11-14T22:13:20.000005Z"}


def test_a_kind_that_is_not_served_is_left_to_its_path() -> None:
    assert protobuf.decode(body("apps/v1", "Deployment", METADATA)) is None
    assert isinstance(decode(body("apps/v1", "Deployment", METADATA), protobuf.TYPE), Unreadable)


@pytest.mark.parametrize(
    "raw", [b"{}", b"k8s\x00\x0a\x7f", body("v1", "ConfigMap", b"\x0a\x7fx"), b"k8s\x00\x0b"]
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"protobuf"):
        protobuf.decode(raw)
