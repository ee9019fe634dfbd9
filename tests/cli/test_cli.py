#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line, for all that needs no mount."""

import json
import os
import re
import signal
import socket
import subprocess
import unittest

from case import ENV_CPU, KERNELFS, ROOT, Case, make_repo

VERBS = ["mount", "umount", "env", "resolve", "lock", "fetch", "verify",
         "why", "status", "refresh", "cache", "doctor", "help", "version"]
OPTIONS = ["source", "cache", "trust", "import", "python", "env", "backend",
           "token-file", "connect-timeout", "stall-timeout", "deadline",
           "connections", "config", "log", "log-level", "mirror",
           "cache-size", "min-free", "tier", "lock", "locked", "refresh",
           "offline", "insecure", "passthrough"]
LATER = ["check-arch", "layers", "broker", "dead-timeout"]


class Help(Case):
    def test_help_names_all_verbs_and_options(self):
        text = self.good("help")
        for verb in VERBS:
            self.assertRegex(text, r"(?m)^  %s +\S" % verb)
        for name in OPTIONS:
            self.assertRegex(text, r"(?m)^  --%s=\S" % name)
        for code in ("0 done", "1 failed", "2 misuse", "3 no build",
                     "4 verification"):
            self.assertIn(code, text)
        self.assertLess(max(map(len, text.splitlines())), 81)

    def test_help_is_the_same_by_all_its_names(self):
        text = self.good("help")
        for args in (["--help"], ["-h"], ["/kernels", "--help"]):
            self.assertEqual(self.good(*args), text)

    def test_each_verb_has_help(self):
        for verb in VERBS:
            text = self.good("help", verb)
            self.assertTrue(text.startswith("kernelfs " + verb), text)
            self.assertEqual(self.good(verb, "--help").split()[0], "kernelfs")

    def test_version(self):
        for args in (["version"], ["--version"], ["-V"]):
            self.assertRegex(self.good(*args), r"\Akernelfs \d+\.\d+\.\d+\n\Z")

    def test_nothing_of_later_issues_is_offered(self):
        text = self.good("help")
        for name in LATER:
            self.assertNotIn("--%s=" % name, text)


class Misuse(Case):
    def test_nothing_at_all(self):
        self.bad(2, "kernelfs help")

    def test_unknown_options_name_the_nearest(self):
        self.bad(2, "'--trust'", "--trsut=x", "/m")
        self.bad(2, "'--log-level'", "--log-leve=x", "/m")
        self.bad(2, "'allow_other'", "-o", "alow_other", "/m")
        self.bad(2, "-o allow_other", "--allow-other", "/m")

    def test_options_of_later_issues_are_unknown(self):
        for name in LATER:
            self.bad(2, "unknown option", "--%s=1" % name, "/m")
            self.bad(2, "unknown option", "-o",
                     name.replace("-", "_") + "=1", "/m")

    def test_verbs_of_later_issues_are_no_verbs(self):
        for verb in ("check", "layers", "broker", "upgrade"):
            done = self.run_it(verb)
            self.assertNotEqual(done.code, 0)
            self.assertEqual(done.out, "")

    def test_a_misspelt_verb_is_recognised(self):
        self.bad(2, "did you mean 'kernelfs status'?", "statsu")
        self.bad(2, "did you mean 'resolve'?", "help", "resolv")

    def test_wrong_number_of_words(self):
        for args in (["resolve"], ["resolve", "a/b", "c/d"], ["env", "x"],
                     ["umount"], ["why"], ["mount"], ["cache"], ["version", "x"],
                     ["status", "a", "b"], ["a", "b", "c"]):
            self.bad(2, "usage: kernelfs ", *args)

    def test_flags_belong_to_their_verbs(self):
        self.bad(2, "no --json", "umount", "/m", "--json")
        self.bad(2, "-z", "env", "-z")

    def test_a_source_must_be_a_url(self):
        self.bad(2, "is no URL", "mount", "somewhere", self.dir)
        self.bad(2, "https://", "--source=ftp://h", self.dir)

    def test_a_mirror_needs_its_source(self):
        self.bad(2, "there are several sources", "env", "--mirror=https://m",
                 "--source=https://a", "--source=https://b")
        self.bad(2, "is no mirror", "env", "--mirror=file:///m")

    def test_control_bytes_do_not_reach_the_terminal(self):
        for args in (["--\x1b[31mred"], ["\x1b[31mred"], ["-o", "\x1b[3=1"],
                     ["help", "\x1b[31mred"], ["resolve", "a/\x1b[3"],
                     ["--trust=\x1b[3", "env"], ["why", "\x1b[3"]):
            done = self.run_it(*args)
            self.assertIn(done.code, (1, 2), done)
            self.assertEqual(done.err.count("\n"), 1)
            self.assertNotIn("\x1b", done.err)

    def test_what_is_no_mount(self):
        self.bad(1, "not in a kernelfs mount", "refresh", self.dir)
        self.bad(2, "acme", "refresh", self.dir, "acme")
        self.bad(1, "not in a kernelfs mount", "umount", self.dir)
        self.bad(1, "not in a kernelfs mount", "why", self.dir)
        self.bad(1, "not in a kernelfs mount", "status", self.dir)
        self.bad(1, "not in a kernelfs mount", "why", "no such file")

    def test_a_mount_point_that_is_not_there(self):
        self.bad(1, "does not exist", os.path.join(self.dir, "nowhere"))
        self.bad(1, "does not exist", "mount", "none",
                 os.path.join(self.dir, "nowhere"))


