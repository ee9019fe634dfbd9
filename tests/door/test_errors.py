# SPDX-License-Identifier: Apache-2.0
"""What a person reads when an import cannot go on."""

import ctypes
import os
import unittest

import fixture
from base import DoorTest, needs_folder

REPORT = """
    import json, sys
    try:
        import %s
    except ImportError as e:
        print(json.dumps([type(e).__name__, e.name, e.path, str(e)]))
    assert %r not in sys.modules
    """


class Errors(DoorTest):
    def report(self, package, **how):
        import json

        out = self.python(REPORT % (package, package), **how)
        return json.loads(out)

    def test_no_build_says_the_whole_reason(self):
        spec = self.serve()
        kind, name, path, text = self.report("door_none")
        self.assertEqual((kind, name), ("ImportError", "door_none"))
        self.assertEqual(path, "%s/.env/%s/door_none" % (self.root, spec))
        with open(path + ".why", encoding="utf-8") as file:
            self.assertEqual(text, file.read().strip())
        for part in ("kernels-community/door-none", "torch19-cxx11-cu101"):
            self.assertIn(part, text)

    def test_the_path_of_a_version_says_it_too(self):
        top = "%s/%s/door-none@v1/python" % (self.root, fixture.OWNER)
        kind, name, path, text = self.report("door_none", first=[top])
        self.assertEqual((kind, name), ("ImportError", "door_none"))
        self.assertTrue(path.endswith("/door-none@v1/python/door_none"), path)
        self.assertIn("torch19-cxx11-cu101", text)

    @needs_folder
    def test_a_reason_that_cannot_be_read(self):
        mount = self.own_mount()
        spec = self.serve()
        link = mount.at(".env", spec, "door_none")
        for make, said in (
            (os.unlink, "cannot be read: No such file or directory"),
            (os.mkdir, "cannot be read: Is a directory"),
        ):
            make(link + ".why")
            text = self.report("door_none")[3]
            self.assertIn(said, text)
            self.assertIn(spec, text)
            self.assertIn(link, text)
        os.rmdir(link + ".why")
        fixture.put(link + ".why", "\n")
        self.assertIn("why, is empty", self.report("door_none")[3])

    @needs_folder
    def test_a_reason_is_bounded_and_may_hold_any_bytes(self):
        mount = self.own_mount()
        link = mount.at(".env", self.serve(), "door_none")
        with open(link + ".why", "wb") as file:
            file.write(b"\xff\x00 why " + b"x" * (3 << 20))
        self.assertEqual(len(self.report("door_none")[3]), 1 << 20)

    @needs_folder
    def test_a_failure_is_forgotten(self):
        mount = self.own_mount()
        spec = self.serve()
        link = mount.at(".env", spec, "door_none")
        commit = mount.commit("door-plain", "v1")
        target = mount.at(commit, "build/torch-universal")
        out = self.python(
            """
            import os, sys
            for i in range(2):
                try:
                    import door_none
                except ImportError:
                    print("failed")
            os.symlink(sys.argv[2], sys.argv[1])
            import door_plain, door_none
            print(door_none.__path__ == [sys.argv[2]])
            """,
            link,
            target,
        )
        self.assertEqual(out.split(), ["failed", "failed", "True"])

    def test_an_environment_that_failed_is_forgotten(self):
        """The person installs torch and says import again."""
        site = self.folder()
        cpu = os.uname().machine
        self.serve()
        self.serve([fixture.fake_torch(site + "/a", "2.12.1")])
        out = self.python(
            """
            import sys
            try:
                import door_none
            except ImportError:
                print("failed")
            sys.modules.pop("torch", None)
            sys.path.insert(0, sys.argv[1])
            import door_which
            print(door_which.VARIANT)
            """,
            site + "/a",
            first=[fixture.fake_torch(site + "/b", "1.0")],
        )
        self.assertEqual(
            out.split(), ["failed", "torch212-cxx11-cpu-%s-linux" % cpu]
        )

    def test_an_init_that_raises(self):
        text = self.fails("import door_raises")
        self.assertTrue(
            text.rstrip().endswith("ZeroDivisionError: from the kernel"), text
        )
        self.assertRegex(text, r"universal/__init__.py\", line 5, in burst")
        self.assertNotIn("During handling", text)
        out = self.python(
            """
            import os, sys
            for i in range(2):
                try:
                    import door_raises
                except ZeroDivisionError:
                    print("door_raises" in sys.modules)
            os.environ["DOOR_CALM"] = "1"
            import door_raises
            print(door_raises.part.PART)
            """
        )
        self.assertEqual(out.split(), ["False", "False", "1"])

    def test_a_broken_torch_passes_unchanged(self):
        folder = self.folder()
        text = "raise OSError('no libtorch')"
        fixture.put(folder + "/torch/__init__.py", text)
        text = self.fails("import door_plain", first=[folder], served=False)
        self.assertTrue(text.rstrip().endswith("OSError: no libtorch"), text)

    def test_a_package_that_the_root_lacks(self):
        text = self.fails("import door_unheard_of")
        self.assertIn("ModuleNotFoundError: No module named", text)

    @needs_folder
    def test_a_stub_outside_of_any_mount(self):
        folder = self.folder()
        with open(os.path.join(fixture.DOOR, "stub.py")) as file:
            fixture.put(folder + "/lonely/__init__.py", file.read())
        for before in ("", "import door_plain; "):
            text = self.fails(before + "import lonely", first=[folder])
            self.assertIn("ImportError: ", text)
            self.assertIn(folder + "/lonely", text)
            self.assertIn("kernelfs mount", text)


