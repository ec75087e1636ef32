# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""A Hub on loopback: the calls by which the Hugging Face client publishes and downloads models, and faults to order."""

from __future__ import annotations

import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from tests.hub_repository import Commit, File, Repository, is_large

TOKEN = "hf_of_the_local_hub"

_REPOSITORY = r"(?P<repo>[\w.-]+/[\w.-]+)"
_REVISION = r"(?P<revision>[^/?]+)"


@dataclass(frozen=True)
class Reply:
    """What a request is answered with.

    Args:
        status: of HTTP.
        content: bytes, or what becomes JSON.
        headers: besides the length of the content.
    """

    status: int = 200
    content: Any = b""
    headers: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """A request that the Hub refuses, in its own form.

    Args:
        status: of HTTP.
        message: for people.
        code: for programs, where there is one.
        headers: besides those of message and code.
    """

    def __init__(self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        named = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.reply = Reply(status, {"error": message}, {**(headers or {}), **named})


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
    """

    method: str
    part: str
    act: Callable[[LocalHub], Reply | None]
    times: int | None = 1


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

    def order(self, method: str, part: str, act: Callable[[LocalHub], Reply | None], *, times: int | None = 1) -> None:
        """Have ``act`` done before the next ``times`` requests whose path contains ``part``."""
        self.orders.append(Order(method, part, act, times))

    def drop(self, method: str, part: str, *, times: int | None = 1) -> None:
        """Break off the connection in the middle of the next such requests."""

        def act(hub: LocalHub) -> Reply | None:
            raise DroppedError

        self.order(method, part, act, times=times)

    def refuse(self, method: str, part: str, status: int, message: str, *, times: int | None = 1) -> None:
        """Answer the next such requests with an error."""
        self.order(method, part, lambda hub: RefusedError(status, message).reply, times=times)

    def serve_instead(self, repo: str, path: str, content: bytes) -> None:
        """Send other bytes for a file, under its true checksum; the client sees no fault if they are as many."""
        self.served_instead[repo, path] = content

    # What a client asks.

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes, token: str | None) -> Reply:
        """Answer one request."""
        with self.lock:
            for route in _ROUTES:
                match = re.fullmatch(route.path, path)
                if match and route.method == method:
                    found = {name: urllib.parse.unquote(text) for name, text in match.groupdict(default="").items()}
                    return route.act(self, _Request(found, query, body, token))
            raise RefusedError(404, f"no such call: {method} {path}")


@dataclass
class _Request:
    """A request taken apart: the parts of its path, its query, its body, and who asks."""

    parts: dict[str, str]
    query: dict[str, str]
    body: bytes
    token: str | None

    @property
    def content(self) -> Any:
        return json.loads(self.body or b"{}")

    def require_token(self) -> None:
        if self.token != TOKEN:
            raise RefusedError(401, "Invalid username or password.")

    def repository(self, hub: LocalHub, *, write: bool = False) -> Repository:
        if write:
            self.require_token()
        repository = hub.repositories.get(self.parts["repo"])
        if repository is None or (repository.private and self.token != TOKEN):
            # As the Hub does, so that nobody learns by asking what is there.
            raise RefusedError(404 if self.token == TOKEN else 401, "Repository not found", "RepoNotFound")
        return repository

    def commit(self, repository: Repository) -> tuple[str, Commit]:
        found = repository.commit(self.parts.get("revision") or "main")
        if found is None:
            raise RefusedError(404, f"Invalid rev id: {self.parts['revision']}", "RevisionNotFound")
        return found


def _create(hub: LocalHub, request: _Request) -> Reply:
    request.require_token()
    content = request.content
    name = f"{content.get('organization') or 'me'}/{content['name']}"
    url = f"{hub.endpoint}/{name}"
    if name in hub.repositories:
        return Reply(409, {"error": "You already created this model repo", "url": url})
    private = content.get("visibility") == "private" or bool(content.get("private"))
    hub.repositories[name] = Repository(name, private)
    return Reply(200, {"url": url, "name": name})


def _validate_yaml(hub: LocalHub, request: _Request) -> Reply:
    text = request.content["content"]
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    try:
        front = yaml.safe_load(match[1]) if match else {}
    except yaml.YAMLError as error:
        return Reply(400, {"errors": [{"message": str(error)}], "warnings": []})
    warnings = [] if front else [{"message": "empty or missing yaml metadata in repo card"}]
    return Reply(200, {"errors": [], "warnings": warnings})


def _preupload(hub: LocalHub, request: _Request) -> Reply:
    tree = request.commit(request.repository(hub, write=True))[1].tree
    files = []
    for file in request.content["files"]:
        large, there = is_large(file["path"], file["size"]), tree.get(file["path"])
        oid = {"oid": there.etag} if there else {}
        mode = "lfs" if large else "regular"
        files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **oid})
    return Reply(200, {"files": files})


def _batch(hub: LocalHub, request: _Request) -> Reply:
    request.repository(hub, write=True)
    objects: list[dict[str, Any]] = []
    for item in request.content["objects"]:
        known = {"oid": item["oid"], "size": item["size"]}
        actions = {
            "upload": {"href": f"{hub.endpoint}/blobs/{item['oid']}", "header": {}},
            "verify": {"href": f"{hub.endpoint}/{request.parts['repo']}.git/verify", "header": {}},
        }
        objects.append(known if item["oid"] in hub.stored else {**known, "actions": actions})
    return Reply(200, {"transfer": "basic", "objects": objects})


def _put_blob(hub: LocalHub, request: _Request) -> Reply:
    if File(request.body, True).sha256 != request.parts["oid"]:
        raise RefusedError(400, "the content has another checksum")
    hub.stored[request.parts["oid"]] = request.body
    return Reply()


def _verify_blob(hub: LocalHub, request: _Request) -> Reply:
    content = request.content
    if len(hub.stored.get(content["oid"], b"")) != content["size"]:
        raise RefusedError(404, "the object was not uploaded whole")
    return Reply()


def _commit(hub: LocalHub, request: _Request) -> Reply:
    repository = request.repository(hub, write=True)
    branch = request.parts["revision"]
    if branch not in repository.branches:
        raise RefusedError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
    operations = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    expected = operations[0]["value"].get("parentCommit")
    if expected and expected != repository.branches[branch]:
        raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
    try:
        commit = repository.add(operations, hub.stored, branch)
    except LookupError as error:
        raise RefusedError(404, str(error), "EntryNotFound") from error
    url = f"{hub.endpoint}/{repository.id}/commit/{commit}"
    return Reply(200, {"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})


def _tag(hub: LocalHub, request: _Request) -> Reply:
    repository = request.repository(hub, write=True)
    commit, tag = request.commit(repository)[0], request.content["tag"]
    if tag in repository.tags:
        raise RefusedError(409, f'Tag reference exists already: "{tag}"')
    repository.tags[tag] = commit
    return Reply(200, {})


def _delete_tag(hub: LocalHub, request: _Request) -> Reply:
    if request.repository(hub, write=True).tags.pop(request.parts["revision"], None) is None:
        raise RefusedError(404, "no such tag", "RevisionNotFound")
    return Reply(200, {})


def _refs(hub: LocalHub, request: _Request) -> Reply:
    repository = request.repository(hub)
    tags = [{"name": name, "ref": f"refs/tags/{name}", "targetCommit": at} for name, at in repository.tags.items()]
    heads = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": at} for n, at in repository.branches.items()]
    return Reply(200, {"branches": heads, "converts": [], "tags": tags, "pullRequests": []})


def _info(hub: LocalHub, request: _Request) -> Reply:
    repository = request.repository(hub)
    commit, state = request.commit(repository)
    siblings = [{"rfilename": path} for path in sorted(state.tree)]
    card = _front_matter(state.tree.get("README.md"))
    known = {"id": repository.id, "modelId": repository.id, "author": repository.id.split("/")[0]}
    return Reply(
        200, {**known, "sha": commit, "private": repository.private, "siblings": siblings, "tags": [], "cardData": card}
    )


def _front_matter(readme: File | None) -> dict[str, Any]:
    match = re.match(r"---\n(.*?)\n---\n", readme.content.decode(), re.DOTALL) if readme else None
    return yaml.safe_load(match[1]) if match else {}


def _entry(path: str, file: File) -> dict[str, Any]:
    large = {"lfs": {"oid": file.sha256, "size": len(file.content), "pointerSize": len(file.pointer)}}
    known = {"type": "file", "path": path, "oid": file.blob, "size": len(file.content)}
    return {**known, **(large if file.large else {})}


def _tree(hub: LocalHub, request: _Request) -> Reply:
    state = request.commit(request.repository(hub))[1]
    top = request.parts["path"].strip("/")
    start = f"{top}/" if top else ""
    inside = {path: file for path, file in sorted(state.tree.items()) if path.startswith(start)}
    if not inside:
        raise RefusedError(404, f"{top} does not exist", "EntryNotFound")
    rests = [path[len(start) :].split("/") for path in inside]
    deepest = max(map(len, rests)) if request.query.get("recursive", "").lower() in ("true", "1") else 1
    folders = sorted({start + "/".join(rest[:n]) for rest in rests for n in range(1, len(rest)) if n <= deepest})
    entries = [{"type": "directory", "path": folder, "oid": "0" * 40, "size": 0} for folder in folders]
    entries += [_entry(path, file) for path, file in inside.items() if path[len(start) :].count("/") < deepest]
    return Reply(200, entries)


def _paths_info(hub: LocalHub, request: _Request) -> Reply:
    state = request.commit(request.repository(hub))[1]
    if request.body[:1] == b"{":
        paths = request.content["paths"]
    else:
        paths = urllib.parse.parse_qs(request.body.decode()).get("paths", [])
    return Reply(200, [_entry(path, state.tree[path]) for path in paths if path in state.tree])


def _commits(hub: LocalHub, request: _Request) -> Reply:
    repository = request.repository(hub)
    commit, history = request.commit(repository)[0], []
    while commit:
        state = repository.commits[commit]
        known = {"id": commit, "title": state.title, "message": "", "date": "2026-01-01T00:00:00.000Z"}
        history.append({**known, "authors": []})
        commit = state.parent or ""
    return Reply(200, history)


def _resolve(hub: LocalHub, request: _Request) -> Reply:
    repository = request.repository(hub)
    commit, state = request.commit(repository)
    path = request.parts["path"]
    file = state.tree.get(path)
    headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
    if file is None:
        raise RefusedError(404, "Entry not found", "EntryNotFound", headers)
    headers["ETag"] = f'"{file.etag}"'
    if file.large:  # the Hub redirects to its storage, whose answer has checksum and size of another kind
        headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.content))}
    return Reply(200, hub.served_instead.get((repository.id, path), file.content), headers)


def _who(hub: LocalHub, request: _Request) -> Reply:
    request.require_token()
    return Reply(200, {"type": "user", "name": "me", "orgs": [], "auth": {"type": "access_token"}})


@dataclass(frozen=True)
class _Route:
    """A call of the Hub."""

    method: str
    path: str
    act: Callable[[LocalHub, _Request], Reply]


_MODEL = f"/api/models/{_REPOSITORY}"
_ROUTES = (
    _Route("GET", "/api/whoami-v2", _who),
    _Route("POST", "/api/repos/create", _create),
    _Route("POST", "/api/validate-yaml", _validate_yaml),
    _Route("POST", f"{_MODEL}/preupload/{_REVISION}", _preupload),
    _Route("POST", f"/{_REPOSITORY}.git/info/lfs/objects/batch", _batch),
    _Route("PUT", "/blobs/(?P<oid>[0-9a-f]{64})", _put_blob),
    _Route("POST", f"/{_REPOSITORY}.git/verify", _verify_blob),
    _Route("POST", f"{_MODEL}/commit/{_REVISION}", _commit),
    _Route("POST", f"{_MODEL}/tag/{_REVISION}", _tag),
    _Route("DELETE", f"{_MODEL}/tag/{_REVISION}", _delete_tag),
    _Route("GET", f"{_MODEL}/refs", _refs),
    _Route("GET", f"{_MODEL}(/revision/{_REVISION})?", _info),
    _Route("GET", f"{_MODEL}/tree/{_REVISION}(?P<path>/.*)?", _tree),
    _Route("POST", f"{_MODEL}/paths-info/{_REVISION}", _paths_info),
    _Route("GET", f"{_MODEL}/commits/{_REVISION}", _commits),
    _Route("GET", f"/{_REPOSITORY}/resolve/{_REVISION}/(?P<path>.+)", _resolve),
)


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
        try:
            ordered = self._act_on_orders(hub, parts.path)
            body = self._body()
            if ordered is not None:
                return self._send(ordered)
            query = {name: values[-1] for name, values in urllib.parse.parse_qs(parts.query).items()}
            header = self.headers.get("Authorization", "")
            token = header.removeprefix("Bearer ") if header.startswith("Bearer ") else None
            method = "GET" if self.command == "HEAD" else self.command
            self._send(hub.answer(method, parts.path, query, body, token))
        except RefusedError as error:
            self._send(error.reply)
        except DroppedError:
            # Some of the body was taken, then the line goes dead.
            self.rfile.read(min(int(self.headers.get("Content-Length") or 0) // 2, 1 << 16))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        except (BrokenPipeError, ConnectionResetError):  # the client went away
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _act_on_orders(self, hub: LocalHub, path: str) -> Reply | None:
        with hub.lock:
            for order in hub.orders:
                if order.method == self.command and order.part in path and order.times != 0:
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
