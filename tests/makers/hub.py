"""A small Hugging Face Hub on this machine: as much of its protocol as the Hub's own client speaks.

Large files (LFS) are given from another host name, to which a token must not be sent, as the real Hub does.

    python tests/makers/hub.py 8090 owner/name=FOLDER …
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

LARGE = (".safetensors", ".bin", ".h5")


@dataclass
class Repository:
    """A model on the Hub.

    Attributes:
        files: content by name.
        commit: of the branch main.
        gated: whether a token is needed for its files.
        instead: name -> content that is sent in place of the one that is listed.
        sizes: name -> size that is listed in place of the real one.
        cuts: name -> bytes after which the connection breaks, one number for each time.
        gone: names that are listed and cannot be had.
    """

    files: dict[str, bytes]
    commit: str = "c0ffee" + "0" * 34
    card: dict = field(default_factory=lambda: {"license": "mit"})
    pipeline_tag: str | None = "fill-mask"
    gated: bool = False
    instead: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


@dataclass
class Hub:
    """A running Hub.

    Attributes:
        url: what HF_ENDPOINT is to be.
        repositories: by id; may be changed while it runs.
        requests: method, path, Range and token of each request, in their order.
        token: the one that opens gated repositories.
    """

    url: str
    repositories: dict[str, Repository]
    requests: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    token: str = "hf_of_the_tests"


def repository(folder: Path, **options) -> Repository:
    """A model folder as a repository."""
    return Repository({file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}, **options)


@contextmanager
def running_hub(repositories: dict[str, Repository], port: int = 0) -> Iterator[Hub]:
    """The Hub for the length of a ``with`` block."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}", repositories)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def log_message(self, *_) -> None:
        """Nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path, token = unquote(urlparse(self.path).path), self.headers.get("Authorization")
        self.hub.requests.append((self.command, path, self.headers.get("Range"), token))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._describe(found[1], found[2])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(*found.groups())
        elif found := re.fullmatch(r"/large/([^/]+/[^/]+)/(.+)", path):
            self._content(self.hub.repositories[found[1]], found[2])
        else:
            self._fail(404, "EntryNotFound")

    def _fail(self, status: int, code: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _known(self, name: str, revision: str | None) -> Repository | None:
        model = self.hub.repositories.get(name)
        if model is None:
            self._fail(404 if self.headers.get("Authorization") else 401, "RepoNotFound")
        elif revision not in (None, "main", model.commit):
            self._fail(404, "RevisionNotFound")
            return None
        return model

    def _describe(self, name: str, revision: str | None) -> None:
        model = self._known(name, revision)
        if model is None:
            return
        said = {
            "_id": "0", "id": name, "modelId": name, "sha": model.commit, "private": False, "disabled": False,
            "gated": "manual" if model.gated else False, "downloads": 1, "likes": 1, "library_name": "transformers",
            "tags": [f"license:{model.card['license']}"] if "license" in model.card else [], "cardData": model.card,
            "siblings": [self._listed(model, file) for file in model.files],
        }  # fmt: skip
        if model.pipeline_tag:
            said["pipeline_tag"] = model.pipeline_tag
        self._send(json.dumps(said).encode(), {"Content-Type": "application/json"})

    def _listed(self, model: Repository, file: str) -> dict:
        content = model.files[file]
        size = model.sizes.get(file, len(content))
        listed = {"rfilename": file, "size": size, "blobId": blob_id(content)}
        if file.endswith(LARGE):
            listed["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 134}
        return listed

    def _resolve(self, name: str, revision: str, file: str) -> None:
        model = self._known(name, revision)
        if model is None:
            return
        if file not in model.files:
            return self._fail(404, "EntryNotFound")
        if model.gated and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._fail(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        if file in model.gone:
            return self._fail(410)
        content = model.files[file]
        headers = {"X-Repo-Commit": model.commit, "ETag": f'"{blob_id(content)}"'}
        if not file.endswith(LARGE):
            return self._content(model, file, headers)
        sha256 = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-ETag": f'"{sha256}"', "X-Linked-Size": str(model.sizes.get(file, len(content)))}
        headers["Location"] = self.hub.url.replace("127.0.0.1", "localhost") + f"/large/{name}/{file}"
        self._send(b"", headers, 302)

    def _content(self, model: Repository, file: str, headers: dict | None = None) -> None:
        content, status, headers = model.instead.get(file, model.files[file]), 200, dict(headers or {})
        if found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start, status = int(found[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content = content[start:]
        cuts = model.cuts.get(file)
        self._send(content, headers, status, cuts.pop(0) if cuts and self.command == "GET" else None)

    def _send(self, content: bytes, headers: dict, status: int = 200, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content if cut is None else content[:cut])
            if cut is not None:
                self.close_connection = True


def blob_id(content: bytes) -> str:
    """git's SHA-1 of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


if __name__ == "__main__":
    models = dict(argument.split("=", 1) for argument in sys.argv[2:])
    with running_hub({name: repository(Path(folder)) for name, folder in models.items()}, int(sys.argv[1])) as running:
        print(running.url, flush=True)
        threading.Event().wait()
