"""The examples in docstrings are true."""
import doctest

import pytest

from mesh.rules import expression, hosts, language, predicates, request


@pytest.mark.parametrize("module", [expression, hosts, language, predicates, request])
def test_the_examples_of_a_module_are_true(module):
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)
