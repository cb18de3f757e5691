"""What is in a board's root file system beside the packages.

The packages are only unpacked: their maintainer scripts never run, so that no emulation is needed to build an image.
What the scripts would have written is written here.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import Final, Literal

System = Literal["busybox", "systemd"]

USER: Final = "user"
USER_ID: Final = 1000
ROOT_KEYS: Final = "root/.ssh/authorized_keys"
USER_KEYS: Final = f"home/{USER}/.ssh/authorized_keys"
HOST_KEY: Final = "etc/ssh/ssh_host_ed25519_key"
IDENTITY_MARK: Final = "etc/lading-board"

PACKAGES: Final = (
    *(
        "base-files",
        "base-passwd",
        "bash",
        "dash",
        "coreutils",
        "util-linux",
        "mount",
        "login",
        "passwd",
        "grep",
        "sed",
    ),
    *("mawk", "findutils", "hostname", "procps", "gzip", "tar", "diffutils", "debianutils", "libc-bin", "ncurses-base"),
    *("ncurses-bin", "openssh-server", "openssh-sftp-server", "openssh-client", "ca-certificates", "python3"),
    *(
        "libstdc++6",
        "iproute2",
        "libpam-modules",
        "libpam-modules-bin",
        "libpam-runtime",
        "busybox-static",
        "e2fsprogs",
    ),
)
"""On every board: what a small Debian has, a Python for the agent, and the C++ library that engines need."""

SYSTEM_PACKAGES: Final[dict[System, tuple[str, ...]]] = {
    "busybox": (),
    "systemd": ("systemd", "systemd-sysv", "libpam-systemd", "libnss-systemd", "udev", "dbus", "dbus-user-session"),
}


@dataclass(frozen=True)
class Entry:
    """One file, folder or symbolic link."""

    path: str
    content: bytes | None = None
    """None for a folder or a link."""
    link: str | None = None
    mode: int = 0o644
    owner: int = 0
    group: int = 0


def entries(system: System, console: str) -> list[Entry]:
    """All of it, folders before what they hold.

    Args:
        system: what process 1 is.
        console: the UART with the login.
    """
    texts = {**_COMMON, **_accounts(system)}
    found = [
        *(_folder(path) for path in ("run/sshd", "var/log", "var/tmp", "mnt", "media", "srv", "opt")),
        _folder("root/.ssh", 0o700),
        _folder(f"home/{USER}", 0o755, USER_ID),
        _folder(f"home/{USER}/.ssh", 0o700, USER_ID),
        *(_text(path, text) for path, text in texts.items()),
        Entry("etc/shadow", _shadow(system).encode(), mode=0o640, group=42),
        Entry("etc/mtab", link="../proc/self/mounts"),
        Entry("var/run", link="/run"),
        Entry("var/lock", link="/run/lock"),
        Entry("etc/alternatives/awk", link="/usr/bin/mawk"),
        Entry("usr/bin/awk", link="/etc/alternatives/awk"),
        Entry("usr/bin/which", link="/usr/bin/which.debianutils"),
    ]
    found += [Entry(f"home/{USER}/{name}", b"", owner=USER_ID, group=USER_ID) for name in (".bashrc", ".profile")]
    found += _busybox(console) if system == "busybox" else _systemd(console)
    return found


def as_tar(found: list[Entry]) -> bytes:
    """The entries as a tar archive, the same bytes for the same entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry in found:
            member = tarfile.TarInfo(f"./{entry.path}")
            member.mode, member.uid, member.gid = entry.mode, entry.owner, entry.group
            if entry.link is not None:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
            elif entry.content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(entry.content)
            archive.addfile(member, None if entry.content is None else io.BytesIO(entry.content))
    return out.getvalue()


def _folder(path: str, mode: int = 0o755, owner: int = 0) -> Entry:
    return Entry(path, mode=mode, owner=owner, group=owner)


def _text(path: str, text: str, mode: int = 0o644) -> Entry:
    return Entry(path, text.encode(), mode=mode)


_COMMON: Final = {
    "etc/fstab": "# The root file system is mounted by the first stage of the boot.\n",
    "etc/nsswitch.conf": "passwd: files systemd\ngroup: files systemd\nshadow: files\nhosts: files dns\n"
    "networks: files\nprotocols: files\nservices: files\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
    "etc/shells": "/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/dash\n",
    "etc/environment": "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
    "etc/profile": "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 board\n::1 localhost ip6-localhost\n",
    "etc/hostname": "board\n",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/timezone": "Etc/UTC\n",
    "etc/pam.d/common-auth": "auth [success=1 default=ignore] pam_unix.so nullok\n"
    "auth requisite pam_deny.so\nauth required pam_permit.so\n",
    "etc/pam.d/common-account": "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n"
    "account requisite pam_deny.so\naccount required pam_permit.so\n",
    "etc/pam.d/common-password": "password [success=1 default=ignore] pam_unix.so obscure\n"
    "password requisite pam_deny.so\npassword required pam_permit.so\n",
    "etc/pam.d/common-session": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\n"
    "session required pam_permit.so\nsession required pam_unix.so\nsession optional pam_systemd.so\n",
    "etc/pam.d/common-session-noninteractive": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\n"
    "session required pam_permit.so\nsession required pam_unix.so\n",
    "etc/ssh/sshd_config": "HostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\n"
    "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM yes\nUseDNS no\nPrintMotd no\n"
    "MaxStartups 100\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
}

