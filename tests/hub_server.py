# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A Hub on loopback, for the Hugging Face client to publish to and download from, with faults to order."""

from __future__ import annotations

import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.hub_calls import TOKEN, RefusedError, Reply, answer
from tests.hub_repository import Commit, File, Repository, is_large


class DroppedError(Exception):
    """The connection ends in the middle of a request."""


@dataclass
class Order:
    """What happens instead of, or just before, some requests.

    Args:
        method: of the requests.
        part: what their path contains.
        act: gets the Hub; the reply it returns is sent, and with None the request goes on as if nothing were.
        times: how often; None is always.
        after: let the Hub do what is asked first, and act on the answer.
    """

    method: str
    part: str
    act: Callable[[LocalHub], Reply | None]
    times: int | None = 1
    after: bool = False


class LocalHub:
    """A Hub with repositories in memory, as long as its context lasts.

    One who writes needs the token :data:`TOKEN`; reading needs it where a repository is private. A client finds the
    Hub by the environment that :meth:`environment` returns; in the process of the tests use the fixture ``local_hub``,
    since ``huggingface_hub`` reads its environment once.

    Example::

        with LocalHub() as hub:
            hub.drop("PUT", "/blobs/")  # the next upload of a large file breaks off
            subprocess.run(command, env=os.environ | hub.environment(tmp_path))
            assert hub.files("org/name", "0.1.0")["configs/metadata.json"] == ...
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.orders: list[Order] = []
        self.served_instead: dict[tuple[str, str], bytes] = {}
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LocalHub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the Hub off the network; what it holds stays readable here."""
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, *, token: str | None = TOKEN) -> dict[str, str]:
        """Variables that send a new process to this Hub, with its caches in ``home``."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN": token or "",
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    # What a test looks at.

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """Content of all files of a revision, without the ``.gitattributes`` that the Hub adds."""
        found = self.repositories[repo].commit(revision)
        if found is None:
            raise LookupError(f"{repo} has no revision {revision!r}")
        return {path: file.content for path, file in found[1].tree.items() if path != ".gitattributes"}

    def tags(self, repo: str) -> dict[str, str]:
        """Commits by the names of the tags on them."""
        return dict(self.repositories[repo].tags)

    def commits(self, repo: str) -> list[str]:
        """Titles of the commits of ``main``, the newest first."""
        repository = self.repositories[repo]
        titles, commit = [], repository.branches["main"]
        while commit:
            titles.append(repository.commits[commit].title)
            commit = repository.commits[commit].parent or ""
        return titles

    # What a test arranges.

    def put(self, repo: str, folder: Path, *, tag: str | None = None) -> str:
        """Publish all files of a folder as they are, as someone with other tools would; returns the commit."""
        repository = self.repositories.setdefault(repo, Repository(repo))
        tree = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            tree[name] = File(content, is_large(name, len(content)))
            self.stored |= {tree[name].sha256: content} if tree[name].large else {}
        before = repository.branches["main"]
        commit = Commit(
            {".gitattributes": repository.commits[before].tree[".gitattributes"], **tree}, before, "put by a test"
        )
        repository.commits[commit.id] = commit
        repository.branches["main"] = commit.id
        if tag is not None:
            repository.tags[tag] = commit.id
        return commit.id

    def order(
        self,
        method: str,
        part: str,
        act: Callable[[LocalHub], Reply | None],
        *,
        times: int | None = 1,
        after: bool = False,
    ) -> None:
        """Have ``act`` done before (or after) the next ``times`` requests whose path contains ``part``."""
        self.orders.append(Order(method, part, act, times, after))

    def drop(self, method: str, part: str, *, times: int | None = 1, after: bool = False) -> None:
        """Break off the connection in the middle of the next such requests, or before the answer to them."""

        def act(hub: LocalHub) -> Reply | None:
            raise DroppedError

        self.order(method, part, act, times=times, after=after)

    def refuse(self, method: str, part: str, status: int, message: str, *, times: int | None = 1) -> None:
        """Answer the next such requests with an error."""
        self.order(method, part, lambda hub: RefusedError(status, message).reply, times=times)

    def serve_instead(self, repo: str, path: str, content: bytes) -> None:
        """Send other bytes for a file, under its true checksum; the client sees no fault if they are as many."""
        self.served_instead[repo, path] = content


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: LocalHub


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, lets the Hub answer, and sends what was asked of it."""

    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def _serve(self) -> None:
        hub, parts = self.server.hub, urllib.parse.urlsplit(self.path)
        hub.requests.append((self.command, parts.path))
        body = None
        try:
            ordered = self._act_on_orders(hub, parts.path, after=False)
            body = self._body()
            if ordered is not None:
                return self._send(ordered)
            query = {name: values[-1] for name, values in urllib.parse.parse_qs(parts.query).items()}
            header = self.headers.get("Authorization", "")
            token = header.removeprefix("Bearer ") if header.startswith("Bearer ") else None
            method = "GET" if self.command == "HEAD" else self.command
            reply = answer(hub, method, parts.path, query, body, token)
            self._send(self._act_on_orders(hub, parts.path, after=True) or reply)
        except RefusedError as error:
            self._send(error.reply)
        except DroppedError:
            if body is None:  # some of it was taken, then the line goes dead
                self.rfile.read(min(int(self.headers.get("Content-Length") or 0) // 2, 1 << 16))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        except (BrokenPipeError, ConnectionResetError):  # the client went away
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _act_on_orders(self, hub: LocalHub, path: str, *, after: bool) -> Reply | None:
        with hub.lock:
            for order in hub.orders:
                fits = order.after is after and order.method == self.command and order.part in path
                if fits and order.times != 0:
                    order.times = None if order.times is None else order.times - 1
                    reply = order.act(hub)
                    if reply is not None:
                        return reply
        return None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _send(self, reply: Reply) -> None:
        content, status, headers = reply.content, reply.status, dict(reply.headers)
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
            headers["Content-Type"] = "application/json"
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and status == 200:
            start, end = int(wanted[1]), int(wanted[2] or len(content) - 1)
            if start >= len(content):
                content, status = b"", 416
            else:
                headers["Content-Range"] = f"bytes {start}-{min(end, len(content) - 1)}/{len(content)}"
                content, status = content[start : end + 1], 206
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
