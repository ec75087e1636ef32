# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from radbundles.components.verify.official_schema import check_official_schema

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2019-09/schema",
    "type": "object",
    "required": ["version", "task"],
    "properties": {"version": {"type": "string"}},
}


@pytest.fixture
def address() -> Iterator[str]:
    """Of a server on loopback that has a schema, and a list under /list."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            content = json.dumps([] if self.path == "/list" else SCHEMA).encode()
            self.send_response(404 if self.path == "/gone" else 200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def bundle(folder: Path, **metadata: Any) -> Path:
    (folder / "configs").mkdir()
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_metadata_is_held_against_the_schema_it_names(tmp_path: Path, address: str) -> None:
    assert check_official_schema(bundle(tmp_path, schema=address, version="1.0.0", task="x")) == []


def test_what_the_schema_does_not_allow_is_named(tmp_path: Path, address: str) -> None:
    missing, wrong = sorted(
        check_official_schema(bundle(tmp_path, schema=address, version=1)), key=lambda finding: finding.key or ""
    )
    assert missing.key is None and "'task' is a required property" in missing.message
    assert (wrong.check, wrong.file, wrong.key) == ("V2", "configs/metadata.json", "version")


@pytest.mark.parametrize(
    ("path", "message"), [("/gone", "404"), ("/list", "is no schema"), ("ftp", "is no https address")]
)
def test_a_schema_that_cannot_be_had_is_told(tmp_path: Path, address: str, path: str, message: str) -> None:
    schema = "ftp://example.org/schema.json" if path == "ftp" else address + path
    with pytest.raises(ConnectionError, match=message):
        check_official_schema(bundle(tmp_path, schema=schema))