_NO_LOGIN: Final = "/usr/sbin/nologin"


def _accounts(system: System) -> dict[str, str]:
    users = [
        "root:x:0:0:root:/root:/bin/bash",
        *(f"{name}:x:{uid}:{uid}:{name}:{home}:{_NO_LOGIN}" for name, uid, home in _SYSTEM_USERS),
        "_apt:x:100:65534::/nonexistent:" + _NO_LOGIN,
        "sshd:x:101:65534::/run/sshd:" + _NO_LOGIN,
        f"{USER}:x:{USER_ID}:{USER_ID}:{USER}:/home/{USER}:/bin/bash",
        "nobody:x:65534:65534:nobody:/nonexistent:" + _NO_LOGIN,
    ]
    groups = [*_GROUPS, f"{USER}:x:{USER_ID}:"]
    if system == "systemd":
        for number, name in enumerate(_SYSTEMD_USERS, 102):
            users.append(f"{name}:x:{number}:{number}::/nonexistent:{_NO_LOGIN}")
            groups.append(f"{name}:x:{number}:")
    # Nobody looks for the order, only for one line a name.
    return {"etc/passwd": "\n".join(users) + "\n", "etc/group": "\n".join(groups) + "\n"}


def _shadow(system: System) -> str:
    users = _accounts(system)["etc/passwd"].splitlines()
    return "".join(f"{line.partition(':')[0]}:*:19700:0:99999:7:::\n" for line in users)


_SYSTEM_USERS: Final = (
    ("daemon", 1, "/usr/sbin"),
    ("bin", 2, "/bin"),
    ("sys", 3, "/dev"),
    ("man", 6, "/var/cache/man"),
    ("mail", 8, "/var/mail"),
    ("www-data", 33, "/var/www"),
)
_SYSTEMD_USERS: Final = ("messagebus", "systemd-network", "systemd-resolve", "systemd-timesync")
_GROUPS: Final = (
    "root:x:0:", "daemon:x:1:", "bin:x:2:", "sys:x:3:", "adm:x:4:", "tty:x:5:", "disk:x:6:", "lp:x:7:", "mail:x:8:",
    "kmem:x:15:", "dialout:x:20:" + USER, "cdrom:x:24:", "tape:x:26:", "sudo:x:27:", "audio:x:29:", "www-data:x:33:",
    "shadow:x:42:", "utmp:x:43:", "video:x:44:" + USER, "plugdev:x:46:", "staff:x:50:", "users:x:100:",
    "nogroup:x:65534:", "input:x:990:", "sgx:x:991:", "kvm:x:992:", "render:x:993:", "crontab:x:994:",
    "systemd-journal:x:995:", "_ssh:x:996:",
)  # fmt: skip


# -- with busybox as process 1 ----------------------------------------------------------------------------------------

_RC: Final = """\
#!/bin/sh
# What a board does at its start, before the login and the SSH server.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc 2>/dev/null
mount -t sysfs sysfs /sys 2>/dev/null
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
mount -t tmpfs -o mode=755,nosuid,nodev,size=20% tmpfs /run
mount -t tmpfs -o mode=1777,nosuid,nodev,size=50% tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
mkdir -p /run/sshd /run/lock
: >/run/utmp
chmod 664 /run/utmp
chgrp utmp /run/utmp
hostname -F /etc/hostname
ip link set lo up
[ -e /etc/ld.so.cache ] || ldconfig
[ ! -x /usr/sbin/cron ] || { mkdir -p /var/spool/cron/crontabs; /usr/sbin/cron; }
"""


def _busybox(console: str) -> list[Entry]:
    inittab = (
        "::sysinit:/etc/rc.board\n"
        "::respawn:/usr/sbin/sshd -D\n"
        f"{console}::respawn:/sbin/agetty --noclear 115200 {console} vt100\n"
        "::ctrlaltdel:/sbin/reboot\n"
        "::shutdown:/bin/sync\n"
        "::shutdown:/bin/busybox umount -a -r\n"
    )
    return [
        _text("etc/rc.board", _RC, 0o755),
        _text("etc/inittab", inittab),
        *(Entry(f"usr/sbin/{name}", link="/bin/busybox") for name in ("init", "poweroff", "reboot", "halt")),
    ]


# -- with systemd as process 1 ----------------------------------------------------------------------------------------


def _systemd(console: str) -> list[Entry]:
    units = "etc/systemd/system"
    library = "/lib/systemd/system"
    masked = ("systemd-networkd-wait-online.service", "systemd-firstboot.service", "apt-daily.timer", "fstrim.timer")
    return [
        Entry("etc/machine-id", b""),
        _folder("var/lib/dbus"),
        _folder("var/lib/systemd/linger"),
        Entry(f"{units}/default.target", link=f"{library}/multi-user.target"),
        Entry(f"{units}/multi-user.target.wants/ssh.service", link=f"{library}/ssh.service"),
        Entry(f"{units}/sshd.service", link=f"{library}/ssh.service"),
        Entry(f"{units}/getty.target.wants/serial-getty@{console}.service", link=f"{library}/serial-getty@.service"),
        *(Entry(f"{units}/{name}", link="/dev/null") for name in masked),
    ]
