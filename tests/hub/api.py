# SPDX-License-Identifier: Apache-2.0
"""What the Hub answers: every endpoint of both origins.

Settings (attributes of Settings; Hub.set(...), POST /_control/set):

    tokens       tokens that may see everything; any token that is in neither
                 list is refused with 401
    outsiders    valid tokens that may see neither private nor gated things
    page_size    entries of a tree page, default 1000
    list_page    kernels of a page of the list, default 1000
    list         false: GET /api/kernels answers 404, as a Hub without it
    resolve_cache  false: small files are answered 200 at once, without 307
    url_ttl      seconds that a signed CDN address lives, default 3600
    quota        null, or {"api": {"limit": n, "window": s}, "resolvers": ...}
                 (either may be missing): fixed windows, beyond them 429
    retry_after  false: no Retry-After beside RateLimit in a 429
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import threading
import time
import urllib.parse

import counts
from wire import Response, Slice

RANGE_RE = re.compile(r"bytes=(\d*)-(\d*)\Z")
TEXT = {".py": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8",
        ".toml": "text/plain; charset=utf-8", ".json": "application/json"}


def quote(text, safe=""):
    return urllib.parse.quote(text.encode("utf-8", "surrogateescape"), safe)


def unquote(text):
    return urllib.parse.unquote(text, errors="surrogateescape")


def json_response(value, status=200, headers=None):
    body = value if isinstance(value, bytes) else \
        json.dumps(value, separators=(",", ":")).encode()
    out = {"Content-Type": "application/json; charset=utf-8"}
    out.update(headers or {})
    return Response(status, out, body)


class Refusal(Exception):
    """An answer that is an error, with the Hub's own headers."""

    def __init__(self, status, code, message, headers=None):
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        if code:
            self.headers["X-Error-Code"] = code
        self.headers["X-Error-Message"] = message
        self.message = message

    def response(self):
        return json_response({"error": self.message}, self.status,
                             self.headers)


class Moved(Exception):
    """A renamed repository."""

    def __init__(self, location):
        super().__init__(location)
        self.location = location

    def response(self):
        return redirect(307, self.location)


def redirect(status, location, headers=None):
    body = "%s. Redirecting to %s" % (
        "Temporary Redirect" if status == 307 else "Found", location)
    out = {"Content-Type": "text/plain; charset=utf-8"}
    out.update(headers or {})
    out["Location"] = location
    return Response(status, out, body.encode("latin-1", "replace"))


class Settings:
    def __init__(self):
        self.tokens = []
        self.outsiders = []
        self.page_size = 1000
        self.list_page = 1000
        self.list = True
        self.resolve_cache = True
        self.url_ttl = 3600
        self.quota = None
        self.retry_after = True

    def update(self, values):
        for name, value in values.items():
            if name not in self.__dict__:
                raise ValueError("no setting '%s'" % name)
            default = getattr(Settings(), name)
            if default is not None and not isinstance(value, type(default)):
                raise ValueError("setting '%s' is not of type %s" %
                                 (name, type(default).__name__))
        self.__dict__.update(values)


class Quota:
    """Fixed windows, one per bucket, shared by all clients."""

    def __init__(self, settings):
        self._settings = settings
        self._lock = threading.Lock()
        self._windows = {}

    def reset(self):
        with self._lock:
            self._windows = {}

    def take(self, bucket):
        """Headers of this request; raises Refusal beyond the quota."""
        rule = (self._settings.quota or {}).get(bucket)
        if rule is None:
            return {}
        limit, window = rule["limit"], rule.get("window", 300)
        now = time.monotonic()
        with self._lock:
            begin, used = self._windows.get(bucket, (now, 0))
            if now - begin >= window:
                begin, used = now, 0
            used += 1
            self._windows[bucket] = (begin, used)
        left = max(0, limit - used)
        reset = max(1, int(begin + window - now + 0.999))
        headers = {
            "RateLimit": "\"%s\";r=%d;t=%d" % (bucket, left, reset),
            "RateLimit-Policy": "\"fixed window\";\"%s\";q=%d;w=%d" %
                                (bucket, limit, window),
        }
        if used <= limit:
            return headers
        if self._settings.retry_after:
            headers["Retry-After"] = str(reset)
        raise Refusal(429, None, "We had to rate limit you", headers)


