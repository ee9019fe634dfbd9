# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the Hub: serves folders as kernel repositories over HTTP.

    python3 tests/hub/hub.py --root DIR [--port N] [--cdn-port N] ...

prints one JSON line {"url": "http://127.0.0.1:P", "cdn": "http://localhost:Q"}
once it listens, and serves until SIGTERM or SIGINT. The Hub's own origin is
`url`; large files are at the other origin `cdn`, by signed addresses, where
an Authorization header is refused. In a test:

    from hub import Hub
    with Hub(root) as hub:
        hub.url, hub.cdn_url
        fault = hub.fault("stall", path="resolve", times=1)
        hub.set(page_size=2, tokens=["hf_good"])
        hub.counts()["by_endpoint"]; hub.reset(); hub.reload()

The folders are described in repos.py (they are read once, and again on
reload), settings in api.py, faults in faults.py, what is counted and how it
is named in counts.py, the control interface in server.py. make_repo.py writes
repositories, relay.py adds latency.
"""

import argparse
import json
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from api import Api, Settings  # noqa: E402
from counts import Counts  # noqa: E402
from faults import Faults  # noqa: E402
from repos import Repos  # noqa: E402
from server import Server  # noqa: E402


class Hub:
    """Both origins, in this process."""

    def __init__(self, root, port=0, cdn_port=0, cdn_public_url=None):
        # A few hundred connections need no deep stacks.
        threading.stack_size(512 * 1024)
        self.counter = Counts()
        self.faults = Faults()
        self.settings = Settings()
        self.repos = Repos(root)
        self.api = Api(self.repos, self.settings)
        self._servers = []
        try:
            hub = Server(self, "hub", port)
            self._servers.append(hub)
            cdn = Server(self, "cdn", cdn_port, both_families=True)
            self._servers.append(cdn)
        except OSError:
            self.close()
            raise
        self.url = "http://127.0.0.1:%d" % hub.port
        self.cdn_url = "http://localhost:%d" % cdn.port
        self.api.cdn_url = (cdn_public_url or self.cdn_url).rstrip("/")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        for server in self._servers:
            server.close()
        self.faults.clear()
        self.repos.close()

    def counts(self):
        return self.counter.get()

    def reset(self):
        """Counts and quotas start anew; faults and settings stay."""
        self.counter.reset()
        self.api.quota.reset()

    def reload(self, repo=None):
        """Read the folders again (of one repository, or of all)."""
        self.repos.reload(repo)

    def set(self, **values):
        """Change settings, see api.Settings."""
        self.settings.update(values)

    def set_cdn_public_url(self, url):
        """Where signed addresses point (None: at the CDN itself)."""
        self.api.cdn_url = (url or self.cdn_url).rstrip("/")

    def fault(self, kind, **spec):
        """Set a fault; the object has hits, waiting and release()."""
        return self.faults.add(dict(spec, kind=kind))

    def clear_faults(self):
        self.faults.clear()

    def commit(self, repo, revision):
        """The commit that a branch or tag of a repository means now."""
        return self.repos.get(repo).find(revision).commit


def options(argv):
    parser = argparse.ArgumentParser(
        description="serve folders as kernel repositories of a Hub")
    parser.add_argument("--root", required=True, metavar="DIR")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cdn-port", type=int, default=0)
    parser.add_argument("--cdn-public-url", metavar="URL",
                        help="address of the CDN in redirects (a relay)")
    parser.add_argument("--ready-fd", type=int, metavar="N",
                        help="write the JSON line there as well")
    parser.add_argument("--ready-file", metavar="FILE",
                        help="write the JSON line there as well")
    parser.add_argument("--token", action="append", default=[],
                        help="a valid token (repeatable)")
    parser.add_argument("--set", metavar="JSON", type=json.loads, default={},
                        help="settings, see api.py")
    return parser.parse_args(argv)


def announce(hub, opts):
    line = json.dumps({"url": hub.url, "cdn": hub.cdn_url}) + "\n"
    sys.stdout.write(line)
    sys.stdout.flush()
    if opts.ready_file:
        part = opts.ready_file + ".part"
        with open(part, "w", encoding="utf-8") as f:
            f.write(line)
        os.rename(part, opts.ready_file)
    if opts.ready_fd is not None:
        os.write(opts.ready_fd, line.encode())
        os.close(opts.ready_fd)


def main(argv):
    opts = options(argv)
    # Blocked before the first thread starts, so that all threads inherit it.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    if not os.path.isdir(opts.root):
        sys.exit("hub: '%s' is not a directory" % opts.root)
    try:
        hub = Hub(opts.root, opts.port, opts.cdn_port, opts.cdn_public_url)
    except OSError as error:
        sys.exit("hub: cannot listen: %s" % error)
    with hub:
        hub.set(**opts.set)
        if opts.token:
            hub.set(tokens=opts.token)
        announce(hub, opts)
        signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
