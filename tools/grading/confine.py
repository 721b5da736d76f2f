"""What a process may no longer do, once it has called `confine`. Linux only; standard library only.

Each feature stands for itself, because a system allows some and refuses others (a container, an old kernel, macOS):

    files      reads Python and the system, writes its own folder, and nothing else (Landlock)
    network    a network namespace without a network; else, with Landlock, no TCP
    processes  sees and signals its own processes alone, and takes them along when it ends (a PID namespace)
    user       where the grader is root: the user "nobody"

`python confine.py FEATURE ...` tries them in a process of its own: exit code 0 if all of them work together.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from pathlib import Path

FEATURES = ("processes", "network", "files", "user")
NOBODY = 65534
# Values of the kernel's headers: sched.h, prctl.h, landlock.h, capability.h, and system calls that are numbered alike
# on x86-64 and arm64.
NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NETWORK = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
MOUNT_PRIVATE, MOUNT_RECURSIVE, MOUNT_SAFE = 1 << 18, 1 << 14, 2 | 4 | 8
PARENT_DEATH_SIGNAL, KEEP_CAPABILITIES, SUBREAPER, NO_NEW_PRIVILEGES = 1, 8, 36, 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ, READ_FILE, WRITE_FILE, LIST = 1 << 0 | 1 << 2 | 1 << 3, 1 << 2, 1 << 1, 1 << 3
ALL_OF_TCP, ALL_SCOPES = 3, 3
READ_ANY_FILE = 1 << 2
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/proc", "/sys", "/dev/random", "/dev/urandom")
OF_ETC = ("ld.so.cache", "localtime", "passwd", "group", "nsswitch.conf", "mime.types")  # not the keys that lie there


class ConfinementError(OSError):
    """The system refused a feature."""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(value: int, what: str) -> int:
    if value < 0:
        code = ctypes.get_errno()
        raise ConfinementError(code, f"{what}: {os.strerror(code)}")
    return value


def confine(features: set[str], folder: Path, readable: list[str], disk: int) -> None:
    """Give up what the features name; go on in a child process of the caller.

    folder: the only place that may be written; readable: what must be read besides the system; disk: bytes a file.
    The processes between the caller and the child wait, and end with the child's exit code (128 + n after signal n).
    """
    _limits(disk)
    _die_with_parent()
    user, group = os.getuid(), os.getgid()
    kinds = (NEW_PIDS | NEW_MOUNTS | NEW_IPC if "processes" in features else 0) | (
        NEW_NETWORK if "network" in features else 0
    )
    if kinds:
        _checked(_libc().unshare(kinds if user == 0 else kinds | NEW_USER), "unshare")
        if user:  # the same user inside, who owns nothing but the new namespaces
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _fork()
    if "processes" in features:
        _own_proc()
        _fork()  # the first process of a namespace takes no signals from within; it only waits for the second
    if "files" in features:
        _only_these_files(folder, [*SYSTEM, *(f"/etc/{name}" for name in OF_ETC), *readable])
    # Python may be installed where only root may look. Where Landlock says which files may be read, the new user keeps
    # root's right to read them; else it must do without.
    keep = "files" in features and not all(_open_to_everybody(Path(path)) for path in readable)
    _give_up_privileges("user" in features and user == 0, folder, keep)


def _limits(disk: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))
    if Path("/proc/self/oom_score_adj").exists():  # if memory does run out, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")


def _die_with_parent() -> None:
    if sys.platform == "linux":
        _libc().prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _fork() -> None:
    """Go on in a child; the parent waits for it and for what it leaves behind, and ends as it ended."""
    if sys.platform == "linux":  # what a student's process leaves behind comes back here, where the grader finds it
        _libc().prctl(SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        _die_with_parent()
        return
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(256):  # so that the grader sees the end of a pipe when the child ends
        if descriptor != null:
            try:
                os.close(descriptor)
            except OSError:
                pass
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _own_proc() -> None:
    """A /proc of the new namespace: the old one would show, and let one look into, the processes outside."""
    mount = _libc().mount
    _checked(mount(b"none", b"/", None, ctypes.c_ulong(MOUNT_PRIVATE | MOUNT_RECURSIVE), None), "mount /")
    _checked(mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(MOUNT_SAFE), None), "mount /proc")


def landlock_version() -> int:
    """The kernel's version of Landlock; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def _only_these_files(folder: Path, readable: list[str]) -> None:
    version, libc = landlock_version(), _libc()
    if version < 3:  # earlier ones let a file be emptied that may not be written
        raise ConfinementError(0, f"Landlock is of version {version}, and 3 is needed (Linux 6.2)")
    everything = (1 << 15) - 1 | (1 << 15 if version >= 5 else 0)
    rules = struct.pack("QQQ", everything, ALL_OF_TCP if version >= 4 else 0, ALL_SCOPES if version >= 6 else 0)[
        : 24 if version >= 6 else 16 if version >= 4 else 8
    ]
    ruleset = _checked(libc.syscall(CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0), "Landlock")
    allowed = [(path, READ) for path in readable]
    allowed += [(path, READ_FILE | WRITE_FILE) for path in ("/dev/null", "/dev/zero")] + [(str(folder), everything)]
    for path, rights in allowed:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        rule = struct.pack("=Qi", rights if os.path.isdir(path) else rights & ~LIST, place)
        _checked(libc.syscall(ADD_RULE, ruleset, 1, rule, 0), f"Landlock, {path}")
        os.close(place)
    _checked(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
    _checked(libc.syscall(RESTRICT_SELF, ruleset, 0), "Landlock")
    os.close(ruleset)


def _open_to_everybody(path: Path) -> bool:
    return all(place.stat().st_mode & 1 for place in [path, *path.parents]) and bool(path.stat().st_mode & 4)


def _give_up_privileges(change_user: bool, folder: Path, keep_reading: bool) -> None:
    if sys.platform != "linux":
        return
    libc, kept = _libc(), 0
    if change_user:
        kept = READ_ANY_FILE if keep_reading else 0
        _checked(libc.prctl(KEEP_CAPABILITIES, 1 if kept else 0, 0, 0, 0), "keep capabilities")
        resource.setrlimit(resource.RLIMIT_NPROC, (256, 256))
        os.chown(folder, NOBODY, NOBODY)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _checked(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
    _checked(libc.capset(struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", kept, kept, 0, 0, 0, 0)), "capabilities")
    _die_with_parent()  # a change of user takes it back


def main() -> None:
    """Try features: what Python needs can still be read, the folder can be written, and what is meant to fail fails."""
    folder, *features = sys.argv[1:]
    confine(set(features), Path(folder), [sys.prefix, sys.base_prefix], 1 << 20)
    os.listdir(os.path.dirname(os.__file__))
    import html.parser  # noqa: F401  a module that was not loaded before

    (Path(folder) / "written").write_text("by the process that gave up its rights")
    if "files" in features:
        try:
            os.listdir(os.path.dirname(folder))
        except PermissionError:
            return
        sys.exit("a folder outside could be read")


if __name__ == "__main__":
    main()
