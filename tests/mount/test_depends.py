# SPDX-License-Identifier: Apache-2.0
"""Kernels that need kernels: decided, told and fetched together."""

import importlib.util
import json
import os
import subprocess
import sys
import unittest
import zlib

from mounted import (
    PROGRAM, SPEC, MountCase, lfs_bytes, make_kernel, make_owner, spec,
    wait_for)

UNIVERSAL = "torch-universal"
HEX = "0123456789" * 4
HAS_KERNELS = all(map(importlib.util.find_spec, ("kernels", "torch")))


def needs(*names):
    """kernel-depends of "owner/repo@v1" and "owner/repo@branch"."""
    out = []
    for name in names:
        repo, _, rev = name.partition("@")
        is_version = rev[:1] == "v" and rev[1:].isdigit()
        out.append({"repo-id": repo, "version": int(rev[1:])} if is_version
                   else {"repo-id": repo, "revision": rev})
    return out


def kernel(root, name, *needed, branch="v1", variant=UNIVERSAL, **metadata):
    """A kernel that takes what it needs the way published ones do."""
    package = name.split("/")[1].replace("-", "_")
    code = ["NAME = '%s@%s'" % (name, branch)]
    if needed:
        code.append("from kernels import get_kernel_dep")
        code += ["%s = get_kernel_dep('%s')" % (
            n.split("/")[1].partition("@")[0], n.partition("@")[0])
            for n in needed]
    metadata.setdefault("id", "_%s_%s" % (package, branch))
    seed = zlib.crc32((name + branch).encode())
    make_kernel(root, name, branch,
                {variant: {"__init__.py": "\n".join(code) + "\n",
                           "lib.so": lfs_bytes(5000, seed)}},
                metadata=dict(metadata, kernel_depends=needs(*needed)))


class DependsCase(MountCase):
    def top(self, repo, rev="v1"):
        return "acme/%s@%s" % (repo, self.commit("acme/" + repo, rev))

    def told(self, m, repo, below=""):
        path = m.at(below, self.top(repo), ".kernelfs/depends.json")
        with open(path, encoding="utf-8") as f:
            return json.load(f)

    def place(self, repo, rev="v1"):
        return "%s/build/%s" % (self.top(repo, rev), UNIVERSAL)

    def decision(self, m, repo):
        return json.loads(m.text(self.top(repo), ".kernelfs/decision.json"))

    def why(self, m, package):
        return m.text(".env", SPEC, package + ".why")

    def imports(self, m, code):
        done = m.python(code)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split()

    def is_refused(self, m, repo, *words):
        """Its build/ is empty, and whoever asks is told why."""
        self.assertEqual(m.ls(self.top(repo), "build"), [])
        said = self.why(m, repo)
        decision = self.decision(m, repo)
        self.assertIsNone(decision["variant"])
        self.assertEqual(decision["depends"], [])
        done = m.python("import " + repo)
        self.assertEqual(done.returncode, 1)
        for word in words:
            self.assertIn(word, said)
            self.assertIn(word, decision["refused"])
            self.assertIn(word, done.stderr)
        self.refuses("ENOENT", open,
                     m.at(self.top(repo), ".kernelfs/depends.json"))


