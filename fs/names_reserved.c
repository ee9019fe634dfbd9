/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <stdlib.h>
#include <string.h>

/*
 * PYTHONPATH stands before the standard library and site-packages, so a
 * folder of one of these names would break programs that know nothing of
 * kernels. The union of sys.stdlib_module_names of CPython 3.9 to 3.14 (names
 * with a leading '_' are refused by rule), the start-up hooks of site(3),
 * names that test runners look for, and what kernels themselves build on.
 * In byte order, for the search.
 */
/* clang-format off */
static const char *const reserved[] = {
	"Cython", "abc", "accelerate", "aifc", "annotationlib", "antigravity",
	"argparse", "array", "ast", "asynchat", "asyncio", "asyncore",
	"atexit", "audioop", "base64", "bdb", "binascii", "binhex", "bisect",
	"builtins", "bz2", "cProfile", "calendar", "cgi", "cgitb", "chunk",
	"cmath", "cmd", "code", "codecs", "codeop", "collections", "colorsys",
	"compileall", "compression", "concurrent", "configparser", "conftest",
	"contextlib", "contextvars", "copy", "copyreg", "crypt", "csv",
	"ctypes", "cuda", "cupy", "curses", "cutlass", "cython", "dataclasses",
	"datasets", "datetime", "dbm", "decimal", "difflib", "diffusers",
	"dis", "distutils", "doctest", "easy_install", "einops", "email",
	"encodings", "ensurepip", "enum", "errno", "faulthandler", "fcntl",
	"filecmp", "fileinput", "filelock", "fnmatch", "formatter",
	"fractions", "fsspec", "ftplib", "functools", "functorch", "gc",
	"genericpath", "getopt", "getpass", "gettext", "glob", "graphlib",
	"grp", "gzip", "hashlib", "heapq", "helion", "hf_xet", "hmac", "html",
	"http", "huggingface_hub", "idlelib", "imaplib", "imghdr", "imp",
	"importlib", "inspect", "intel_extension_for_pytorch", "io",
	"ipaddress", "itertools", "jax", "jaxlib", "jinja2", "json",
	"kernelfs", "kernels", "keyword", "lib2to3", "linecache", "locale",
	"logging", "lzma", "mailbox", "mailcap", "markupsafe", "marshal",
	"math", "mimetypes", "mmap", "modulefinder", "mpmath", "msilib",
	"msvcrt", "multiprocessing", "netrc", "networkx", "nis", "nki",
	"nntplib", "nt", "ntpath", "nturl2path", "numba", "numbers", "numpy",
	"nvidia", "onnx", "onnxruntime", "opcode", "operator", "optparse",
	"os", "ossaudiodev", "packaging", "pandas", "parser", "pathlib", "pdb",
	"pickle", "pickletools", "pip", "pipes", "pkg_resources", "pkgutil",
	"platform", "plistlib", "poplib", "posix", "posixpath", "pprint",
	"profile", "pstats", "pty", "pwd", "py_compile", "pybind11", "pyclbr",
	"pydoc", "pydoc_data", "pyexpat", "pytest", "queue", "quopri",
	"random", "re", "readline", "reprlib", "requests", "resource",
	"rlcompleter", "runpy", "safetensors", "sched", "scipy", "secrets",
	"select", "selectors", "setup", "setuptools", "shelve", "shlex",
	"shutil", "signal", "site", "sitecustomize", "smtpd", "smtplib",
	"sndhdr", "socket", "socketserver", "spwd", "sqlite3", "sre_compile",
	"sre_constants", "sre_parse", "ssl", "stat", "statistics", "string",
	"stringprep", "struct", "subprocess", "sunau", "symbol", "sympy",
	"symtable", "sys", "sysconfig", "syslog", "tabnanny", "tarfile",
	"telnetlib", "tempfile", "tensorflow", "termios", "test", "tests",
	"textwrap", "this", "threading", "time", "timeit", "tkinter", "token",
	"tokenize", "tokenizers", "tomllib", "torch", "torch_neuronx",
	"torch_npu", "torch_tpu", "torchaudio", "torchgen", "torchvision",
	"tqdm", "trace", "traceback", "tracemalloc", "transformers", "triton",
	"tty", "turtle", "turtledemo", "tvm_ffi", "types", "typing",
	"typing_extensions", "unicodedata", "unittest", "urllib",
	"usercustomize", "uu", "uuid", "venv", "warnings", "wave", "weakref",
	"webbrowser", "wheel", "winreg", "winsound", "wsgiref", "xdrlib",
	"xml", "xmlrpc", "yaml", "zipapp", "zipfile", "zipimport", "zlib",
	"zoneinfo",
};
/* clang-format on */

static int compare(const void *key, const void *item)
{
	return strcmp(key, *(const char *const *)item);
}

bool names_reserved(const char *package)
{
	return package[0] == '_' ||
	       bsearch(package, reserved, sizeof(reserved) / sizeof(*reserved),
		       sizeof(*reserved), compare);
}
