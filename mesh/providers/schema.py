"""The JSON Schema of both files, read off the tables that the loader reads by.

Owns the documents that editors complete and check from (JSON Schema 2020-12).  They say what the loader says, field by
field; a test holds the two together.  Where the loader is generous for the sake of old files (keys in another case, a
rule that only its parser can judge) the schema is not the judge: `hostmesh check` is.  Floor 2.
"""
from __future__ import annotations

from typing import Any

from mesh.names import PRODUCT, VERSION
from mesh.providers.file import ALL_SECTIONS, MESH_NAME, NAME, OWN_SECTIONS
from mesh.providers.shape import Kind, MapOf
from mesh.providers.shapes_later import SECTIONS as LATER_SECTIONS
from mesh.providers.shapes_static import STATIC

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WHAT = {
    "static": "The static file of hostmesh: entrypoints, providers, logs. Read at start and at a reload.",
    "dynamic": "A dynamic file of hostmesh: routers, services, middlewares. Taken up as it is saved."}
_SECTIONS = {
    "http": "HTTP routers, services and middlewares, in Traefik's vocabulary.",
    "mesh": "The mesh's own short form.",
    "tcp": "TCP. Not supported yet: its objects do not serve.",
    "udp": "UDP. Not supported yet: its objects do not serve.",
    "tls": "Certificates and TLS options. Not supported yet: they have no effect."}
_INSIDE = {
    "http.routers": "Rules that send requests to services, by name.",
    "http.services": "Named groups of endpoints, by name.",
    "http.middlewares": "Steps between router and service, by name.",
    "http.serversTransports": "How endpoints are talked to, by name.",
    "mesh.services": "Services by mesh name: orders.shop is called as http://orders.shop.mesh/."}


def schema(which: str = "") -> dict[str, Any]:
    """The schema of the static file, of a dynamic file, or ("") of both in one document, under $defs."""
    parts = {"static": _static, "dynamic": _dynamic}
    head = {"$schema": DIALECT, "$comment": f"{PRODUCT} {VERSION}"}
    if which:
        return {**head, **parts[which]()}
    return {**head, "title": PRODUCT, "description": "A file of hostmesh, static or dynamic.",
            "anyOf": [{"$ref": f"#/$defs/{name}"} for name in parts],
            "$defs": {name: part() for name, part in parts.items()}}


def _static() -> dict[str, Any]:
    return {"title": "hostmesh.yml", "description": _WHAT["static"], **STATIC.schema()}


def _dynamic() -> dict[str, Any]:
    roots: dict[str, Any] = {}
    for path in ALL_SECTIONS:
        root, _, name = path.partition(".")
        whole = roots.setdefault(root, {"title": root, "description": _SECTIONS[root], "type": "object",
                                        "properties": {}, "additionalProperties": False})
        whole["properties"][name] = _section(path)
    return {"title": "conf.d/*.yml", "description": _WHAT["dynamic"], "type": "object", "properties": roots,
            "additionalProperties": False}


def _section(path: str) -> dict[str, Any]:
    if path not in OWN_SECTIONS:
        root = path.partition(".")[0]
        return {"title": path, "description": f"{root} is not supported yet.", "deprecated": True,
                "deprecationMessage": f"{root} is not supported yet", **LATER_SECTIONS[path].schema()}
    kind: Kind = MapOf(OWN_SECTIONS[path][1])
    pattern = MESH_NAME if path == "mesh.services" else NAME
    return {"title": path, "description": _INSIDE[path], **kind.schema(),
            "propertyNames": {"pattern": f"^{pattern.pattern.removesuffix(chr(92) + 'Z')}$"}}