class TestChain(DependsCase):
    def kernels(self, root):
        make_owner(root, "acme")
        kernel(root, "acme/low", python_depends=["helion"])
        kernel(root, "acme/mid", "acme/low@v1")
        kernel(root, "acme/high", "acme/mid@v1", kernels_minver=" 0.16.0")

    def blobs(self, m):
        return sum(len(files) for _, _, files in os.walk(m.cache + "/blobs"))

    def test_it_is_told_lowest_first(self):
        m = self.mount()
        told = self.told(m, "high")
        self.assertEqual(told["needs"], {"acme/mid": "acme/mid@v1"})
        self.assertEqual((told["python"], told["minver"]), ([], "0.16.0"))
        self.assertEqual(told["backend"], "cpu")
        self.assertEqual(list(told["kernels"]), ["acme/low@v1", "acme/mid@v1"])
        self.assertEqual(told["kernels"]["acme/low@v1"], {
            "path": self.place("low"), "id": "_low_v1", "package": "low",
            "needs": {}, "python": ["helion"], "minver": None})
        self.assertEqual(told["kernels"]["acme/mid@v1"]["needs"],
                         {"acme/low": "acme/low@v1"})
        self.assertEqual(self.told(m, "high", ".env/" + SPEC), told)
        for one in told["kernels"].values():
            self.assertTrue(os.path.isfile(m.at(one["path"], "__init__.py")))

    def test_the_decision_shows_the_pins(self):
        m = self.mount()
        self.assertEqual(self.decision(m, "high")["depends"], [
            {"repo": "acme/" + name, "revision": "v1",
             "commit": self.commit("acme/" + name), "variant": UNIVERSAL,
             "dirty": False, "path": m.at(self.place(name))}
            for name in ("low", "mid")])
        said = m.text(self.top("high"), ".kernelfs/decision")
        for name in ("low", "mid"):
            self.assertIn("acme/%s@v1 -> %s, %s" % (
                name, self.top(name), UNIVERSAL), said)
        self.assertIn("0.16.0 or later", said)

    def test_it_costs_what_each_kernel_costs(self):
        m = self.mount()
        m.ls("acme/high@v1/build")
        # trust once for the owner; of each kernel its refs, the names in
        # build/, one listing, and metadata.json with its redirect
        counts = m.counts()
        self.assertEqual(counts["overview"], 1)
        self.assertEqual(counts["refs"], 3)
        self.assertEqual(counts["tree"], 6)
        self.assertEqual(self.blobs(m), 3)

    def test_all_are_fetched_together(self):
        m = self.mount()
        m.ls("acme/high@v1/build")
        m.text("acme/high@v1/build", UNIVERSAL, "__init__.py")
        # two files and metadata.json of three kernels
        wait_for(lambda: self.blobs(m) == 9, "all builds")

    def test_the_door_asking_fetches_all(self):
        m = self.mount()
        self.told(m, "high")
        self.assertEqual(self.blobs(m), 3)
        self.told(m, "high", ".env/" + SPEC)
        wait_for(lambda: self.blobs(m) == 9, "all builds")

    def test_pinned_and_cached_asks_nobody(self):
        m = self.mount(cache="one")
        told = self.told(m, "high")
        self.told(m, "high", ".env/" + SPEC)
        wait_for(lambda: self.blobs(m) == 9, "all builds")
        self.hub.reset()
        m = self.mount(cache="one", imports=("acme/high",))
        self.assertEqual(self.told(m, "high"), told)
        self.assertEqual(self.told(m, "high", ".env/" + SPEC), told)
        self.assertEqual(m.ls(self.top("high"), "build"), [UNIVERSAL])
        for one in told["kernels"].values():
            m.text(one["path"], "__init__.py")
        self.assertEqual(m.counts(), {})

    def test_a_name_that_moves_takes_what_is_new(self):
        m = self.mount(cache="one")
        old = self.told(m, "high")["kernels"]["acme/low@v1"]["path"]
        kernel(self.root, "acme/low", id="_low_new")
        self.hub.reload("acme/low")
        # this mount has decided
        self.assertEqual(
            self.told(m, "high")["kernels"]["acme/low@v1"]["path"], old)
        pinned = self.mount(cache="one", imports=("acme/high",))
        self.assertEqual(
            self.told(pinned, "high")["kernels"]["acme/low@v1"]["path"], old)
        named = self.mount(cache="one", imports=("acme/high",))
        named.ls("acme/high@v1/build")
        now = self.told(named, "high")["kernels"]["acme/low@v1"]
        self.assertEqual((now["path"], now["id"]),
                         (self.place("low"), "_low_new"))
        self.assertNotEqual(now["path"], old)


