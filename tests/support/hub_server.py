"""A look-alike of the Hub's HTTP interface on loopback, in memory, for the real ``huggingface_hub`` client.

    with HubServer() as hub:                          # http://127.0.0.1:PORT
        hub.url, hub.environment(home)                # what a client process needs to find it
        hub.repo("model", "org/name").files()         # what was pushed
        hub.repo("dataset", "org/results").pulls      # pull requests
        hub.drop_uploads = 1                          # the next upload loses its connection halfway

It knows what pushing, pulling and opening pull requests need: repositories, branches, tags, files at revisions, large
files (LFS), commits with or without a pull request, and discussions. Tokens: "writer" may write to ``NAMESPACES``,
"reader" may only read, and without one public repositories can be read. Errors have the Hub's codes.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

NAMESPACES = ("tester", "org", "my-org")
WRITER, READER = "writer", "reader"
LARGE = ("*.safetensors", "*.parquet", "*.bin", "*.png")
_DATE = "2026-01-01T00:00:00.000Z"
_PREFIXES = {"model": "", "dataset": "datasets/"}


# --- what is stored ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Blob:
    """A file's content, and how it was uploaded. Its ids are those that the client compares with its own."""

    content: bytes
    large: bool

    @property
    def oid(self) -> str:
        """git's id, and for large files that of the pointer."""
        content = self.pointer if self.large else self.content
        return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.oid

    @property
    def pointer(self) -> bytes:
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n"
        return text.encode()


@dataclass(frozen=True)
class Commit:
    oid: str
    files: dict[str, Blob]


@dataclass
class Pull:
    """An open pull request; its files are those of ``refs/pr/NUMBER``."""

    title: str


@dataclass
class Repo:
    kind: str
    id: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit("refs/heads/main", {}, "initial commit")

    def commit(self, ref: str, files: dict[str, Blob], title: str, parent: str | None = None) -> Commit:
        content = [self.id, parent, title, len(self.commits), [(p, b.oid) for p, b in sorted(files.items())]]
        oid = hashlib.sha1(json.dumps(content).encode()).hexdigest()
        self.commits[oid] = Commit(oid, files)
        self.refs[ref] = oid
        return self.commits[oid]

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch, tag, full reference or commit id."""
        oids = [self.refs.get(form + revision) for form in ("refs/heads/", "refs/tags/", "")]
        return self.commits.get(next((oid for oid in oids if oid), revision))

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return {path: blob.content for path, blob in self.find(revision).files.items()}

    def add(self, files: dict[str, bytes], revision: str = "main") -> str:
        """A commit from outside the client; returns its id."""
        parent = self.find(revision)
        blobs = {path: Blob(content, _is_large(path)) for path, content in files.items()}
        return self.commit(f"refs/heads/{revision}", parent.files | blobs, "changed elsewhere", parent.oid).oid


def _is_large(path: str) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for pattern in LARGE)


# --- the server -------------------------------------------------------------------------------------------------------


class HubServer:
    """The server and its store. ``drop_uploads`` large uploads lose their connection after half of their bytes.

    ``on_half_upload`` is called at that point, before the connection goes: to kill the client, for instance.
    ``replies`` has status and JSON for each end of a path that is to be answered so, whatever is asked.
    """

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, int]] = []
        self.drop_uploads = 0
        self.replies: dict[str, tuple[int, Any]] = {}
        self.on_half_upload: Callable[[], None] = lambda: None
        self.lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> HubServer:
        # The default poll of half a second would be the time that every shutdown takes.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, token: str | None = WRITER) -> dict[str, str]:
        """For a client process: this server, a cache of its own, and nothing else to talk to. "" means unset."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": token or "",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "",
            "HF_DATASETS_OFFLINE": "",
        }

    def repo(self, kind: str, repo_id: str) -> Repo:
        return self.repos[kind, repo_id]

    def create(self, kind: str, repo_id: str, *, private: bool = False) -> Repo:
        self.repos[kind, repo_id] = Repo(kind, repo_id, private)
        return self.repos[kind, repo_id]

    def uploads(self) -> int:
        """Large files whose whole content has arrived."""
        return sum(method == "PUT" and status == 200 for method, _, status in self.requests)


