"""A real systemd, booted in a container over a copy-on-write view of this machine, to be asked what it does with us.

It needs root, systemd-nspawn and overlayfs, and leaves nothing behind: mounts are in a namespace of their own, and what
is written goes to memory.  What happened inside comes out as lines of JSON.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 120

# The one who is run inside the namespace of its own.  /tmp is ours and stays; the console wants to be a terminal.
BOOT = r'''
set -e
mount --make-rprivate /
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none "$1/top"
mkdir "$1/top/upper" "$1/top/work" "$1/top/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/top/upper,workdir=$1/top/work" "$1/top/root"
root=$1/top/root
mkdir -p "$root/etc/tmpfiles.d" "$root/hm"
ln -sf /dev/null "$root/etc/tmpfiles.d/tmp.conf"
cp "$1"/units/* "$root/etc/systemd/system/"
cp "$1"/files/* "$root/hm/"
SYSTEMD_NSPAWN_TMPFS_TMP=0 timeout 60 script -qefc "systemd-nspawn -q -D $root --boot --register=no --keep-unit \
--private-network --console=interactive systemd.unit=hm.target" "$1/typescript" >"$1/console" 2>&1 || true
cp "$root"/hm/*.log "$1/"
'''

WATCH = '''
import json, time
from mesh.model import Static
from workers.agent.instances import Instances
from workers.agent.systemd import Systemd
instances = Instances()
def told():
    print(json.dumps([time.time(), [[one.url, one.weight, one.wrong] for one in instances.all()]]), flush=True)
instances.changed = told
Systemd(Static(host_name="host-a", host_address="10.0.3.2"), instances).start()
time.sleep(1000)
'''

PROGRAM = '''
import http.server, os, signal, socket
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8300), http.server.SimpleHTTPRequestHandler)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
    told.sendto(b"READY=1\\nSTATUS=serving", os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
server.serve_forever()
'''

DRIVE = r'''
did() { echo "[$(date +%s.%N), \"$1\", \"$(echo "$2" | tr '"\n' "' ")\"]"; }
key() { redis-cli -s /run/hm.sock get mesh:instance:cart.shop:127.0.0.1:8300; }
systemctl start marker
until grep -q :7000 /hm/watch.log; do sleep 0.1; done
did start; systemctl start orders@8081 orders@8082 users; sleep 1
did stop; systemctl stop orders@8081; sleep 1
did kill; systemctl kill -s KILL orders@8082; sleep 1
mkdir -p /etc/systemd/system/users.service.d
printf '[X-Mesh]\nPort=9100\n' >/etc/systemd/system/users.service.d/port.conf
did reload; systemctl daemon-reload; sleep 1
systemctl daemon-reexec; sleep 2
did again; systemctl start orders@8083; sleep 1
systemctl start wrapped
did wrapped "$(systemctl show -p ActiveState,StatusText --value wrapped)"
until [ "$(key)" ]; do sleep 0.1; done
systemctl stop wrapped & sleep 0.7
did draining "$(key)"
wait
did stopped "$(key)$(systemctl show -p Result --value wrapped)"
systemctl poweroff
'''


def units() -> dict[str, str]:
    ours = f"WorkingDirectory={ROOT}\nExecStart={sys.executable}"
    log = "StandardOutput=append:/hm/{0}.log\nStandardError=append:/hm/{0}.err.log\n"
    return {
        "hm.target": "[Unit]\nRequires=dbus.service drive.service\nAfter=dbus.service\n",
        "watch.service": "[Unit]\nRequires=dbus.service\nAfter=dbus.service\n"
                         f"[Service]\nEnvironment=PYTHONPATH={ROOT}\n{ours} /hm/watch.py\n" + log.format("watch"),
        "drive.service": "[Unit]\nRequires=watch.service hm-redis.service\nAfter=watch.service hm-redis.service\n"
                         "[Service]\nType=oneshot\nExecStart=/bin/bash /hm/drive.sh\n" + log.format("drive"),
        "hm-redis.service": "[Service]\nExecStart=redis-server --port 0 --unixsocket /run/hm.sock --save ''\n",
        "orders@.service": "[Service]\nExecStart=sleep 1000\nX-Mesh-Service=%p.shop\nX-Mesh-Port=%i\n",
        "marker.service": "[Service]\nExecStart=sleep 1000\nX-Mesh-Service=a.marker\nX-Mesh-Port=7000\n",
        "users.service": "[X-Mesh]\nService=users.shop\nPort=9000\nWeight=2\n[Service]\nExecStart=sleep 1000\n",
        "wrapped.service": f"[Service]\nType=notify\nKillMode=mixed\n{ours} -m workers.cli register cart.shop"
                           " http://127.0.0.1:8300 --drain 1500ms --redis unix:///run/hm.sock --"
                           f" {sys.executable} /hm/program.py\n" + log.format("wrapped")}


class Happened:
    """What one boot has told: `did` by word (time, text), `told` the endpoints as they changed, with the time."""

    def __init__(self, directory: Path) -> None:
        for name, texts in (("units", units()), ("files", {"watch.py": WATCH, "drive.sh": DRIVE,
                                                           "program.py": PROGRAM})):
            (directory / name).mkdir()
            for file, text in texts.items():
                (directory / name / file).write_text(text)
        (directory / "top").mkdir()
        subprocess.run(["unshare", "-m", "bash", "-c", BOOT, "boot", str(directory)], check=True, timeout=WITHIN_S,
                       stdin=subprocess.DEVNULL)
        self.console = (directory / "console").read_text(errors="replace")
        self.said = "\n".join(f"{file.name}: {file.read_text()}" for file in sorted(directory.glob("*.log")))
        self.did: dict[str, tuple[float, str]] = {
            word: (at, text) for at, word, text in self._lines(directory / "drive.log")}
        self.told: list[tuple[float, list[list[Any]]]] = [tuple(each) for each in self._lines(directory / "watch.log")]

    @staticmethod
    def _lines(file: Path) -> list[Any]:
        return [json.loads(line) for line in file.read_text().splitlines() if line.startswith("[")]

    def urls_after(self, word: str, within_s: float = 1.0) -> set[str]:
        """The endpoints that were known so long after a word of the script, without the marker."""
        until = self.did[word][0] + within_s
        return {each[0] for each in [told for at, told in self.told if at <= until][-1]} - {"http://10.0.3.2:7000"}


def cannot_boot() -> str:
    """Why a systemd cannot be booted here, or ""."""
    if os.geteuid():
        return "only root may boot a systemd"
    for program in ("systemd-nspawn", "unshare", "script", "dbus-daemon", "redis-server", "redis-cli"):
        if not shutil.which(program):
            return f"no {program} here"
    if not Path("/lib/systemd/systemd").exists() and not Path("/usr/lib/systemd/systemd").exists():
        return "no systemd here"
    for path in (ROOT, Path(sys.prefix), Path(sys.base_prefix)):
        if os.stat(path).st_dev != os.stat("/").st_dev:
            return f"{path} is on another file system than /, where the container cannot see it"
    tried = subprocess.run(["unshare", "-m", "sh", "-c", "mount --make-rprivate / && mount -t cgroup2 none"
                            " /sys/fs/cgroup && mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t"
                            " overlay none -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"], capture_output=True)
    return "" if tried.returncode == 0 else f"no overlay may be mounted here: {tried.stderr.decode().strip()}"


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> Happened:
    if why := cannot_boot():
        pytest.skip(why)
    return Happened(tmp_path_factory.mktemp("systemd"))