class TestLocked(DependsCase):
    def kernels(self, root):
        make_owner(root, "acme")
        kernel(root, "acme/low")
        kernel(root, "acme/high", "acme/low@v1")

    def lock(self, *names):
        path = os.path.join(self.dir, "kernels.lock")
        with open(path, "w", encoding="utf-8") as f:
            json.dump([{"dependency": {"repo-id": name, "version": 1},
                        "lock": {"commit": self.commit(name)}}
                       for name in names], f)
        return path

    def test_what_is_locked_is_needed_at_that_commit(self):
        lock = self.lock("acme/high", "acme/low")
        told = self.place("low")
        kernel(self.root, "acme/low", id="_low_new")
        self.hub.reload("acme/low")
        self.assertNotEqual(self.place("low"), told)
        m = self.mount("--lock=" + lock, "--locked", imports=("acme/high",))
        self.assertEqual(
            self.told(m, "high")["kernels"]["acme/low@v1"]["path"], told)
        self.assertNotIn("refs", m.counts())

    def test_what_is_not_in_the_lock_is_eperm(self):
        lock = self.lock("acme/high")
        m = self.mount("--lock=" + lock, "--locked", imports=("acme/high",))
        self.refuses("EPERM", os.listdir, m.at(self.top("high"), "build"))
        said = self.why(m, "high")
        self.assertIn("needs acme/low@v1: ", said)
        self.assertIn("kernelfs lock", said)
        self.assertIn("needs acme/low@v1: ", m.python("import high").stderr)
        self.refuses("EPERM", os.listdir, m.at(
            ".hub/kernels--acme--high/snapshots", self.commit("acme/high"),
            "build"))

    def test_offline_it_is_what_it_was(self):
        m = self.mount(cache="one", imports=("acme/high",))
        m.ls("acme/high@v1/build")
        told = self.told(m, "high", ".env/" + SPEC)
        for repo in ("low", "high"):
            wait_for(lambda: m.xattr("state", self.place(repo)) == "verified")
        self.hub.reset()
        m = self.mount("--offline", cache="one", imports=("acme/high",))
        m.ls("acme/high@v1/build")
        self.assertEqual(self.told(m, "high"), told)
        m.text(told["kernels"]["acme/low@v1"]["path"], "__init__.py")
        self.assertEqual(m.counts(), {})


class TestShapes(DependsCase):
    def kernels(self, root):
        make_owner(root, "acme")
        kernel(root, "acme/base")
        kernel(root, "acme/base", branch="v2")
        kernel(root, "acme/left", "acme/base@v1")
        kernel(root, "acme/right", "acme/base@v1")
        kernel(root, "acme/diamond", "acme/left@v1", "acme/right@v1",
               "acme/base@v1")
        kernel(root, "acme/newer", "acme/base@v2")
        kernel(root, "acme/both", "acme/left@v1", "acme/newer@v1")
        kernel(root, "acme/twice", "acme/base@v2", "acme/base@v1")
        kernel(root, "acme/branch", "acme/base@main")
        kernel(root, "acme/base", branch="main", id="_base_main")

    def test_of_a_diamond_each_is_there_once(self):
        m = self.mount()
        told = self.told(m, "diamond")
        self.assertEqual(list(told["kernels"]), [
            "acme/base@v1", "acme/left@v1", "acme/right@v1"])
        self.assertEqual(list(told["needs"].values()), [
            "acme/left@v1", "acme/right@v1", "acme/base@v1"])
        said = self.imports(m, """if 1:
            import diamond as d
            print(d.left.base is d.right.base, d.base is d.left.base)
            print(d.base.NAME)""")
        self.assertEqual(said, ["True", "True", "acme/base@v1"])

    @unittest.skipUnless(HAS_KERNELS, "this Python has no kernels")
    def test_the_package_kernels_does_the_same(self):
        m = self.mount(env=None)
        done = m.python("""if 1:
            import kernels, diamond as d
            print(d.left.base is d.right.base, d.base.NAME)
            try:
                kernels.get_kernel_dep("acme/base")
            except RuntimeError as e:
                print(e)""", python=sys.executable)
        self.assertEqual(done.stdout.split("\n")[:2], [
            "True acme/base@v1",
            "`get_kernel_dep` only works during kernel loading."],
            done.stderr)

    def test_two_versions_of_one_live_in_one_tree(self):
        m = self.mount()
        told = self.told(m, "both")["kernels"]
        self.assertEqual(told["acme/base@v1"]["path"], self.place("base"))
        self.assertEqual(told["acme/base@v2"]["path"],
                         self.place("base", "v2"))
        said = self.imports(m, """if 1:
            import both
            print(both.left.base.NAME, both.newer.base.NAME)""")
        self.assertEqual(said, ["acme/base@v1", "acme/base@v2"])

    def test_of_one_named_twice_the_later_counts(self):
        m = self.mount()
        told = self.told(m, "twice")
        self.assertEqual(told["needs"], {"acme/base": "acme/base@v1"})
        self.assertEqual(sorted(told["kernels"]),
                         ["acme/base@v1", "acme/base@v2"])

    def test_a_branch_can_be_needed(self):
        m = self.mount()
        told = self.told(m, "branch")["kernels"]["acme/base@main"]
        self.assertEqual((told["id"], told["path"]),
                         ("_base_main", self.place("base", "main")))

    def test_a_commit_can_be_needed(self):
        asked = "acme/base@" + self.commit("acme/base")
        kernel(self.root, "acme/pinned", asked)
        self.hub.reload("acme/pinned")
        m = self.mount()
        told = self.told(m, "pinned")
        self.assertEqual(told["needs"], {"acme/base": asked})
        self.assertEqual(told["kernels"][asked]["path"], self.place("base"))


