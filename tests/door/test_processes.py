# SPDX-License-Identifier: Apache-2.0
"""Threads and processes that import a kernel at the same time."""

import unittest

import fixture
from base import DoorTest, needs_folder, needs_torch, real_torch


class Threads(DoorTest):
    @real_torch
    def test_many_threads_import_packages_and_submodules(self):
        out = self.python(
            """
            import importlib, threading
            names = ["door_plain", "door_nested", "door_lazy", "door_owned"]
            errors, barrier = [], threading.Barrier(16)

            def work(i):
                barrier.wait()
                try:
                    for name in names[i % 4:] + names[:i % 4]:
                        importlib.import_module(name)
                    from door_plain import double, VERSION
                    from door_nested.sub import X
                    from door_plain.late import FOUR
                    assert (double(1), VERSION, X, FOUR) == (2, 2, 7, 4)
                except BaseException as e:
                    errors.append(repr(e))

            threads = [threading.Thread(target=work, args=(i,))
                       for i in range(16)]
            for t in threads: t.start()
            for t in threads: t.join(60)
            print(errors)
            """
        )
        self.assertEqual(out, "[]")

    def test_a_thread_that_comes_while_the_kernel_runs(self):
        """Both the package and its submodules, as in a plain package."""
        out = self.python(
            """
            import builtins, threading
            builtins.door_started = threading.Event()
            builtins.door_go = threading.Event()
            got = []

            def package():
                import door_slow
                got.append(door_slow.DONE)

            def submodule():
                from door_slow.other import OTHER
                got.append(OTHER)
                builtins.door_go.set()

            first = threading.Thread(target=package)
            first.start()
            assert builtins.door_started.wait(30)
            second = threading.Thread(target=submodule)
            third = threading.Thread(target=package)
            third.start()
            second.start()
            for t in first, second, third: t.join(30)
            print(sorted(got))
            """
        )
        self.assertEqual(out, "[True, True, 2]")

    # A torch whose import takes as long as the test wants: the door is at
    # work all that while, and the package has no path yet.
    HELD = """
        import sys, threading, types
        spec, started, go = None, threading.Event(), threading.Event()

        class Held:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name == "torch":
                    started.set()
                    assert go.wait(30)
                return None

        sys.meta_path.insert(0, Held)
        got, errors = [], []

        def package():
            try:
                import door_plain
                got.append(door_plain.VERSION)
            except ImportError as e:
                errors.append(str(e))

        def submodule():
            try:
                entered.release()
                from door_plain.late import FOUR
                got.append(FOUR)
            except ImportError as e:
                errors.append(str(e))

        entered = threading.Semaphore(0)
        first = threading.Thread(target=package)
        first.start()
        assert started.wait(30)
        assert "__path__" not in vars(sys.modules["door_plain"])
        others = [threading.Thread(target=submodule) for i in range(4)]
        for t in others: t.start()
        for i in range(4): assert entered.acquire(timeout=30)
        """

    def test_a_thread_that_comes_while_the_door_works(self):
        out = self.python(
            self.HELD
            + """
        others.append(threading.Thread(target=package))
        others[-1].start()
        go.set()
        for t in [first, *others]: t.join(30)
        print(sorted(got), errors)
            """,
        )
        self.assertEqual(out, "[2, 2, 4, 4, 4, 4] []")

    @needs_folder
    def test_threads_that_wait_get_the_reason_of_a_failure(self):
        mount = self.own_mount()
        spec = self.serve()
        out = self.python(
            self.HELD
            + """
        import os
        os.unlink(sys.argv[1])
        with open(sys.argv[1] + ".why", "w") as file:
            file.write("because of the test")
        go.set()
        for t in [first, *others]: t.join(30)
        print(got, len(errors), set(errors))
            """,
            mount.at(".env", spec, "door_plain"),
        )
        self.assertEqual(out, "[] 5 {'because of the test'}")

    def test_kernels_in_the_first_moment_load_one_core(self):
        out = self.python(
            """
            import sys, threading
            barrier, cores = threading.Barrier(4), []
            names = "door_plain", "door_nested", "door_lazy", "door_owned"

            def work(name):
                barrier.wait()
                __import__(name)
                cores.append(sys.modules["_kernelfs_1"])

            threads = [threading.Thread(target=work, args=(n,)) for n in names]
            for t in threads: t.start()
            for t in threads: t.join(30)
            print(len(cores), len(set(map(id, cores))), len(cores[0].places))
            """
        )
        self.assertEqual(out, "4 1 4")


class Processes(DoorTest):
    @real_torch
    def test_fork(self):
        out = self.python(
            """
            import door_plain, os
            pid = os.fork()
            if pid == 0:
                import door_plain.late, door_nested
                ok = door_plain.late.FOUR == 4 and door_nested.X == 7
                os._exit(0 if ok else 1)
            print(os.waitpid(pid, 0)[1])
            """
        )
        self.assertEqual(out, "0")

    def test_pools_of_every_start_method(self):
        file = self.folder() + "/main.py"
        fixture.put(
            file,
            "import multiprocessing, sys\n"
            "import door_plain\n\n"
            "if __name__ == '__main__':\n"
            "    context = multiprocessing.get_context(sys.argv[1])\n"
            "    with context.Pool(2) as pool:\n"
            "        print(pool.map(door_plain.double, range(3)),\n"
            "              pool.map(door_plain.Point, [1])[0].x)\n",
        )
        for method in ("fork", "spawn", "forkserver"):
            out = self.python(None, file, method)
            self.assertEqual(out, "[0, 2, 4] 1", method)

    @needs_torch
    def test_data_loader_workers(self):
        file = self.folder() + "/main.py"
        fixture.put(
            file,
            "import sys, door_plain, torch\n"
            "from torch.utils.data import DataLoader\n\n\n"
            "def collate(items):\n"
            "    import door_plain.late\n"
            "    return [door_plain.late.double(i) for i in items]\n\n\n"
            "if __name__ == '__main__':\n"
            "    loader = DataLoader(list(range(4)), batch_size=2,\n"
            "        num_workers=2, collate_fn=collate,\n"
            "        multiprocessing_context=sys.argv[1])\n"
            "    print(list(loader))\n",
        )
        for method in ("fork", "spawn"):
            out = self.python(None, file, method)
            self.assertEqual(out, "[[0, 2], [4, 6]]", method)


if __name__ == "__main__":
    unittest.main()
