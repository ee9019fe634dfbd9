# SPDX-License-Identifier: Apache-2.0
"""Names that move, against a small prediction of what each must give.

Random events meet one mount: commits, moved and new tags, deleted branches, a
repository under another name, a token that is revoked and given back, refresh,
restart. After each, some names are asked, and what the mount says must be what
the prediction says. It knows four sentences and nothing of the program: what a
repository has is looked at once, until a refresh or a restart; a name once
decided stays; the default leads to another name; a name that is not there is
looked for anew by others, and is absent itself until then.

    KERNELFS_MODEL_SEED=N KERNELFS_MODEL_STEPS=N test_model.py
"""

import json
import os
import random
import shutil
import subprocess
import unittest

from mounted import (DEADLINE, PROGRAM, SPEC, MountCase,
                     errno_of, make_kernel, make_owner, make_repo, make_tag,
                     wait_for)
from make_repo import branch_dir  # noqa: E402  (mounted knows where it is)

SEEDS = [int(s) for s in
         os.environ.get("KERNELFS_MODEL_SEED", "1 2 3 4 5").split()]
STEPS = int(os.environ.get("KERNELFS_MODEL_STEPS", "120"))
ABSENT = "ENOENT"
REFUSED = "EACCES"
# Names that are asked for and not there cost the source at most 60 a minute.
ABSENT_MAX = 50
RANGES = {
    ">=0.0.2,<0.2": lambda v: (0, 0, 2) <= v < (0, 2, 0),
    "~=0.1": lambda v: (0, 1, 0) <= v < (1, 0, 0),
    "==0.1.*": lambda v: v[:2] == (0, 1),
    "!=0.1.1": lambda v: v != (0, 1, 1),
    ">1": lambda v: v > (1, 0, 0),
}


class World:
    """What the stand-in Hub has, changed by events."""

    def __init__(self, test, rng):
        self.test, self.rng = test, rng
        self.serial = 0
        self.former = {}  # name -> present name
        self.repos = {name: {"branches": {}, "tags": {}}
                      for name in ("acme/one", "acme/two")}
        self.good_token = True
        for repo in list(self.repos):
            for branch in ("main", "v1", "v2"):
                self.commit(repo, branch)
            self.tag(repo, "v0.0.2", "v1")
            self.tag(repo, "v0.1.0", "v2")

    def root(self):
        return self.test.root

    def marked(self):
        self.serial += 1
        return {"torch-universal": {
            "__init__.py": "MARK = %d\n" % self.serial}}

    def reload(self):
        self.test.hub.reload()

    def commit(self, repo, branch):
        make_kernel(self.root(), repo, branch, self.marked())
        self.reload()
        self.repos[repo]["branches"][branch] = \
            self.test.hub.commit(repo, branch)

    def tag(self, repo, tag, branch):
        commit = self.repos[repo]["branches"][branch]
        make_tag(self.root(), repo, tag, commit)
        self.reload()
        self.repos[repo]["tags"][tag] = commit

    def delete(self, repo, branch):
        shutil.rmtree(branch_dir(self.root(), repo, branch))
        del self.repos[repo]["branches"][branch]
        self.reload()

    def rename(self, repo, to):
        os.rename(os.path.join(self.root(), repo),
                  os.path.join(self.root(), to))
        make_repo(self.root(), repo, renamed_to=to)
        old = self.repos.pop(repo)
        self.former[repo] = to
        # The stand-in names a commit after its repository: under another
        # name the branches have other commits, and tags are put anew.
        shutil.rmtree(os.path.join(self.root(), to, "tags"))
        self.reload()
        self.repos[to] = {"tags": {}, "branches": {
            b: self.test.hub.commit(to, b) for b in old["branches"]}}
        for tag in old["tags"]:
            self.tag(to, tag, sorted(old["branches"])[0])

    def present(self, repo):
        while repo in self.former:
            repo = self.former[repo]
        return repo

    def token(self, good):
        self.good_token = good
        self.test.hub.set(tokens=["hf_good" if good else "hf_other"])

    # One random event; a sentence that says what happened.

    def event(self):
        repo = self.rng.choice(sorted(self.repos))
        have = self.repos[repo]
        kind = self.rng.choice(("commit", "commit", "new", "tag", "tag",
                                "delete", "rename", "token"))
        branches = sorted(have["branches"])
        if kind == "commit" and branches:
            branch = self.rng.choice(branches)
            self.commit(repo, branch)
            return "commit on %s@%s" % (repo, branch)
        if kind == "new":
            branch = self.rng.choice(("v3", "v10", "fix/odd"))
            self.commit(repo, branch)
            return "commit on %s@%s" % (repo, branch)
        if kind == "tag" and branches:
            tag = "v%d.%d.%d" % tuple(
                self.rng.choice((0, 0, 1)) for _ in range(3))
            self.tag(repo, tag, self.rng.choice(branches))
            return "tag %s of %s" % (tag, repo)
        branches.remove("main")  # make_kernel would make it anew
        if kind == "delete" and branches:
            branch = self.rng.choice(branches)
            self.delete(repo, branch)
            return "%s@%s is deleted" % (repo, branch)
        if kind == "rename" and repo == "acme/two":
            self.rename(repo, "corp/zwei")
            return "acme/two is corp/zwei now"
        if kind == "token":
            self.token(not self.good_token)
            return "token is %s" % ("good" if self.good_token else "revoked")
        return "nothing"