class _Refused(Exception):
    """An answer that is an error, with the Hub's code in its headers."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class _Dropped(Exception):
    """The connection was cut."""


_ROUTES: list[tuple[re.Pattern[str], Callable[..., None]]] = []
_REPO = r"([^/]+/[^/]+)"
_API = rf"/api/(models|datasets)/{_REPO}"


def _route(pattern: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Serves the paths that match; the method gets the groups of the pattern."""

    def add(serve: Callable[..., None]) -> Callable[..., None]:
        _ROUTES.append((re.compile(pattern), serve))
        return serve

    return add


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer  # set by the server that makes the class

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.status = 0
        try:
            self.body = self._read_body()
            with self.hub.lock:
                self._serve(parts.path)
        except _Refused as error:
            headers = {"X-Error-Code": error.code, "X-Error-Message": error.message}
            self._json({"error": error.message}, error.status, headers)
        except _Dropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        self.hub.requests.append((self.command, self.path, self.status))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer

    def _read_body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if self.command == "PUT" and self.hub.drop_uploads:
            self.hub.drop_uploads -= 1
            self.rfile.read(length // 2)
            self.hub.on_half_upload()
            raise _Dropped
        return self.rfile.read(length)

    def _serve(self, path: str) -> None:
        for end, (status, value) in self.hub.replies.items():
            if path.endswith(end):
                self._json(value, status)
                return
        for pattern, serve in _ROUTES:
            if found := pattern.fullmatch(path):
                serve(self, *(unquote(group or "") for group in found.groups()))
                return
        raise _Refused(404, "", f"no route {self.command} {path}")

    # --- answers ---

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # --- who may do what ---

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _check_writer(self, repo_id: str, *, pull: bool = False) -> None:
        """Whose token writes may write to its own repositories, and open pull requests to all."""
        if self._token not in (WRITER, READER):
            raise _Refused(401, "", "Invalid username or password.")
        own = repo_id.partition("/")[0] in NAMESPACES
        if self._token == READER or not (own or pull):
            raise _Refused(403, "", f"You don't have the rights to write to {repo_id}")

    @property
    def _as_pull(self) -> bool:
        return self.query.get("create_pr") == "1"

    def _repo(self, kinds: str, repo_id: str) -> Repo:
        """``kinds`` as it stands in addresses: ``models``, ``datasets``, or nothing for models."""
        repo = self.hub.repos.get((kinds.rstrip("s/") or "model", repo_id))
        if repo is None or (repo.private and not self._token):
            # The Hub does not tell strangers what exists.
            raise _Refused(404 if self._token else 401, "RepoNotFound", "Repository not found")
        return repo

    def _commit(self, kinds: str, repo_id: str, revision: str) -> Commit:
        commit = self._repo(kinds, repo_id).find(revision or "main")
        if commit is None:
            raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    # --- repositories ---

    @_route(r"/api/repos/create")
    def _create_repo(self) -> None:
        asked = json.loads(self.body)
        repo_id = f"{asked.get('organization') or NAMESPACES[0]}/{asked['name']}"
        kind = asked.get("type") or "model"
        self._check_writer(repo_id)
        url = f"{self.hub.url}/{_PREFIXES[kind]}{repo_id}"
        if (kind, repo_id) in self.hub.repos:
            self._json({"error": "You already created this repo", "url": url}, 409)
            return
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.create(kind, repo_id, private=private)
        self._json({"url": url, "name": repo_id, "id": "1"})

    @_route(r"/api/validate-yaml")
    def _validate_yaml(self) -> None:
        header = re.match(r"---\n(.*?)\n---", json.loads(self.body)["content"], re.DOTALL)
        yaml.safe_load(header[1] if header else "")
        self._json({"errors": [], "warnings": []})

    @_route(rf"{_API}(?:/revision/([^/]+))?")
    def _info(self, kinds: str, repo_id: str, revision: str) -> None:
        repo = self._repo(kinds, repo_id)
        commit = self._commit(kinds, repo_id, revision)
        siblings = [
            {"rfilename": path, "size": len(blob.content), "blobId": blob.oid, "lfs": self._lfs(blob)}
            for path, blob in sorted(commit.files.items())
        ]
        self._json(
            {
                "_id": "0" * 24, "id": repo.id, "modelId": repo.id, "sha": commit.oid, "private": repo.private,
                "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [],
                "lastModified": _DATE, "createdAt": _DATE, "siblings": siblings,
            }
        )  # fmt: skip

    # --- collections ---

    @_route(r"/api/collections")
    def _create_collection(self) -> None:
        asked = json.loads(self.body)
        self._check_writer(f"{asked['namespace']}/")
        slug = f"{asked['namespace']}/{re.sub('[^a-z0-9]+', '-', asked['title'].lower())}-{'0' * 24}"
        if slug in self.hub.collections:
            self._json({"error": "You already have a collection of this title", "slug": slug}, 409)
            return
        self.hub.collections[slug] = {
            "slug": slug, "title": asked["title"], "owner": asked["namespace"], "items": [], "lastUpdated": _DATE,
            "position": 0, "private": asked["private"], "theme": "green", "upvotes": 0,
        }  # fmt: skip
        self._json(self.hub.collections[slug])

    @_route(r"/api/collections/([^/]+/[^/]+)(/items)?")
    def _collection(self, slug: str, items: str) -> None:
        collection = self.hub.collections.get(slug)
        if collection is None:
            raise _Refused(404, "", "Collection not found")
        if items:
            self._check_writer(slug)
            item = json.loads(self.body)["item"]
            self._repo(item["type"], item["id"])
            if any((one["type"], one["id"]) == (item["type"], item["id"]) for one in collection["items"]):
                raise _Refused(409, "", "Already in collection")
            collection["items"].append({"_id": "0" * 24, "position": len(collection["items"]), **item})
        self._json(collection)

    # --- files ---

    def _lfs(self, blob: Blob) -> dict[str, Any] | None:
        if not blob.large:
            return None
        return {"oid": blob.sha256, "sha256": blob.sha256, "size": len(blob.content), "pointerSize": len(blob.pointer)}

    def _entry(self, path: str, blob: Blob) -> dict[str, Any]:
        return {"type": "file", "path": path, "size": len(blob.content), "oid": blob.oid, "lfs": self._lfs(blob)}

    @_route(rf"{_API}/tree/([^/]+)(/.*)?")
    def _tree(self, kinds: str, repo_id: str, revision: str, folder: str) -> None:
        commit = self._commit(kinds, repo_id, revision)
        inside = folder.strip("/") + "/" if folder.strip("/") else ""
        recursive = self.query.get("recursive", "").lower() in {"true", "1"}
        entries: dict[str, dict[str, Any]] = {}
        for path, blob in sorted(commit.files.items()):
            if not path.startswith(inside):
                continue
            names = path[len(inside) :].split("/")
            for depth in range(1, len(names) if recursive else min(2, len(names))):
                place = inside + "/".join(names[:depth])
                entries[place] = {"type": "directory", "path": place, "oid": "0" * 40, "size": 0}
            if recursive or len(names) == 1:
                entries[path] = self._entry(path, blob)
        if inside and not entries:
            raise _Refused(404, "EntryNotFound", f"{folder} does not exist on {revision}")
        self._json(list(entries.values()))

    @_route(rf"/(datasets/)?{_REPO}/resolve/([^/]+)/(.+)")
    def _resolve(self, kinds: str, repo_id: str, revision: str, path: str) -> None:
        commit = self._commit(kinds, repo_id, revision)
        blob = commit.files.get(path)
        if blob is None:
            raise _Refused(404, "EntryNotFound", f"{path} does not exist on {revision}")
        headers = {"ETag": f'"{blob.etag}"', "X-Repo-Commit": commit.oid}
        if blob.large:
            headers |= {"X-Linked-Size": str(len(blob.content)), "X-Linked-ETag": f'"{blob.etag}"'}
        self._send(blob.content, 200, headers)

    # --- branches, uploads and commits ---

    @_route(rf"{_API}/branch/([^/]+)")
    def _create_branch(self, kinds: str, repo_id: str, name: str) -> None:
        self._check_writer(repo_id)
        start = self._commit(kinds, repo_id, json.loads(self.body or b"{}").get("startingPoint"))
        refs = self._repo(kinds, repo_id).refs
        if f"refs/heads/{name}" in refs:
            self._json({"error": "Reference already exists"}, 409)
            return
        refs[f"refs/heads/{name}"] = start.oid
        self._json({})

    @_route(rf"{_API}/preupload/([^/]+)")
    def _preupload(self, kinds: str, repo_id: str, revision: str) -> None:
        self._check_writer(repo_id, pull=self._as_pull)
        commit = self._commit(kinds, repo_id, revision)
        answers = []
        for path in (file["path"] for file in json.loads(self.body)["files"]):
            mode = "lfs" if _is_large(path) else "regular"
            oid = commit.files[path].etag if path in commit.files else None  # what is there, the client leaves out
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": answers})

    @_route(rf"/(datasets/)?{_REPO}\.git/info/lfs/objects/batch")
    def _lfs_batch(self, kinds: str, repo_id: str) -> None:
        self._check_writer(repo_id, pull=True)  # whether it is for one is said with the commit only
        objects = [{"oid": asked["oid"], "size": asked["size"]} for asked in json.loads(self.body)["objects"]]
        for one in objects:
            if one["oid"] not in self.hub.blobs:
                one["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}
        self._json({"transfer": "basic", "objects": objects})

    @_route(r"/lfs/([0-9a-f]{64})")
    def _lfs_put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refused(400, "", "the content does not have that checksum")
        self.hub.blobs[oid] = self.body
        self._json({})

    @_route(rf"{_API}/commit/([^/]+)")
    def _make_commit(self, kinds: str, repo_id: str, revision: str) -> None:
        repo = self._repo(kinds, repo_id)
        self._check_writer(repo_id, pull=self._as_pull)
        parent = self._commit(kinds, repo_id, revision)
        header, *operations = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        title = header["value"]["summary"]
        files = dict(parent.files)
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "deletedFile":
                del files[value["path"]]
                continue
            large = operation["key"] == "lfsFile"
            content = self.hub.blobs[value["oid"]] if large else base64.b64decode(value["content"])
            files[value["path"]] = Blob(content, large)
        ref = f"refs/heads/{revision}" if f"refs/heads/{revision}" in repo.refs else revision
        url = None
        web = f"{self.hub.url}/{_PREFIXES[repo.kind]}{repo.id}"
        if self._as_pull:
            number = len(repo.pulls) + 1
            repo.pulls[number] = Pull(title)
            ref, url = f"refs/pr/{number}", f"{web}/discussions/{number}"
        oid = repo.commit(ref, files, title, parent.oid).oid
        self._json({"success": True, "commitOid": oid, "commitUrl": f"{web}/commit/{oid}", "pullRequestUrl": url})

    # --- pull requests ---

    @_route(rf"{_API}/discussions")
    def _discussions(self, kinds: str, repo_id: str) -> None:
        repo = self._repo(kinds, repo_id)
        shown = [
            {
                "num": number, "title": pull.title, "status": "open", "isPullRequest": True, "createdAt": _DATE,
                "author": {"name": NAMESPACES[0]}, "repo": {"name": repo.id, "type": repo.kind},
            }
            for number, pull in repo.pulls.items()
        ]  # fmt: skip
        self._json({"discussions": shown, "count": len(shown), "start": 0})