class TestLate(DependsCase):
    """What is needed comes while the mount lives."""

    def kernels(self, root):
        make_owner(root, "acme")
        kernel(root, "acme/eager", "acme/late@v1")

    def test_it_is_seen_by_every_path(self):
        m = self.mount()
        commit = self.commit("acme/eager")
        lists = [m.at(top, "build") for top in (
            self.top("eager"),
            ".hub/kernels--acme--eager/snapshots/" + commit)]
        link = m.at(".env", SPEC, self.top("eager"), "python/eager")
        hub = os.path.join(lists[1], UNIVERSAL)
        for _ in range(2):  # a listing is kept from the second time on
            self.assertEqual([os.listdir(at) for at in lists], [[], []])
            for at in (link, hub):
                self.refuses("ENOENT", os.readlink, at)
        kernel(self.root, "acme/late")
        self.hub.reload()
        subprocess.run([PROGRAM, "refresh", m.path], env=m.environment,
                       stdout=subprocess.DEVNULL, timeout=60, check=True)
        wait_for(lambda: os.path.lexists(link) and os.path.lexists(hub),
                 "the links")
        self.assertEqual([os.listdir(at) for at in lists],
                         [[UNIVERSAL], [UNIVERSAL]])
        self.assertEqual(self.imports(m, "import eager; print(eager.late.NAME)"),
                         ["acme/late@v1"])


class TestSpellings(DependsCase):
    """Metadata that few write and the reference reads."""

    def kernels(self, root):
        make_owner(root, "acme")
        kernel(root, "acme/base")
        for name in ("listed", "escaped", "twice"):
            kernel(root, "acme/" + name, "acme/base@v1")
            path = os.path.join(root, "acme", name, "branches/v1/build",
                                UNIVERSAL, "metadata.json")
            with open(path, encoding="utf-8") as f:
                told = json.load(f)
            with open(path, "w", encoding="utf-8") as f:
                f.write(getattr(self, name)(told))

    def listed(self, told):
        return json.dumps([told.get(key) for key in (
            "name", "id", "version", "kernels-minver", "license", "upstream",
            "source", "python-depends", "kernel-depends", "backend", "digest",
            "provenance")])

    def escaped(self, told):
        return json.dumps(told).replace("kernel-depends",
                                        "kernel\\u002ddepends")

    def twice(self, told):
        return json.dumps(dict({"x": {"kernel-depends": []}}, **told))

    def test_each_gets_what_it_needs(self):
        m = self.mount()
        for name in ("listed", "escaped", "twice"):
            self.assertEqual(self.imports(
                m, "import %s as k; print(k.base.NAME)" % name),
                ["acme/base@v1"], name)


class TestThreads(DependsCase):
    """What is needed may be under way on another thread."""

    SLOW = ("import sys\nsys.started.set()\n"
            "assert sys.go.wait(60)\nNAME = 'whole'\n")

    def kernels(self, root):
        make_owner(root, "acme")
        make_kernel(root, "acme/slow", "v1",
                    {UNIVERSAL: {"__init__.py": self.SLOW}},
                    metadata={"id": "_slow_v1"})
        kernel(root, "acme/user", "acme/slow@v1")

    def test_a_half_made_module_is_waited_for(self):
        m = self.mount()
        said = self.imports(m, """if 1:
            import sys, threading
            sys.started, sys.go = threading.Event(), threading.Event()

            def waits(ident):
                frame = sys._current_frames().get(ident)
                while frame:
                    code = frame.f_code
                    if "importlib" in code.co_filename and code.co_name in (
                            "acquire", "_lock_unlock_module"):
                        return True
                    frame = frame.f_back

            def first():
                import slow

            def second():
                import user
                print(user.slow.NAME)

            one = threading.Thread(target=first)
            one.start()
            assert sys.started.wait(60)
            two = threading.Thread(target=second)
            two.start()
            while two.is_alive() and not waits(two.ident):
                pass
            sys.go.set()
            one.join()
            two.join()""")
        self.assertEqual(said, ["whole"])