class Prediction:
    """What every name must give; sees the world only when it looks."""

    def __init__(self, world):
        self.world = world
        self.absent = 0
        self.forget()

    def forget(self):
        """A refresh, or a restart."""
        self.seen = {}     # repo -> what it had when it was looked at
        self.defaults = {}  # repo -> the name that its default leads to
        self.decided = {}  # "repo@rev" -> (present repo, commit) or an error
        self.refused = set()

    def look(self, repo):
        if repo not in self.seen:
            present = self.world.present(repo)
            self.seen[repo] = (present, json.loads(json.dumps(
                self.world.repos[present])))
        return self.seen[repo]

    def can_ask(self, repo):
        """A failure is kept for some seconds: then nothing is predicted."""
        return not {repo, self.world.present(repo)} & self.refused and \
            self.absent < ABSENT_MAX

    def ask(self, repo, rev):
        name = "%s@%s%s" % (repo, "v" if rev.isdigit() else "", rev)
        if name in self.decided:
            return self.decided[name]
        if repo in self.defaults and rev == "":
            return self.ask(*self.defaults[repo])
        if repo not in self.seen and not self.world.good_token:
            self.refused.add(repo)
            return REFUSED
        present, have = self.look(repo)
        default = self.default(have)
        if rev == "" and default:
            # A link to a name that can move itself, and is asked then.
            self.defaults[repo] = present, default
            return self.ask(*self.defaults[repo])
        commit = self.find(have, rev)
        if commit is None:
            self.absent += 1
            del self.seen[repo]  # others shall see what has come since
            self.decided[name] = ABSENT
        else:
            self.decided[name] = (present, commit)
        return self.decided[name]

    @staticmethod
    def numbers(tag):
        return tuple(int(n) for n in tag[1:].split("."))

    def default(self, have):
        versions = [b for b in have["branches"]
                    if b[0] == "v" and b[1:].isdigit()]
        if versions:
            return max(versions, key=lambda b: int(b[1:]))
        if have["tags"]:
            return max(have["tags"], key=self.numbers)
        return "main" if "main" in have["branches"] else None

    def find(self, have, rev):
        if rev == "latest":
            rev = self.default(have) or "main"
        if rev in RANGES:
            fits = [t for t in have["tags"]
                    if RANGES[rev](self.numbers(t))]
            return have["tags"][max(fits, key=self.numbers)] if fits else None
        if rev.isdigit():
            rev = "v" + rev
        rev = rev.replace("%2F", "/")
        return have["branches"].get(rev) or have["tags"].get(rev)


class TestModel(MountCase):
    def kernels(self, root):
        for owner in ("acme", "corp"):
            make_owner(root, owner)

    def start(self):
        self.m = self.mount(
            "--token-file=" + self.token_file, cache="the one")

    def restart(self):
        self.m.end()
        self.start()

    def refresh(self):
        done = subprocess.run(
            [PROGRAM, "refresh", self.m.path], env=self.m.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=DEADLINE,
            universal_newlines=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def fresh(self, step):
        """A folder that the kernel has not seen yet, so that every question
        reaches the daemon."""
        return ".env/%s+py3%d" % (SPEC, step)

    def what(self, top, repo, rev):
        """What the mount says: (repository, commit), or an error."""
        owner, name = repo.split("/")
        step = name + ("@" + rev if rev else "")
        path = self.m.at(top, owner, step)
        error = errno_of(os.stat, path)
        if error:
            return error
        real = os.path.relpath(os.path.realpath(path), self.m.at(top))
        found, _, commit = real.partition("@")
        return found, commit

    def check(self, step, world, prediction, story):
        top = self.fresh(step)
        revs = ["", "latest", "v1", "2", "v2", "v3", "v10", "main",
                "fix%2Fodd", "v0.0.2", "v0.1.0", "v1.1.1", *RANGES]
        for _ in range(4):
            repo = world.rng.choice(
                ("acme/one", "acme/one", "acme/two", "corp/zwei"))
            if world.present(repo) not in world.repos:
                continue
            rev = world.rng.choice(revs)
            if not prediction.can_ask(repo):
                continue
            wanted = prediction.ask(repo, rev)
            story.append("%s@%s -> %s" % (repo, rev, wanted))
            found = self.what(top, repo, rev)
            self.assertEqual(found, wanted, "\n".join(
                [*story[-40:], self.m.log()[-3000:]]))
            if isinstance(wanted, tuple):
                self.check_bytes(wanted, story)

    def check_bytes(self, where, story):
        path = "%s@%s/build/torch-universal/__init__.py" % where
        error = errno_of(os.stat, self.m.at(path))
        if error:
            # Its listing lies in no cache yet, and the token is revoked.
            self.assertEqual(error, REFUSED, "\n".join(story[-40:]))
            return
        self.assertTrue(self.m.text(path).startswith("MARK = "))

    def run_story(self, seed):
        rng = random.Random(seed)
        self.token_file = os.path.join(self.dir, "token")
        with open(self.token_file, "w", encoding="utf-8") as f:
            f.write("hf_good\n")
        world = World(self, rng)
        world.token(True)
        prediction = Prediction(world)
        story = ["seed %d" % seed]
        self.start()
        for step in range(STEPS):
            move = rng.random()
            if move < 0.2:
                self.refresh()
                prediction.forget()
                story.append("refresh")
            elif move < 0.27:
                self.restart()
                prediction.forget()
                story.append("restart")
            else:
                story.append(world.event())
            self.check(step, world, prediction, story)
        self.check_the_root(prediction)

    def check_the_root(self, prediction):
        """There the kernel may keep a name for a moment."""
        for name, wanted in prediction.decided.items():
            repo, _, rev = name.partition("@")
            if repo not in prediction.refused:
                wait_for(lambda r=repo, v=rev, w=wanted:
                         self.what("", r, v) == w, "%s at the root" % name)


def story_of(seed):
    def test(self):
        self.run_story(seed)
    return test


for _seed in SEEDS:
    setattr(TestModel, "test_seed_%d" % _seed, story_of(_seed))


if __name__ == "__main__":
    unittest.main()
