# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Report text stays on this machine unless someone says otherwise: which addresses a server may have."""

from __future__ import annotations

import ipaddress
import re
import socket

# Narrower than a URL may be, on purpose: what two parsers could read in two ways does not pass.
_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?(?:/[\w/.~%+-]*)?", re.ASCII | re.IGNORECASE
)
_PRIVATE = [ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def require_loopback(url: str, allow_remote: bool = False) -> bool:
    """Refuse an address to which report text must not go.

    Loopback is an IP address of the loopback network, or ``localhost`` or a name under it if all that it resolves to is
    loopback. Any other name is remote, whatever it resolves to: it may resolve to something else a moment later.

    Args:
        url: base address of a server, such as ``http://127.0.0.1:8000/v1``.
        allow_remote: whether report text may leave this machine. Even then it never goes in clear to another network:
            ``http`` is taken only if all addresses of the host are private (RFC 1918, RFC 4193).

    Returns:
        Whether the address is loopback.

    Raises:
        ValueError: if the address is refused or is none. The message never repeats a user name or a password.
    """
    authority = re.split(r"[/?#\\]", url.split("://", 1)[-1], maxsplit=1)[0]
    if "@" in authority:
        raise ValueError(
            "the server's address holds a user name or password; take it out and put the key into the environment"
        )
    match = _URL.fullmatch(url)
    if match is None or int(match[3] or 80) > 65535:
        raise ValueError(
            "the server's address must be like http://127.0.0.1:8000/v1: http or https, a host in ASCII, a port and a "
            "path if need be, and nothing else"
        )
    scheme, host = match[1].lower(), match[2].strip("[]").lower().removesuffix(".")
    literal = _literal(host)
    if "[" in match[2] and (literal is None or ":" not in host):
        raise ValueError(f"{match[2]} is not an IP address")
    if literal is not None and literal.is_loopback:
        return True
    if literal is None and (host == "localhost" or host.endswith(".localhost")):
        if all(address.is_loopback for address in _resolve(host)):
            return True
        raise ValueError(
            f"{host} does not resolve to loopback addresses alone, so report text might leave this machine"
        )
    if not allow_remote:
        raise ValueError(
            f"{host} is not a loopback address, so report text would leave this machine. Serve the model here "
            "(http://127.0.0.1:...), or allow it with --allow-remote (allow_remote=True)"
        )
    if scheme == "http":
        addresses = [literal] if literal is not None else _resolve(host)
        if not all(any(address in network for network in _PRIVATE) for address in addresses):
            raise ValueError(
                f"http://{host} would carry report text in clear through networks that are not private; use https"
            )
    return False


def _literal(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address  # ::ffff:127.0.0.1 is 127.0.0.1


def _resolve(host: str) -> list[_Address]:
    try:
        found = {str(entry[4][0]).split("%")[0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise ValueError(f"{host} cannot be resolved to an address") from None
    return [address for address in map(_literal, found) if address is not None]
