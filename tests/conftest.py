"""For all tests: what hypothesis tries is the same in every run of CI, and new in every run of a person.

A machine that judges a change must not fail it for an example that the change has nothing to do with; a person who runs
the tests wants to be told of it, and fixes it with an @example.
"""
import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
