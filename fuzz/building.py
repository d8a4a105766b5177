"""Builds the scanners, llhttp and fast.pyx into one library with clang, instrumented for libFuzzer.

One library, because coverage counters belong to the module that libFuzzer is linked into.  Everything lands in
build/fuzz; llhttp's sources are those that httptools brings, of the version that is installed.
"""
from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import tarfile
from importlib.metadata import version
from pathlib import Path
from shutil import which

from fuzz import ROOT

BUILD = ROOT / "build" / "fuzz"
# in the order in which they need each other
MODULES = ("mesh.http1.fields", "mesh.http1.target", "mesh.http1.message", "mesh.http1.head", "mesh.http1.body",
           "mesh.http1.hop", "fuzz.fast")
DIRECTIVES = {"language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True, "binding": False,
              "embedsignature": True}
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-shared-libasan")


class CannotBuild(Exception):
    """What is missing, in one sentence."""


def llhttp() -> Path:
    """The folder of llhttp's sources."""
    name = f"httptools-{version('httptools')}"
    folder = BUILD / name / "vendor" / "llhttp"
    if not folder.is_dir():
        BUILD.mkdir(parents=True, exist_ok=True)
        said = subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation", "--no-binary", ":all:",
             "-d", str(BUILD), name.replace("-", "==")], capture_output=True, text=True)
        archive = BUILD / f"{name}.tar.gz"
        if not archive.is_file():
            raise CannotBuild(f"the sources of httptools, with llhttp in them, cannot be fetched: {said.stderr[-400:]}")
        with tarfile.open(archive) as sources:
            sources.extractall(BUILD, filter="data")
    return folder


def clang(*words: str) -> str:
    said = subprocess.run(["clang", *words], capture_output=True, text=True)
    if said.returncode:
        raise CannotBuild(f"clang says:\n{said.stderr[-3000:]}")
    return said.stdout.strip()


def sources() -> list[Path]:
    return [ROOT / (module.replace(".", "/") + ".pyx") for module in MODULES]


def built(sanitized: bool) -> Path:
    """The library, from the present sources."""
    if which("clang") is None:
        raise CannotBuild("this needs clang and its libFuzzer (Debian: apt-get install clang libclang-rt-14-dev)")
    peer = llhttp()
    texts = [*sources(), *(ROOT / "mesh" / "http1").glob("*.pxd"), ROOT / "fuzz" / "peer.h", Path(__file__)]
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(texts)) + bytes((sanitized,))).hexdigest()[:16]
    library = BUILD / f"fast-{'sanitized' if sanitized else 'plain'}-{stamp}.so"
    if library.is_file():
        return library
    generated = translated()
    flags = ["-O1" if sanitized else "-O2", "-g", "-fPIC", "-w", "-D_GNU_SOURCE", "-fsanitize=fuzzer-no-link",
             *(SANITIZERS if sanitized else ()), f"-I{sysconfig.get_paths()['include']}", f"-I{peer / 'include'}",
             f"-I{ROOT / 'fuzz'}"]
    archive = Path(clang("-print-file-name=libclang_rt.fuzzer_no_main-x86_64.a"))
    if not archive.is_file():
        archive = Path(clang("-print-resource-dir")) / "lib" / "linux" / "libclang_rt.fuzzer_no_main-x86_64.a"
    clang("-shared", *flags, "-o", str(library), *map(str, generated), *map(str, sorted((peer / "src").glob("*.c"))),
          "-Wl,--whole-archive", str(archive), "-Wl,--no-whole-archive", "-lstdc++", "-lm", "-lpthread")
    return library


def translated() -> list[Path]:
    """The C of the scanners and of fast.pyx, in a folder of its own."""
    from Cython.Build import cythonize  # only who builds needs it
    from setuptools import Extension

    made = cythonize([Extension(module, [str(path.relative_to(ROOT))]) for module, path in zip(MODULES, sources())],
                     build_dir=str(BUILD / "c"), compiler_directives=DIRECTIVES, quiet=True)
    return [Path(each.sources[0]) for each in made]


def sanitizer() -> str:
    """The run-time library of AddressSanitizer, which must be loaded before Python."""
    return str(Path(clang("-print-resource-dir")) / "lib" / "linux" / "libclang_rt.asan-x86_64.so")
