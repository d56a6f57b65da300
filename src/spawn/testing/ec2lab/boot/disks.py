"""What is on a machine's disk when it boots for the first time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from spawn.testing.ec2lab.boot.views import FROM_ETC, LAB, lay_out_root

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_USER = 1000
_ACCOUNTS = """\
root:x:0:0:root:/root:{shell}
bin:x:1:1:bin:/bin:/sbin/nologin
daemon:x:2:2:daemon:/sbin:/sbin/nologin
mail:x:8:12:mail:/var/spool/mail:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
ec2-user:x:1000:1000:EC2 Default User:/home/ec2-user:{shell}
"""
_GROUPS = "root:x:0:\nbin:x:1:\ndaemon:x:2:\nadm:x:4:ec2-user\ntty:x:5:\nmail:x:12:\nwheel:x:10:ec2-user\nnogroup:x:65534:\nec2-user:x:1000:\n"
_RELEASE = """\
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
PRETTY_NAME="Amazon Linux 2023 (laboratory)"
"""
_PROFILE = 'export PATH={path}\nset -a\n. /etc/environment\nset +a\n[ "$PS1" ] && PS1="[$(whoami)@$(hostname) \\$PWD]# "\numask 022\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Where a machine's disk is kept, and for whom."""

    path: str  #: the root
    local: str  #: /usr/local
    instance_id: str
    hostname: str
    private_ip: str
    environment: Mapping[str, str]  #: what leads programs to the laboratory instead of AWS

    def is_made(self) -> bool:
        """Whether the machine has booted before."""
        return os.path.exists(f"{self.path}/etc/machine-id")


def make(disk: Disk, files: Mapping[str, tuple[bytes, int]], stand_ins: frozenset[str], *, overlaid: bool, owned: bool) -> None:
    """Write the disk of a new machine. `owned`: users other than root exist, so that their files can be given to them."""
    lay_out_root(disk.path)
    for name in (
        "etc/systemd/system/multi-user.target.wants",
        "var/log/journal",
        "var/tmp",
        "var/lib/cloud/instance/scripts",
        "var/cache",
        "var/spool/mail",
        "root/.aws",
    ):
        os.makedirs(f"{disk.path}/{name}", exist_ok=True)
    for name in ("home/ec2-user/.aws", "opt", "srv", "mnt", "media", "boot"):
        os.makedirs(f"{disk.path}/{name}", exist_ok=True)
    os.symlink("/run", f"{disk.path}/var/run")
    os.symlink("/run/lock", f"{disk.path}/var/lock")
    os.chmod(f"{disk.path}/root", 0o700)
    os.chmod(f"{disk.path}/var/tmp", 0o1777)
    _write_etc(disk)
    _write_homes(disk, owned=owned)
    _make_local(disk, stand_ins, overlaid=overlaid)
    for path, (content, mode) in files.items():
        place = disk.local + path.removeprefix("/usr/local") if path.startswith("/usr/local/") else disk.path + path
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.lexists(place):
            os.unlink(place)
        _write(place, content, mode)
        if owned and path.startswith("/home/ec2-user/"):
            os.chown(place, _USER, _USER)
    _write(f"{disk.path}/etc/machine-id", sha256(disk.instance_id.encode()).hexdigest()[:32].encode() + b"\n", 0o444)


def clear_what_is_memory(disk: Disk) -> None:
    """Empty /tmp, which on Amazon Linux 2023 does not outlive the power."""
    for entry in os.scandir(f"{disk.path}/tmp"):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)


def _write(path: str, content: bytes | str, mode: int = 0o644) -> None:
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    os.chmod(path, mode)


def _write_etc(disk: Disk) -> None:
    shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    etc = f"{disk.path}/etc"
    texts = {
        "passwd": _ACCOUNTS.format(shell=shell),
        "group": _GROUPS,
        "hosts": f"127.0.0.1 localhost {disk.hostname}\n{disk.private_ip} {disk.hostname}.ec2.internal\n",
        "hostname": disk.hostname + "\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
        "resolv.conf": "# nothing but the laboratory is reached from here\n",
        "os-release": _RELEASE,
        "system-release": "Amazon Linux release 2023 (laboratory)\n",
        "environment": "".join(f"{name}={value}\n" for name, value in disk.environment.items()),
        "profile": _PROFILE.format(path=PATH),
        "shells": "/bin/sh\n/bin/bash\n",
        "fstab": "",
    }
    for name, text in texts.items():
        _write(f"{etc}/{name}", text)
    _write(f"{etc}/shadow", "".join(f"{line.partition(':')[0]}:!:19000:0:99999:7:::\n" for line in _ACCOUNTS.splitlines()), 0o600)
    os.symlink("/proc/self/mounts", f"{etc}/mtab")
    for name in FROM_ETC:
        if os.path.exists(f"/etc/{name}"):
            os.symlink(f"{LAB}/etc/{name}", f"{etc}/{name}")


def _write_homes(disk: Disk, *, owned: bool) -> None:
    """AWS's settings are in a file too: programs that clean their environment find the laboratory all the same."""
    names = {
        "AWS_DEFAULT_REGION": "region",
        "AWS_ENDPOINT_URL": "endpoint_url",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "ec2_metadata_service_endpoint",
        "AWS_METADATA_SERVICE_TIMEOUT": "metadata_service_timeout",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "metadata_service_num_attempts",
    }
    settings = "[default]\n" + "".join(f"{names[name]} = {value}\n" for name, value in disk.environment.items() if name in names)
    for home in ("root", "home/ec2-user"):
        _write(f"{disk.path}/{home}/.aws/config", settings + "s3 =\n    addressing_style = path\n")
        _write(f"{disk.path}/{home}/.bashrc", ". /etc/profile\n")
    if owned:
        for path in ("", "/.aws", "/.aws/config", "/.bashrc"):
            os.chown(f"{disk.path}/home/ec2-user{path}", _USER, _USER)


def _make_local(disk: Disk, stand_ins: frozenset[str], *, overlaid: bool) -> None:
    """A /usr/local that can be written, and in which what this machine has there is found."""
    for name in ("bin", "sbin", "lib", "share", "etc"):
        os.makedirs(f"{disk.local}/{name}", exist_ok=True)
    for inside in ("", "/bin", "/sbin", "/lib", "/share", "/etc"):
        for name in os.listdir(f"/usr/local{inside}") if os.path.isdir(f"/usr/local{inside}") else []:
            if not os.path.lexists(f"{disk.local}{inside}/{name}") and not (name in stand_ins and inside in {"/bin", "/sbin"}):
                os.symlink(f"{LAB}/usr-local{inside}/{name}", f"{disk.local}{inside}/{name}")
    if not overlaid:
        for name in stand_ins:
            os.symlink(f"{LAB}/bin/{name}", f"{disk.local}/bin/{name}")