def dead_mount(folder):
    """Mount a FUSE filesystem of which nobody answers: ENOTCONN at once."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fd = os.open("/dev/fuse", os.O_RDWR)
    except OSError as e:
        raise unittest.SkipTest("no /dev/fuse: %s" % e)
    options = "fd=%d,rootmode=40000,user_id=0,group_id=0" % fd
    failed = libc.mount(b"dead", folder.encode(), b"fuse", 0, options.encode())
    os.close(fd)
    if failed:
        raise unittest.SkipTest("mount: %s" % os.strerror(ctypes.get_errno()))
    return lambda: libc.umount2(folder.encode(), 2)


@needs_folder
class DeadMount(DoorTest):
    def test_gone_before_the_first_kernel(self):
        mount = self.own_mount()
        self.addCleanup(dead_mount(mount.at(".kernelfs")))
        text = self.fails("import door_plain")
        self.assertRegex(text, r"ImportError: the kernelfs mount .*is gone")
        self.assertIn(os.strerror(107), text)

    def test_gone_between_two_kernels(self):
        mount = self.own_mount()
        self.serve()
        self.addCleanup(dead_mount(mount.at(".env")))
        text = self.fails("import door_plain")
        self.assertIn("ImportError: the kernelfs mount at ", text)
        self.assertIn("%s is gone (%s)" % (self.root, os.strerror(107)), text)

    def test_gone_with_all_that_is_in_it(self):
        """The stub was read, the core is there, then the daemon dies."""
        whole = self.folder()
        mount = self.own_mount()
        self.serve()
        os.mkdir(whole + "/m")
        text = self.fails(
            """
            import sys, door_plain
            with open(sys.argv[2] + "/door_nested/__init__.py") as file:
                text = file.read()
            exec(text, {"__name__": "door_nested", "__file__": sys.argv[1]})
            """,
            self.dead(whole + "/m") + "/door_nested/__init__.py",
            mount.path,
        )
        self.assertRegex(text, r"ImportError: the kernelfs mount .* is gone")

    def dead(self, folder):
        self.addCleanup(dead_mount(folder))
        return folder


if __name__ == "__main__":
    unittest.main()