class Config(Case):
    def config(self, text):
        path = os.path.join(self.dir, "c.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return "--config=" + path

    def test_file_and_line_of_an_error(self):
        self.bad(2, "c.conf:2: tursts is no option; did you mean 'trust'?",
                 "env", self.config("# here\ntursts = 'x'\n"))

    def test_a_file_that_is_named_must_be_there(self):
        self.bad(1, "No such file", "env", "--config=/nowhere/at/all")

    def test_the_order_is_file_environment_command_line(self):
        spec = "notorch-cpu-%s-linux"
        conf = self.config("env = '%s'\n" % (spec % "a64"))
        self.assertIn("a64", self.good("env", conf))
        env = {"KERNELFS_ENV": spec % "b64"}
        self.assertIn("b64", self.good("env", conf, env=env))
        self.assertIn("c64", self.good(
            "env", conf, "--env=" + spec % "c64", env=env))

    def test_the_log_of_mounts_is_not_that_of_other_verbs(self):
        conf = self.config("log = '/nowhere/at/all.log'\n")
        self.good("env", conf, "--env=" + ENV_CPU)
        self.bad(1, "/nowhere/at/all.log", "env", "--env=" + ENV_CPU,
                 "--log=/nowhere/at/all.log")

    def test_a_broken_config_does_not_keep_one_from_help_and_umount(self):
        os.makedirs(os.path.join(self.home, ".config"))
        with open(os.path.join(self.home, ".config", "kernelfs.conf"), "w",
                  encoding="utf-8") as f:
            f.write("nonsense\n")
        self.bad(2, "kernelfs.conf:1:", "env")
        self.good("help")
        self.bad(1, "not in a kernelfs mount", "umount", self.dir)


class Env(Case):
    def test_json_has_the_promised_fields(self):
        e = json.loads(self.good("env", "--json", "--env=" + ENV_CPU +
                                 "+sm90+py313t+glibc2.36+ffi01"))
        self.assertEqual(e["backend"], "cpu")
        self.assertEqual(e["cpu"], "x86_64")
        self.assertEqual(e["os"], "linux")
        self.assertEqual(e["python"], "3.13")
        self.assertIs(e["free_threaded"], True)
        self.assertIs(e["cxx11_abi"], True)
        self.assertEqual(e["glibc"], "2.36")
        self.assertEqual([g["arch"] for g in e["gpus"]], ["sm90"])
        for name in ("torch", "backend_version", "tvm_ffi"):
            self.assertIn(name, e)

    def test_what_it_prints_can_be_given_back(self):
        first = self.good("env", "--json", "--env=" + ENV_CPU + "+py311")
        path = os.path.join(self.dir, "e.json")
        with open(path, "w", encoding="utf-8") as f:
            f.write(first)
        self.assertEqual(self.good("env", "--json", "--env=" + path), first)
        self.assertEqual(self.good("env", "--json", "--env=e.json"), first)

    def test_a_person_is_told_spec_and_path(self):
        text = self.good("env", "--env=" + ENV_CPU)
        self.assertIn("MOUNTPOINT/.env/" + ENV_CPU, text)
        self.assertRegex(text, r"(?m)^  spec +%s$" % ENV_CPU)

    def test_a_spec_that_breaks_the_grammar(self):
        self.bad(2, "env=", "env", "--env=torch2-cxx11-nonsense")

    def test_a_backend_that_is_not_there(self):
        self.bad(2, "cuda", "env", "--env=" + ENV_CPU, "--backend=cuda")

    def test_no_request_and_no_cache_are_made(self):
        self.start_hub()
        self.good("env", "--env=" + ENV_CPU)
        self.assertEqual(self.hub.counts()["by_endpoint"], {})
        self.assertFalse(os.path.exists(self.cache))


class Resolve(Case):
    def setUp(self):
        super().setUp()
        self.start_hub()

    def resolve(self, *args):
        return json.loads(self.good("resolve", "--json", "--env=" + ENV_CPU,
                                    *args))

    def test_the_document(self):
        d = self.resolve("acme/relu")
        commit = self.hub.commit("acme/relu", "v1")
        self.assertEqual(d["repo"], "acme/relu")
        self.assertEqual(d["revision"], "v1")
        self.assertEqual(d["commit"], commit)
        self.assertEqual(d["package"], "relu")
        self.assertEqual(d["variant"], ENV_CPU)
        self.assertIsNone(d["path"])
        self.assertEqual(d["environment"]["spec"], ENV_CPU)
        names = [x["variant"] for x in d["decisions"]]
        self.assertEqual(names[:2], [ENV_CPU, "torch-cpu"])
        self.assertEqual([x["accepted"] for x in d["decisions"]],
                         [True, True, False, False])
        for x in d["decisions"]:
            self.assertEqual(x["reason"] == "", x["accepted"], x)

    def test_every_spelling_of_a_revision(self):
        commit = self.hub.commit("acme/relu", "v1")
        for rev in ("", "@v1", "@1", "@" + commit):
            self.assertEqual(self.resolve("acme/relu" + rev)["commit"], commit)

    def test_a_former_name_gives_the_present_one(self):
        make_repo.make_repo(self.hub.repos.root, "acme/former",
                            renamed_to="acme/relu")
        self.hub.reload()
        d = self.resolve("acme/former@v1")
        self.assertEqual((d["repo"], d["package"], d["variant"]),
                         ("acme/relu", "relu", ENV_CPU))

    def test_a_person_sees_every_build_and_no_colour_in_a_pipe(self):
        text = self.good("resolve", "acme/relu", "--env=" + ENV_CPU)
        self.assertNotIn("\x1b", text)
        self.assertIn("acme/relu@v1", text)
        for name in (ENV_CPU, "torch-cpu", "torch-cuda",
                     "torch210-cxx11-cpu-x86_64-linux", "no-variant-at-all"):
            self.assertIn(name, text)
        self.assertRegex(text, r"%s +chosen" % ENV_CPU)

    def test_no_build_fits_is_exit_3_with_all_reasons(self):
        done = self.bad(3, "no build fits", "resolve", "acme/metal-only",
                        "--env=" + ENV_CPU)
        self.assertIn("backend (metal)", done.out)
        done = self.run_it("resolve", "acme/metal-only", "--json",
                           "--env=" + ENV_CPU)
        self.assertEqual(done.code, 3)
        self.assertIsNone(json.loads(done.out)["variant"])

    def test_an_untrusted_publisher_is_exit_1_until_trusted(self):
        done = self.bad(1, "trust=stranger", "resolve", "stranger/relu",
                        "--env=" + ENV_CPU)
        self.assertIn("torch-cpu", done.out)
        for trust in ("stranger", "stranger/relu", "*"):
            d = self.resolve("stranger/relu", "--trust=" + trust)
            self.assertEqual(d["variant"], "torch-cpu")
        self.bad(1, "trust=stranger", "resolve", "stranger/relu",
                 "--trust=acme", "--trust=stranger/other",
                 "--env=" + ENV_CPU)

    def test_what_is_not_there(self):
        self.bad(1, "acme/nothing", "resolve", "acme/nothing")
        self.bad(1, "acme/relu@v9", "resolve", "acme/relu@v9")
        self.bad(1, "acme/relu@" + "0" * 40, "resolve",
                 "acme/relu@" + "0" * 40)
        self.assertEqual(self.leftovers(), [])

    def test_what_breaks_the_grammar_asks_nobody(self):
        self.hub.reset()
        for name in ("acme", "acme/", "/relu", "acme/relu@", "../relu",
                     "acme/..", "acme/relu@a..b", "acme/relu/x", "",
                     "acme/re lu", "acme/relu@\n", "a" * 300 + "/b",
                     "acme/relu@" + "a" * 300, "acme/%2e%2e"):
            self.bad(2, "", "resolve", name)
        self.assertEqual(self.hub.counts()["by_endpoint"], {})

    def test_a_pinned_cached_one_makes_no_request(self):
        ref = "acme/relu@" + self.hub.commit("acme/relu", "v1")
        first = self.resolve(ref)
        self.hub.reset()
        self.assertEqual(self.resolve(ref), first)
        self.assertEqual(self.hub.counts()["by_endpoint"], {})
        self.hub.close()
        self.assertEqual(self.resolve(ref), first)

    def test_a_cold_one_costs_what_it_must(self):
        self.hub.reset()
        self.resolve("acme/relu")
        got = self.hub.counts()["by_endpoint"]
        self.assertEqual(got.get("refs"), 1, got)
        self.assertLessEqual(got.get("overview", 0), 1, got)
        self.assertNotIn("list", got)
        self.assertNotIn("cdn", got)


class Failures(Case):
    def test_a_dead_hub_is_a_sentence(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            url = "http://127.0.0.1:%d" % s.getsockname()[1]
        self.bad(1, url, "resolve", "acme/relu", "--source=" + url,
                 "--log-level=error",
                 "--deadline=2s")
        self.assertEqual(self.leftovers(), [])

    def test_a_stalled_hub_ends_at_the_deadline(self):
        self.start_hub()
        self.hub.fault("stall", path="refs")
        done = self.bad(1, self.hub.url, "resolve", "acme/relu",
                        "--log-level=error",
                        "--stall-timeout=300ms", "--deadline=1s")
        self.assertEqual(done.out, "")

    def test_ctrl_c_ends_at_once_without_leftovers(self):
        self.start_hub()
        for sig, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            fault = self.hub.fault("stall", path="refs")
            process = self.start("resolve", "acme/relu")
            self.wait_for(lambda: fault.hits > 0)
            process.send_signal(sig)
            out, err = process.communicate(timeout=10)
            self.assertEqual((process.returncode, out, err), (code, b"", b""))
            self.hub.clear_faults()
        self.assertEqual(self.leftovers(), [])

    def test_a_login_page_is_no_answer(self):
        self.start_hub()
        self.hub.fault("html")
        done = self.run_it("resolve", "acme/relu")
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.out, "")
        self.assertEqual(self.leftovers(), [])

    def test_a_full_disk_behind_stdout(self):
        self.start_hub()
        for args in (["help"], ["version"], ["env", "--env=" + ENV_CPU],
                     ["resolve", "acme/relu", "--env=" + ENV_CPU],
                     ["status"]):
            with open("/dev/full", "wb") as full:
                self.bad(1, "No space left", *args, stdout=full)

    def test_a_closed_pipe_behind_stdout(self):
        r, w = os.pipe()
        os.close(r)
        with os.fdopen(w, "wb") as pipe:
            self.bad(1, "Broken pipe", "help", stdout=pipe)

    def test_closed_standard_streams(self):
        self.start_hub()
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', KERNELFS,
             "resolve", "acme/relu"], env=self.env(), timeout=30)
        # What would have been stdout is /dev/null, never a cache file.
        self.assertIn(done.returncode, (0, 1, 3))
        again = self.run_it("resolve", "acme/relu", "--env=" + ENV_CPU)
        self.assertEqual(again.code, 0, again)

    def test_a_cache_that_cannot_be_made(self):
        self.start_hub()
        path = os.path.join(self.dir, "file")
        with open(path, "w", encoding="utf-8"):
            pass
        self.bad(1, path, "resolve", "acme/relu", "--cache=" + path)


