"""Every name that an outsider sees and more than one room writes.

Owns the spelling of metric names, of files in the runtime directory and of the mesh's own DNS suffix, so that a
dashboard, an alert or a script never breaks by a typing slip.  Floor 0.
"""

PRODUCT = "hostmesh"
VERSION = "0.1.0"

MESH_ZONE = "mesh"                          # orders.shop.mesh

MEMORY_FILE = "memory"                      # in the runtime directory: the shared memory
LOCK_FILE = "lock"                          # in the runtime directory: record locks, see workers/memory.py
ABOUT_FILE = "about.json"                   # in the runtime directory: pid, version, entrypoints and admin as bound
