# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
from typing import Any

import pytest

from radbundles.components.distillation import require_loopback


def resolve_to(monkeypatch: pytest.MonkeyPatch, **names: list[str]) -> None:
    """Let ``getaddrinfo`` know these names (``_`` for a dot) and no others."""
    known = {name.replace("_", "."): addresses for name, addresses in names.items()}

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "http://127.8.9.10/v1/",
        "HTTP://127.0.0.1:8000",
        "https://127.0.0.1:8443/v1",
        "http://[::1]:8000/v1",
        "http://[::ffff:127.0.0.1]:8000/v1",
    ],
)
def test_loopback_addresses_pass_without_a_lookup(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch)
    assert require_loopback(url) is True


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "gpu.localhost"])
def test_localhost_passes_if_it_is_loopback(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, localhost=["127.0.0.1", "::1"], gpu_localhost=["127.0.0.1"])
    assert require_loopback(f"http://{host}:8000/v1") is True


def test_localhost_that_leads_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, localhost=["127.0.0.1", "192.0.2.7"])
    for allowed in (False, True):
        with pytest.raises(ValueError, match="localhost does not resolve to loopback addresses alone"):
            require_loopback("http://localhost:8000/v1", allowed)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.org/v1",
        "http://0.0.0.0:8000/v1",
        "http://192.168.1.5:8000/v1",
        "http://[fd00::1]:8000/v1",
        "http://[::]:8000/v1",
        "http://127.0.0.1.example.org/v1",
        "http://localhost.example.org/v1",
        "http://notlocalhost/v1",
        "http://127.1:8000/v1",
        "http://2130706433/v1",
        "http://0x7f.0.0.1/v1",
    ],
)
def test_anything_else_is_refused_with_reason_and_way_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("looked up a name although the answer cannot matter")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    with pytest.raises(ValueError, match="report text would leave this machine.*--allow-remote"):
        require_loopback(url)


def test_a_name_that_happens_to_resolve_to_loopback_is_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, rebinding_example_org=["127.0.0.1"])
    with pytest.raises(ValueError, match="report text would leave"):
        require_loopback("http://rebinding.example.org/v1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "localhost:8000/v1",
        "ftp://127.0.0.1/v1",
        "file:///etc/hosts",
        "unix://127.0.0.1/v1",
        "http://",
        "http:///v1",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:x/v1",
        "http://127.0.0.1:8000/v1?to=example.org",
        "http://127.0.0.1:8000/v1#example",
        "http://127.0.0.1\\.example.org/v1",
        "http://127.0.0.1 .example.org/v1",
        "http://127.0.0.1:8000/v1\n",
        "http://l\u043ecalhost/v1",  # a Cyrillic o
        "http://127.0.0.1\u3002example.org/v1",  # a dot of another script
        "http://[127.0.0.1]/v1",
        "http://[::1%25eth0]/v1",
    ],
)
@pytest.mark.parametrize("allowed", [False, True])
def test_what_is_no_plain_address_is_refused(url: str, allowed: bool) -> None:
    with pytest.raises(ValueError):
        require_loopback(url, allowed)


@pytest.mark.parametrize("url", ["http://anna:geheim@127.0.0.1/v1", "https://geheim@example.org", "anna:geheim@host"])
def test_credentials_in_the_address_are_refused_and_not_repeated(url: str) -> None:
    for allowed in (False, True):
        with pytest.raises(ValueError, match="user name or password") as caught:
            require_loopback(url, allowed)
        assert "geheim" not in str(caught.value) and "anna" not in str(caught.value)


def test_remote_https_is_allowed_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch)
    assert require_loopback("https://api.example.org/v1", allow_remote=True) is False


@pytest.mark.parametrize("host", ["10.1.2.3", "172.16.0.9", "192.168.1.5", "[fd00::1]", "gpu01"])
def test_remote_http_is_allowed_within_a_private_network(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, gpu01=["10.0.0.4"])
    assert require_loopback(f"http://{host}:8000/v1", allow_remote=True) is False


@pytest.mark.parametrize("host", ["192.0.2.7", "172.32.0.1", "[2001:db8::1]", "both.example.org"])
def test_remote_http_never_crosses_other_networks(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, both_example_org=["10.0.0.4", "192.0.2.7"])
    with pytest.raises(ValueError, match="in clear .* use https"):
        require_loopback(f"http://{host}:8000/v1", allow_remote=True)


def test_an_unknown_name_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch)
    with pytest.raises(ValueError, match=r"gpu99 cannot be resolved"):
        require_loopback("http://gpu99:8000/v1", allow_remote=True)
