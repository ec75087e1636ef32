# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""The calls of the Hub that publish and download models, each answered from the repositories of a local Hub."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from tests.hub_repository import Commit, File, Repository, is_large

if TYPE_CHECKING:
    from tests.hub_server import LocalHub

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


def answer(hub: LocalHub, method: str, path: str, query: dict[str, str], body: bytes, token: str | None) -> Reply:
    """Answer one request.

    Raises:
        RefusedError: in the words and with the status of the Hub.
    """
    with hub.lock:
        for route in _ROUTES:
            match = re.fullmatch(route.path, path)
            if match and route.method == method:
                found = {name: urllib.parse.unquote(text) for name, text in match.groupdict(default="").items()}
                return route.act(hub, _Request(found, query, body, token))
    raise RefusedError(404, f"no such call: {method} {path}")