class Api:
    """Answers requests; knows nothing of sockets."""

    def __init__(self, repos, settings):
        self.repos = repos
        self.settings = settings
        self.quota = Quota(settings)
        self.cdn_url = None
        self._secret = os.urandom(16)
        self._endpoints = {
            "overview": self._overview, "list": self._list,
            "harness": self._harness, "refs": self._refs,
            "info": self._info, "tree": self._tree,
            "paths-info": self._paths_info, "resolve": self._resolve,
            "resolve-cache": self._resolve_cache,
        }

    def answer(self, request):
        if request.origin == "cdn":
            return self._cdn(request)
        name = counts.endpoint(request)
        bucket = "resolvers" if name.startswith("resolve") else "api"
        extra = {}
        try:
            extra = self.quota.take(bucket)
            response = self._hub(name, request)
        except (Refusal, Moved) as answer:
            response = answer.response()
        response.headers.update(extra)
        return response

    def _hub(self, name, request):
        handler = self._endpoints.get(name)
        if handler is None:
            raise Refusal(404, None, "Sorry, we can't find the page you are "
                                     "looking for.")
        allowed = ("POST",) if name == "paths-info" else ("GET", "HEAD")
        if request.method not in allowed:
            raise Refusal(405, None, "Method not allowed",
                          {"Allow": ", ".join(allowed)})
        self._check_token(request)
        return handler(request)

    # Who asks

    def _check_token(self, request):
        token = request.token()
        if token is not None and token not in self.settings.tokens and \
                token not in self.settings.outsiders:
            raise Refusal(401, None,
                          "Invalid credentials in Authorization header")

    def _is_insider(self, request):
        return request.token() in self.settings.tokens

    def _repo(self, request, prefix):
        """The repository that the path names, and what follows it."""
        parts = request.path[len(prefix):].split("/", 2)
        repo_id = unquote(parts[0]) + "/" + unquote(parts[1])
        rest = parts[2] if len(parts) == 3 else ""
        repo = self.repos.get(repo_id)
        if repo is not None and repo.renamed_to:
            target = prefix + repo.renamed_to + ("/" + rest if rest else "")
            raise Moved(target + ("?" + request.query if request.query
                                  else ""))
        insider = self._is_insider(request)
        if repo is None or (repo.private and not insider):
            # Without a token a missing repository looks like a private one.
            if request.token() is None:
                raise Refusal(401, "RepoNotFound",
                              "Invalid username or password.")
            raise Refusal(404, "RepoNotFound", "Repository not found")
        return repo, rest

    def _check_gate(self, request, repo):
        if not repo.gated or self._is_insider(request):
            return
        status = 401 if request.token() is None else 403
        raise Refusal(status, "GatedRepo",
                      "Access to kernel %s is restricted. You must have "
                      "access to it and be authenticated to access it."
                      % repo.id)

    def _snapshot(self, repo, revision):
        snap = repo.find(revision)
        if snap is None:
            raise Refusal(404, "RevisionNotFound",
                          "Invalid rev id: %s" % revision)
        return snap

    # JSON endpoints

    def _overview(self, request):
        name = unquote(request.path.split("/")[3])
        owner = self.repos.owner(name)
        if owner is None or owner["kind"] != "org":
            raise Refusal(404, None, "This organization does not exist")
        return json_response({
            "name": name, "fullname": name, "type": "org",
            "isVerified": False, "plan": "free", "numUsers": 1,
            "numKernels": len(self.repos.ids(name)),
            "trustedKernelPublisher": bool(owner["trusted"])})

    def _harness(self, request):
        return json_response({"standardEnvVars": [], "harnesses": {}})

    def _page(self, request, total, page):
        """Begin and end of the page asked for, and the Link header."""
        args = request.args()
        begin = 0
        try:
            if "limit" in args:
                page = max(1, min(page, int(args["limit"])))
            if "cursor" in args:
                text = base64.urlsafe_b64decode(args["cursor"])
                begin = int(text[:-4])
                if self._sign(text[:-4].decode())[:4] != text[-4:].decode():
                    raise ValueError("cursor")
        except (ValueError, binascii.Error):
            raise Refusal(400, None, "Invalid query parameters") from None
        end = min(total, begin + page)
        if end >= total:
            return begin, end, {}
        text = str(end)
        cursor = base64.urlsafe_b64encode(
            (text + self._sign(text)[:4]).encode()).decode()
        args["cursor"] = cursor
        url = "http://%s%s?%s" % (request.host, request.path,
                                  urllib.parse.urlencode(args))
        return begin, end, {"Link": "<%s>; rel=\"next\"" % url}

    def _list(self, request):
        if not self.settings.list:
            raise Refusal(404, None, "Sorry, we can't find the page you are "
                                     "looking for.")
        insider = self._is_insider(request)
        ids = [i for i in self.repos.ids(request.args().get("author"))
               if self.repos.is_listed(i, insider)]
        begin, end, headers = self._page(request, len(ids),
                                         self.settings.list_page)
        return json_response([{
            "_id": hashlib.sha1(i.encode()).hexdigest()[:24], "id": i,
            "author": i.split("/")[0], "likes": 0, "downloads": 0,
            "private": False, "lastModified": "1970-01-01T00:00:00.000Z",
        } for i in ids[begin:end]], headers=headers)

    def _refs(self, request):
        repo, _ = self._repo(request, "/api/kernels/")
        out = {"branches": [], "tags": [], "converts": []}
        for kind, prefix, refs in (
                ("branches", "refs/heads/", repo.branches),
                ("tags", "refs/tags/", repo.tags)):
            for name, commit in refs.items():
                out[kind].append({"name": name, "ref": prefix + name,
                                  "targetCommit": commit})
        if "include_prs" in request.args():
            out["pullRequests"] = []
        return json_response(out)

    def _info(self, request):
        repo, rest = self._repo(request, "/api/kernels/")
        sha = None
        if rest:
            revision = unquote(rest.partition("/")[2])
            sha = self._snapshot(repo, revision).commit
        else:
            sha = repo.branches.get(repo.default_branch())
        return json_response({
            "_id": hashlib.sha1(repo.id.encode()).hexdigest()[:24],
            "id": repo.id, "author": repo.id.split("/")[0], "sha": sha,
            "private": repo.private, "gated": repo.gated, "downloads": 0,
            "likes": 0, "lastModified": "1970-01-01T00:00:00.000Z"})

    def _tree(self, request):
        repo, rest = self._repo(request, "/api/kernels/")
        _, revision, path = (rest + "//").split("/", 2)
        snap = self._snapshot(repo, unquote(revision))
        path = unquote(path).strip("/")
        node = snap.nodes.get(path)
        if node is None or not node.is_dir:
            raise Refusal(404, "EntryNotFound",
                          "%s does not exist on \"%s\"" %
                          (path, unquote(revision)),
                          {"X-Repo-Commit": snap.commit})
        recursive = request.args().get("recursive", "false") in ("true", "1",
                                                                 "True")
        items = snap.listing(path, recursive)
        begin, end, headers = self._page(request, len(items),
                                         self.settings.page_size)
        headers["X-Repo-Commit"] = snap.commit
        body = "[%s]" % ",".join(items[begin:end])
        return json_response(body.encode(), headers=headers)

    def _paths_info(self, request):
        repo, rest = self._repo(request, "/api/kernels/")
        snap = self._snapshot(repo, unquote(rest.partition("/")[2]))
        try:
            if request.headers.get("content-type", "").startswith(
                    "application/json"):
                paths = json.loads(request.body)["paths"]
            else:
                paths = urllib.parse.parse_qs(
                    request.body.decode()).get("paths", [])
            if isinstance(paths, str):
                paths = [paths]
            nodes = [snap.nodes.get(path.strip("/")) for path in paths]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refusal(400, None, "Invalid body") from None
        return json_response([n.item() for n in nodes if n is not None])

    # Files

    def _file(self, snap, path):
        node = snap.nodes.get(path)
        if node is None or node.is_dir:
            raise Refusal(404, "EntryNotFound", "Entry not found",
                          {"X-Repo-Commit": snap.commit})
        return node

    def _resolve(self, request):
        repo, rest = self._repo(request, "/kernels/")
        self._check_gate(request, repo)
        _, revision, path = (rest + "//").split("/", 2)
        snap = self._snapshot(repo, unquote(revision))
        node = self._file(snap, unquote(path).rstrip("/"))
        headers = {"X-Repo-Commit": snap.commit}
        if node.lfs:
            return self._resolve_lfs(request, repo, node, headers)
        headers["ETag"] = "\"%s\"" % node.oid
        if self._matches(request, node.oid):
            return Response(304, headers)
        if not self.settings.resolve_cache:
            return self._content(request, node, headers)
        location = "/api/resolve-cache/kernels/%s/%s/%s?%s=&etag=%s" % (
            repo.id, snap.commit, quote(node.path, "/"),
            quote(request.path), quote("\"%s\"" % node.oid))
        return redirect(307, location, headers)

    def _resolve_lfs(self, request, repo, node, headers):
        sha256 = node.blob.sha256
        headers["X-Linked-Etag"] = "\"%s\"" % sha256
        headers["X-Linked-Size"] = str(node.blob.size)
        headers["Accept-Ranges"] = "bytes"
        if self._matches(request, sha256):
            return Response(304, headers)
        return redirect(302, self._sign_url(repo.id, node), headers)

    def _resolve_cache(self, request):
        prefix = "/api/resolve-cache/kernels/"
        if not request.path.startswith(prefix) or \
                request.path.count("/") < 7:
            raise Refusal(404, None, "Not found")
        repo, rest = self._repo(request, prefix)
        self._check_gate(request, repo)
        commit, _, path = rest.partition("/")
        snap = self._snapshot(repo, commit)
        node = self._file(snap, unquote(path))
        headers = {"X-Repo-Commit": snap.commit,
                   "ETag": "\"%s\"" % node.oid}
        if self._matches(request, node.oid):
            return Response(304, headers)
        return self._content(request, node, headers)

    def _matches(self, request, etag):
        text = request.headers.get("if-none-match")
        if text is None:
            return False
        tags = [t.strip() for t in text.split(",")]
        tags = [t[2:] if t.startswith("W/") else t for t in tags]
        return "*" in tags or "\"%s\"" % etag in tags

    def _content(self, request, node, headers):
        extension = os.path.splitext(node.path)[1]
        headers["Content-Type"] = TEXT.get(extension,
                                           "application/octet-stream")
        headers["Accept-Ranges"] = "bytes"
        return self._ranged(request, node.blob, headers)

    def _ranged(self, request, blob, headers):
        size = blob.size
        match = RANGE_RE.match(request.headers.get("range", ""))
        condition = request.headers.get("if-range")
        if match is None or match.group(0) == "bytes=-" or \
                (condition and condition != headers.get("ETag")):
            return Response(200, headers, Slice(blob, 0, size))
        first, last = match.groups()
        if first:
            begin = int(first)
            end = min(int(last) + 1, size) if last else size
        else:
            begin, end = max(0, size - int(last)), size
        if begin >= size or end <= begin:
            headers["Content-Range"] = "bytes */%d" % size
            return Response(416, headers)
        headers["Content-Range"] = "bytes %d-%d/%d" % (begin, end - 1, size)
        return Response(206, headers, Slice(blob, begin, end - begin))

    # The CDN

    def _sign(self, text):
        return hmac.new(self._secret, text.encode(),
                        hashlib.sha256).hexdigest()

    def _sign_url(self, repo_id, node):
        path = "/repos/%s/%s" % (repo_id, node.blob.sha256)
        expires = int(time.time() + self.settings.url_ttl)
        name = quote(node.path.rsplit("/", 1)[-1])
        signature = self._sign("%s?%d" % (path, expires))
        return "%s%s?filename=%s&Expires=%d&Signature=%s&Key-Pair-Id=HUB" % (
            self.cdn_url, path, name, expires, signature)

    def _cdn(self, request):
        if request.method not in ("GET", "HEAD"):
            return Response(405, {"Allow": "GET, HEAD"})
        if "authorization" in request.headers:
            return Response(400, {"Content-Type": "text/plain"},
                            b"Only one auth mechanism allowed\n")
        args = request.args()
        expires = args.get("Expires", "")
        good = self._sign("%s?%s" % (request.path, expires))
        if not expires.isdigit() or not hmac.compare_digest(
                good.encode(), args.get("Signature", "").encode()):
            return Response(403, {"Content-Type": "text/plain"},
                            b"Bad signature\n")
        if int(expires) <= time.time():
            return Response(403, {"Content-Type": "text/plain"},
                            b"Request has expired\n")
        blob = self.repos.store.get(request.path.rsplit("/", 1)[-1])
        if blob is None:
            return Response(404)
        headers = {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            # As on real CDNs: not the hash that the Hub speaks of.
            "ETag": "\"%s-1\"" % blob.sha1[:32],
            "Cache-Control": "public, max-age=604800, immutable",
        }
        return self._ranged(request, blob, headers)
