"""Differential fuzzing of mesh/http1: what we take for a message, llhttp and h11 must take for the same message.

Not a part of the product and not installed: `scripts/fuzz` runs it, tests/http1 and tests/test_fuzz.py use its pieces.
Messages are read as the tests of tests/http1 read them, and begin as those of the corpus.
"""
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

for _folder in ("tests/http1", "tests/corpus"):
    if str(ROOT / _folder) not in sys.path:
        sys.path.insert(0, str(ROOT / _folder))
