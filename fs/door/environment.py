# SPDX-License-Identifier: Apache-2.0
"""The environment of this interpreter, spelled as the mount spells it.

Part of the door, loaded for the first kernel of a process. It asks what the
package `kernels` asks, in its order, and initialises nothing.
"""

import os
import sys
from importlib.util import find_spec


def present(name):
    """Whether the module can be found, which is all the reference asks."""
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None


def unspeakable(what, value):
    return ImportError(
        "kernelfs cannot tell which build fits this interpreter: %s is %r, "
        "and no name of a build can say that" % (what, value)
    )


def release(what, value):
    """Major and minor of a version as PEP 440 reads it, as two texts."""
    text = str(value).strip()
    public, plus, local = text.partition("+")
    numbers = public.split(".")
    if not (
        text.isascii()
        and all(n.isdigit() for n in numbers)
        and (not plus or local.isalnum())
    ):
        numbers = unusual_release(text)
        if numbers is None:
            raise unspeakable(what, value)
    numbers = numbers + ["0"]
    return str(int(numbers[0])), str(int(numbers[1]))


def unusual_release(text):
    """The numbers of nightlies, vendor builds and the like, or None."""
    import re

    match = re.fullmatch(
        r"v?(?:\d+!)?(\d+(?:\.\d+)*)"
        r"(?:[-_.]?(?:alpha|a|beta|b|preview|pre|c|rc)[-_.]?\d*)?"
        r"(?:-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?"
        r"(?:[-_.]?dev[-_.]?\d*)?"
        r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?",
        text,
        re.ASCII | re.IGNORECASE,
    )
    return match and match[1].split(".")


def joined(what, value, report=None):
    """'12.8' as the '128' of a build's name."""
    try:
        return "".join(release(what, value))
    except ImportError:
        raise unspeakable(what, value if report is None else report) from None


def one_digit(what, value):
    """As joined(), where names of builds give the major one digit."""
    major, minor = release(what, value)
    if len(major) != 1:
        raise unspeakable(what, value)
    return major + minor


def cuda_runtime():
    """CUDA where there is no torch to ask, as the reference finds it."""
    from ctypes import CDLL, byref, c_int, util

    try:
        name, version = util.find_library("cudart"), c_int()
        if not name or CDLL(name).cudaRuntimeGetVersion(byref(version)):
            return "cpu"
    except (OSError, AttributeError):
        return "cpu"
    return "cu%d%d" % (version.value // 1000, version.value % 1000 // 10)


def backend(torch):
    """The name of torch's backend: the reference's questions, in its order."""
    if torch is None:
        return cuda_runtime()
    version, backends = getattr(torch, "version", None), torch.backends
    if hasattr(backends, "tpu"):
        return "tpu"
    if hasattr(torch, "neuron"):
        return "neuron"
    if getattr(version, "cuda", None) is not None:
        return "cu" + joined("torch.version.cuda", version.cuda)
    hip = getattr(version, "hip", None)
    if hip is not None:
        return "rocm" + joined("torch.version.hip", hip.split("-")[0], hip)
    if hasattr(backends, "mps") and backends.mps.is_available():
        return "metal"
    xpu = getattr(version, "xpu", None)
    if xpu is not None:
        short = xpu[0:4] + "." + xpu[5:6]
        return "xpu" + joined("torch.version.xpu", short, xpu)
    private = getattr(torch._C, "_get_privateuse1_backend_name", None)
    if private is not None and private() == "npu":
        from torch_npu.utils.collect_env import get_cann_version

        cann = str(get_cann_version())
        short = cann[0:1] + "." + cann[2:3]
        return "cann" + joined("the CANN version of torch_npu", short, cann)
    return "cpu"


def gpus(torch, name):
    """The GPUs as extras. Never initialises CUDA: a fork would suffer."""
    if not name.startswith(("cu", "rocm")):
        return ""
    archs = set()
    try:
        if torch is not None and torch.cuda.is_initialized():
            for i in range(torch.cuda.device_count()):
                if name.startswith("cu"):
                    arch = "sm%d%d" % torch.cuda.get_device_capability(i)
                else:
                    gcn = torch.cuda.get_device_properties(i).gcnArchName
                    arch = gcn.split(":")[0]
                archs.add(arch)
    except Exception:  # a driver may raise anything; then the mount knows
        archs.clear()
    if not all(a.startswith(("sm", "gfx")) and a.isalnum() for a in archs):
        archs.clear()
    ordered = sorted(archs, key=lambda a: (len(a), a))
    return "".join("+" + a for a in ordered) or "+gpus"


def ffi():
    """tvm-ffi as an extra, when it can be imported."""
    try:
        if not present("tvm_ffi"):
            return ""
        import tvm_ffi

        version = tvm_ffi.__version__
    except Exception:  # installed but broken: no build for it can run
        return ""
    return "+ffi" + one_digit("tvm_ffi.__version__", version)


def libc(system):
    """The C library, or the system that has one of its own, as an extra."""
    if system == "darwin":
        from platform import mac_ver

        return number_extra("+macos", mac_ver()[0])
    try:
        name, _, version = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")
    except (AttributeError, OSError, ValueError):
        return ""
    return number_extra("+glibc", version) if name == "glibc" else ""


def number_extra(name, version):
    numbers = (version + ".0").split(".")[:2]
    if all(n.isascii() and n.isdigit() for n in numbers):
        return name + ".".join(numbers)
    return ""


def environment():
    """This interpreter as a spec: torch213-cxx11-cpu-x86_64-linux+py311…"""
    uname, torch, parts = os.uname(), None, ["notorch"]
    system, machine = uname.sysname.lower(), uname.machine
    if system == "darwin" and machine == "arm64":
        machine = "aarch64"
    if present("torch"):
        import torch

        text = getattr(torch, "__version__", None)
        parts = ["torch" + one_digit("torch.__version__", text)]
        if system == "linux":
            new = torch.compiled_with_cxx11_abi()
            parts.append("cxx11" if new else "cxx98")
    name = backend(torch)
    return "".join(
        (
            "-".join((*parts, name, machine, system)),
            gpus(torch, name),
            ffi(),
            "+py%d%d" % sys.version_info[:2],
            "t" if "t" in getattr(sys, "abiflags", "") else "",
            libc(system),
        )
    )
