"""The Cython extensions; everything else about the package stands in setup.cfg."""
import os
from pathlib import Path

import greenlet
from Cython.Build import cythonize
from setuptools import Extension, setup

setup(ext_modules=cythonize(
    [Extension(str(path.with_suffix("")).replace("/", "."), [str(path)], extra_compile_args=["-O2", "-Wall", "-Wextra"],
               include_dirs=[str(Path(greenlet.__file__).parent)], define_macros=[("_GNU_SOURCE", "1")])
     for folder in ("mesh", "workers") for path in sorted(Path(folder).rglob("*.pyx"))],
    nthreads=len(os.sched_getaffinity(0)),
    compiler_directives={"language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True,
                         "binding": False, "embedsignature": True}))