class TestRefusals(DependsCase):
    def kernels(self, root):
        make_owner(root, "acme")
        make_owner(root, "shady", trusted=False)
        kernel(root, "shady/low")
        kernel(root, "acme/fine")
        kernel(root, "acme/round", "acme/about@v1")
        kernel(root, "acme/about", "acme/round@v1")
        kernel(root, "acme/itself", "acme/itself@v1")
        kernel(root, "acme/absent", "acme/nobody@v1")
        kernel(root, "acme/farther", "acme/fine@v1", "acme/absent@v1")
        kernel(root, "acme/future", "acme/fine@v9")
        kernel(root, "acme/cuda", variant="torch213-cxx11-cu130-x86_64-linux")
        kernel(root, "acme/onto", "acme/cuda@v1")
        kernel(root, "acme/misspelt", "a b/c@v1")
        kernel(root, "acme/trusting", "shady/low@v1")
        for i in range(40):
            kernel(root, "acme/deep%d" % i, "acme/deep%d@v1" % (i + 1))

    def test_a_circle_is_named(self):
        m = self.mount()
        self.is_refused(m, "round", "needs acme/about@v1, which needs "
                        "acme/round@v1: cyclic kernel dependency detected")
        self.is_refused(m, "itself", "cyclic kernel dependency detected")

    def test_a_missing_one_is_named_with_the_chain(self):
        m = self.mount()
        self.is_refused(m, "absent", "needs acme/nobody@v1: ")
        self.is_refused(m, "farther", "needs acme/absent@v1, which needs "
                        "acme/nobody@v1: ")
        self.is_refused(m, "future", "needs acme/fine@v9: ")
        self.is_refused(m, "misspelt", "'a b/c'")

    def test_one_without_a_build_shows_its_reasons(self):
        m = self.mount()
        self.is_refused(m, "onto", "needs acme/cuda@v1: no build fits")
        self.assertIn("acme/cuda@v1:\n", self.why(m, "onto"))
        lacking = self.decision(m, "onto")["lacking"]
        self.assertEqual(lacking["revision"], "acme/cuda@v1")
        self.assertFalse(lacking["decisions"][0]["accepted"])

    def test_an_untrusted_one_is_eacces_and_no_byte_comes(self):
        m = self.mount()
        at = self.top("trusting")
        self.refuses("EACCES", os.listdir, m.at(at, "build"))
        self.refuses("EACCES", open, m.at(at, ".kernelfs/depends.json"))
        said = self.why(m, "trusting")
        self.assertIn("needs shady/low@v1: publisher 'shady' is not trusted",
                      said)
        self.assertIn("trust=shady", said)
        self.assertEqual([path for path in m.requests()
                          if "shady/low/resolve" in path], [])
        m = self.mount("--trust=shady/low")
        self.assertEqual(m.ls(at, "build"), [UNIVERSAL])

    def test_a_chain_has_an_end(self):
        m = self.mount()
        self.is_refused(m, "deep0", "too many kernels that need each other")
        told = self.mount().ls(self.top("deep39"), "build")
        self.assertEqual(told, [])

    def test_others_of_the_mount_go_on(self):
        m = self.mount()
        self.is_refused(m, "round", "cyclic")
        self.assertEqual(self.imports(m, "import fine; print(fine.NAME)"),
                         ["acme/fine@v1"])


class TestOrigin(DependsCase):
    DIRTY = {"kernel-builder": {"version": "1"},
             "kernel": {"commit": HEX, "dirty": True}}

    def kernels(self, root):
        make_owner(root, "acme")
        kernel(root, "acme/dirty", provenance=self.DIRTY)
        kernel(root, "acme/clean", "acme/dirty@v1")
        kernel(root, "acme/forged", digest={
            "algorithm": "sha256", "files": {
                "__init__.py": "", "lib.so": "eA=="}})

    def test_the_decision_shows_a_dirty_one(self):
        m = self.mount()
        said = m.text(self.top("dirty"), ".kernelfs/decision")
        self.assertIn("dirty git tree (kernel source had uncommitted", said)
        self.assertTrue(self.decision(m, "dirty")["dirty"])
        clean = self.decision(m, "clean")
        self.assertFalse(clean["dirty"])
        self.assertTrue(clean["depends"][0]["dirty"])

    def test_a_digest_that_the_listing_contradicts_is_refused(self):
        m = self.mount()
        self.assertEqual(m.ls(self.top("forged"), "build"), [])
        said = m.text(self.top("forged"), ".kernelfs/decision")
        self.assertIn("'lib.so' is not the file of its digest", said)

    def test_another_environment_has_its_own_decision(self):
        m = self.mount()
        other = spec("cpu", "212", "x86_64")
        told = self.told(m, "clean", ".env/" + other)
        self.assertEqual(list(told["kernels"]), ["acme/dirty@v1"])


if __name__ == "__main__":
    unittest.main()
