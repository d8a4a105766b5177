"""From the bytes of one file to its tree, or to the reason why not.

Owns the first questions to a file: is it text, is it YAML or TOML, does it say anything.  Floor 2.
"""
from __future__ import annotations

from mesh.providers.from_toml import read_toml
from mesh.providers.from_yaml import read_yaml
from mesh.providers.tree import MAX_BYTES, Mapping, Refused, kind_of

ENDINGS = (".yml", ".yaml", ".toml")


def read_tree(data: bytes, file: str) -> Mapping | None:
    """The mapping that a file says, None when it says nothing; raises Refused with the one problem that stops it."""
    if len(data) > MAX_BYTES:
        raise Refused(file, f"larger than {MAX_BYTES // 1024 // 1024} MiB", code="unreadable")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[:error.start]
        raise Refused(file, f"this is not UTF-8 text: the byte 0x{data[error.start]:02x}", before.count(b"\n") + 1,
                      len(before[before.rfind(b"\n") + 1:].decode("utf-8-sig")) + 1,
                      hint="save the file as UTF-8") from error
    tree = read_toml(text, file) if file.endswith(".toml") else read_yaml(text, file)
    if tree is not None and not isinstance(tree, Mapping):
        raise Refused(file, f"the file is {kind_of(tree)}; wanted keys such as `http:`", tree.line, tree.column)
    return tree