class Doctor(Case):
    def doctor(self, *args, **more):
        done = self.run_it("doctor", "--json", *args, **more)
        found = json.loads(done.out)
        self.assertEqual(done.code, int(not all(f["ok"] for f in found)),
                         done)
        for f in found:
            self.assertEqual(set(f), {"check", "ok", "message", "hint"})
            self.assertIsInstance(f["ok"], bool)
            self.assertTrue(f["message"])
            self.assertTrue(f["ok"] or f["hint"], f)
        return {f["check"]: f for f in found}

    def test_all_checks_are_there_and_one_request_is_made(self):
        self.start_hub()
        found = self.doctor("--env=" + ENV_CPU)
        for check in ("fuse", "fusermount3", "allow_other", "passthrough",
                      "cache", "environment", "bytecode", "updatedb",
                      "source", "token"):
            self.assertIn(check, found)
        self.assertTrue(found["source"]["ok"], found)
        self.assertEqual(sum(self.hub.counts()["by_endpoint"].values()), 1)

    def test_passthrough_is_an_error_only_for_who_requires_it(self):
        drop = ("setpriv", "--bounding-set=-sys_admin",
                "--inh-caps=-sys_admin", "--ambient-caps=-sys_admin")

        def found(option, *before):
            done = subprocess.run(
                [*before, KERNELFS, "doctor", "--json", "--offline",
                 "--passthrough=" + option], env=self.env(), check=False,
                stdout=subprocess.PIPE, timeout=60)
            return {f["check"]: f
                    for f in json.loads(done.stdout)}["passthrough"]

        self.assertEqual(found("off")["message"], "switched off")
        self.assertTrue(found("auto", *drop)["ok"])
        told = found("require", *drop)
        self.assertFalse(told["ok"])
        self.assertTrue("CAP_SYS_ADMIN" in told["message"] or
                        "kernel" in told["message"], told)

    def test_a_dead_source_is_found(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            url = "http://127.0.0.1:%d" % s.getsockname()[1]
        found = self.doctor("--source=" + url, "--deadline=1s")
        self.assertFalse(found["source"]["ok"])
        self.assertIn("--source", found["source"]["hint"])

    def test_each_source_is_asked_in_its_own_way(self):
        self.start_hub()
        gone = os.path.join(self.dir, "gone")
        done = self.run_it(
            "doctor", "--json", "--source=" + self.hub.url,
            "--mirror=" + self.hub.url, "--source=file://" + self.dir,
            "--source=file://" + gone, "--source=git+https://git.invalid")
        said = [(f["ok"], f["message"]) for f in json.loads(done.out)
                if f["check"] == "source"]
        self.assertEqual([ok for ok, _ in said],
                         [True, True, False, True, True])
        self.assertIn(gone, said[2][1])
        self.assertEqual(sum(self.hub.counts()["by_endpoint"].values()), 2)

    def test_offline_asks_nobody(self):
        self.start_hub()
        self.assertTrue(self.doctor("--offline")["source"]["ok"])
        self.assertEqual(self.hub.counts()["by_endpoint"], {})

    def test_a_login_page_is_found(self):
        self.start_hub()
        self.hub.fault("html")
        self.assertFalse(self.doctor()["source"]["ok"])

    def test_a_refused_token_is_found_and_not_shown(self):
        self.start_hub()
        self.hub.set(tokens=["hf_right"])
        found = self.doctor(env={"HF_TOKEN": "hf_wrong"})
        self.assertFalse(found["token"]["ok"], found)
        self.assertNotIn("hf_wrong", json.dumps(found))
        self.assertTrue(self.doctor(env={"HF_TOKEN": "hf_right"})
                        ["token"]["ok"])

    def test_a_cache_that_others_may_write_is_found(self):
        os.mkdir(self.cache)
        os.chmod(self.cache, 0o777)
        self.start_hub()
        found = self.doctor()
        self.assertFalse(found["cache"]["ok"])
        os.chmod(self.cache, 0o700)
        self.assertTrue(self.doctor()["cache"]["ok"])

    def test_a_missing_cache_is_not_made(self):
        self.start_hub()
        self.assertTrue(self.doctor()["cache"]["ok"])
        self.assertFalse(os.path.exists(self.cache))

    def test_a_person_gets_a_line_for_each(self):
        self.start_hub()
        done = self.run_it("doctor", "--env=" + ENV_CPU)
        self.assertRegex(done.out, r"(?m)^(ok  |BAD ) fuse ")
        self.assertNotIn("\x1b", done.out)


class Status(Case):
    def test_json_of_all_mounts_is_an_array(self):
        done = self.run_it("status", "--json")
        self.assertIsInstance(json.loads(done.out), list)


class Manual(unittest.TestCase):
    """The papers beside the program say what the program says."""

    @staticmethod
    def read(*path):
        with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
            return f.read()

    def test_the_manual_has_every_verb_and_option(self):
        man = self.read("contrib", "kernelfs.1")
        for name in OPTIONS:
            self.assertRegex(man, r"(?m)^\.It Cm %s\b" %
                             name.replace("-", "_"))
        for verb in VERBS:
            self.assertRegex(man, r"(?m)^\.It (Xo$|Cm %s\b)" % verb)
            self.assertIn("Cm " + verb, man)
        for name in LATER:
            self.assertNotRegex(man, r"(?m)^\.It Cm %s\b" %
                                name.replace("-", "_"))

    def test_the_example_config_is_read_when_all_of_it_is_said(self):
        text = self.read("contrib", "kernelfs.conf.example")
        said = re.sub(r"(?m)^#(\w+ = )", r"\1", text)
        self.assertNotEqual(said, text)
        case = Config("test_file_and_line_of_an_error")
        case.setUp()
        self.addCleanup(case.doCleanups)
        done = case.run_it("env", case.config(said))
        self.assertNotEqual(done.code, 2, done)
        for name in OPTIONS:
            if name != "config":
                self.assertRegex(text, r"(?m)^#?%s = " %
                                 name.replace("-", "_"))

    def test_completion_knows_every_verb_and_option(self):
        text = self.read("contrib", "completions", "kernelfs.bash")
        for word in VERBS + ["--" + name for name in OPTIONS]:
            self.assertRegex(text, r"(?<![\w-])%s(?![\w-])" %
                             re.escape(word))


if __name__ == "__main__":
    unittest.main()
