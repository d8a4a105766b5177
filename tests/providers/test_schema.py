"""The JSON Schema and the loader say the same, field by field and over whole files."""
from __future__ import annotations

import contextlib
import json
from typing import Any

from documents import (
    NOT_ABOUT_FORM,
    PEM,
    dynamic_documents,
    example,
    fields,
    problems_of_form,
    static_documents,
    strange_documents,
    toml,
)
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator

from mesh.errors import ConfigError
from mesh.providers import kinds, kinds_health, kinds_redis
from mesh.providers.file import read_file
from mesh.providers.kind_rule import Rule
from mesh.providers.schema import schema
from mesh.providers.shape import Anything, Kind, ListOf
from mesh.providers.static import load_static

FIELDS = dict(fields())
# The documents are large, and telling enough as they are found: to make them smaller takes minutes.
MADE = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.reuse, Phase.generate])
DYNAMIC, STATIC = (Draft202012Validator(schema(which)) for which in ("dynamic", "static"))
# Of these the schema sees the outline, and the loader's own parser the rest.
FINER_THAN_ANY_SCHEMA = (Rule, kinds.Url, kinds.Network, kinds.Pem, kinds.FilePath, kinds.Size, kinds.Duration,
                         kinds_health.Percent, kinds_redis.RedisUrl, kinds_redis.RedisAddress)
STRANGE: list[Any] = [
    None, True, False, 0, 1, 7, -5, 3.5, 10**12, 2**70, "", "x", "true", "yes", "12", "-3", "1.5", "5s", "5 s", "64KiB",
    "a,b", "a b", "10.0.0.1", ":80", "http://10.0.0.1:80", "http://", "wrr", "v3", "INFO", "json", "two\nlines", PEM,
    [], [None], ["x"], [7], [True], [[]], [{}], ["http://10.0.0.1:80"], {}, {"zzz": 1}, {"url": "http://10.0.0.1:80"},
    {"cookie": {}}, {"a": "b"}, {"a": 1}, {"a": None}, {"a": {"b": 1}}]


def test_the_documents_are_json_schemas() -> None:
    for which in ("", "static", "dynamic"):
        Draft202012Validator.check_schema(schema(which))
    assert schema("")["$schema"].endswith("2020-12/schema")
    assert set(schema("")["$defs"]) == {"static", "dynamic"}


def test_what_the_schema_takes_is_read() -> None:
    for path, field in FIELDS.items():
        value = example(field.kind)
        assert Draft202012Validator(field.kind.schema()).is_valid(value), (path, value)
        assert not problems_of_form(field.kind, value), (path, value)


def test_a_wrong_kind_is_refused_by_both() -> None:
    for path, field in FIELDS.items():
        inner = field.kind.kind if isinstance(field.kind, ListOf) else field.kind
        validator = Draft202012Validator(field.kind.schema())
        refused = 0
        for value in STRANGE:
            valid, problems = validator.is_valid(value), problems_of_form(field.kind, value)
            if not valid and not problems:
                assert _in_quotes(inner, value), f"{path}: the schema refuses {value!r}, the loader takes it"
            elif valid and problems:
                assert isinstance(inner, FINER_THAN_ANY_SCHEMA), f"{path}: the loader alone refuses {value!r}"
            refused += not valid
        assert refused or isinstance(field.kind, Anything), path


def _in_quotes(kind: Kind, value: Any) -> bool:
    """Whether a value is a number in quotes where one without is wanted."""
    lone = value[0] if isinstance(value, list) and value else value
    return isinstance(kind, kinds.Whole) and isinstance(lone, str)


@given(dynamic_documents())
@MADE
def test_dynamic_files_made_from_the_tables_are_valid_and_read(document: dict[str, Any]) -> None:
    assert not list(DYNAMIC.iter_errors(document))
    for file, text in (("/d/a.yml", json.dumps(document)), ("/d/a.toml", toml(document))):
        said = read_file(text.encode(), file, _no_disk)
        told = [*said.problems, *(problem for each in said.objects for problem in each.problems)]
        taken = NOT_ABOUT_FORM if text else {"empty"}
        assert not [str(problem) for problem in told if problem.severity == "error" and problem.code not in taken]


@given(static_documents())
@MADE
def test_static_files_made_from_the_tables_are_valid_and_read(document: dict[str, Any]) -> None:
    assert not list(STATIC.iter_errors(document))
    for file, text in (("/e/hostmesh.yml", json.dumps(document)), ("/e/hostmesh.toml", toml(document))):
        try:
            _, told = load_static(text.encode(), file)
        except ConfigError as refused:
            told = list(refused.problems)
        taken = NOT_ABOUT_FORM if text else {*NOT_ABOUT_FORM, "empty"}      # {} in TOML is an empty file
        between = ("found both", "is the address of", "the API speaks tcp", "is not a port",     # what no schema sees
                   "wanted one kind alone", "the url says a", "no node is named", "belongs to a server",
                   "so none is run", "cert and key come together", "a Cluster has no database", "without a password",
                   "one of rediss://")
        assert not [str(problem) for problem in told
                    if problem.severity == "error" and problem.code not in taken
                    and not any(word in problem.message for word in between)]


@given(strange_documents())
@settings(MADE, max_examples=300)
def test_what_makes_no_sense_is_told_and_never_breaks_the_reader(document: Any) -> None:
    for text in (json.dumps(document), json.dumps({"http": document}), json.dumps({"mesh": {"services": document}})):
        said = read_file(text.encode(), "/d/a.yml", _no_disk)
        assert all(problem.message for problem in said.problems)
        with contextlib.suppress(ConfigError):
            load_static(text.encode(), "/e/hostmesh.yml")


def test_expressions_are_words_of_ecma_262() -> None:
    def patterns(node: Any) -> list[str]:
        if isinstance(node, list):
            return [each for one in node for each in patterns(one)]
        if not isinstance(node, dict):
            return []
        own = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
        return own + [each for key, one in node.items() if key != "default" for each in patterns(one)]

    every = patterns(schema(""))
    assert every
    for pattern in every:
        assert not any(word in pattern for word in (r"\A", r"\Z", "(?P", "(?i", "(?#", "(?<")), pattern


def test_every_default_is_what_its_field_takes() -> None:
    def walk(node: Any, path: str) -> int:
        if isinstance(node, list):
            return sum(walk(each, path) for each in node)
        if not isinstance(node, dict):
            return 0
        if "default" in node and "title" in node:
            assert Draft202012Validator(node).is_valid(node["default"]), (path, node["default"])
        own = "default" in node and "title" in node
        return own + sum(walk(each, f"{path}.{key}") for key, each in node.items())

    assert walk(schema("static"), "") > 15


def test_editors_are_told_what_a_field_means_and_what_is_not_built() -> None:
    router = schema("dynamic")["properties"]["http"]["properties"]["routers"]["additionalProperties"]["properties"]
    assert router["rule"]["description"].startswith("Which requests it takes.")
    assert "deprecated" not in router["rule"]
    assert router["tls"]["deprecated"] is True
    assert "not supported yet" in router["tls"]["deprecationMessage"]


def _no_disk(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)
