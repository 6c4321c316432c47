"""Makes the seccomp program that refuses a plugin the system calls which Landlock does not see.

A program is a list of classic BPF steps over (number, architecture, arguments) of a call; `confine.py` installs it.
It refuses by an error, never by a signal, so that a plugin can say what it may not do.
"""

import struct

__all__ = ["filter_program"]

# What a plugin has no business with, whoever it runs as; numbers on x86-64 and on aarch64.
_NEVER: dict[str, tuple[int, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "open_by_handle_at": (304, 265), "swapon": (167, 224), "swapoff": (168, 225),
    "reboot": (169, 142), "settimeofday": (164, 170), "clock_settime": (227, 112), "acct": (163, 89),
    "sethostname": (170, 161), "setdomainname": (171, 162), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "pidfd_getfd": (438, 438), "mount_setattr": (442, 442), "ioprio_set": (251, 30),
    # Landlock sees who opens a file, not who changes its rights by its path; `fchmod` of an opened one stays.
    "chmod": (90, None), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "lchown": (94, None),
    "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "setxattrat": (463, 463), "removexattrat": (466, 466),
}  # fmt: skip
_LOOKED_AT: dict[str, tuple[int, int | None]] = {
    "clone": (56, 220), "fork": (57, None), "vfork": (58, None), "clone3": (435, 435), "socket": (41, 198),
    "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269), "mmap": (9, 222), "memfd_create": (319, 279),
    "shmget": (29, 194), "prlimit64": (302, 261), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}  # fmt: skip
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32_NUMBERS = 0x40000000

_EPERM, _ENOSYS, _EPROTONOSUPPORT, _EAFNOSUPPORT = 1, 38, 93, 97
_LOCAL, _IP, _IPV6, _NETLINK = 1, 2, 10, 16
_TCP, _UDP = 6, 17
_NEW_NAMESPACES, _CLONE_THREAD, _FAST_OPEN, _SHARED_ANONYMOUS = 0x7E020000, 0x10000, 0x20000000, 0x21

_Step = tuple[int, int, int, int]  # operation, steps to skip when true, when false, value
_ALLOW: _Step = (0x06, 0, 0, 0x7FFF0000)


def filter_program(machine: str, *, processes: bool, shared_memory: bool, sockets: bool, network: bool) -> bytes:
    """Return the program for a *machine* as `os.uname` names it; b"" when none is known for it.

    Args:
        machine: "x86_64" or "aarch64".
        processes: whether it may make processes; threads it may always make.
        shared_memory: whether it may have memory that is shared and of no file: no limit on data counts that.
        sockets: whether any kind of socket may be made; False means local ones, and by *network* TCP and UDP.
        network: whether TCP and UDP sockets may be made.
    """
    if machine not in _MACHINES:
        return b""
    column, arch = _MACHINES[machine]
    program = [_load(4), (0x15, 1, 0, arch), _refuse(), _load(0), (0x35, 0, 1, _X32_NUMBERS), _refuse(_ENOSYS)]
    rules: list[tuple[str, list[_Step]]] = [
        ("clone", _refuse_bits(0, _NEW_NAMESPACES) + ([] if processes else _demand_bits(0, _CLONE_THREAD))),
        ("clone3", [_refuse(_ENOSYS)]),  # its flags cannot be seen; the C library falls back to clone
    ]
    # Who runs as the same user could slow or stop the kernel: 0 is the caller itself.
    rules += [(name, _demand_zero(0)) for name in ("prlimit64", "sched_setaffinity", "sched_setscheduler")]
    rules += [(name, _demand_zero(0)) for name in ("sched_setparam", "sched_setattr")]
    rules.append(("setpriority", _demand_zero(0) + _demand_zero(1)))
    if not processes:
        rules += [("fork", [_refuse()]), ("vfork", [_refuse()])]
    if not shared_memory:
        bits = _SHARED_ANONYMOUS
        shared = [_argument(3), (0x54, 0, 0, bits), (0x15, 0, 1, bits), _refuse()]
        rules += [("mmap", shared), ("memfd_create", [_refuse()]), ("shmget", [_refuse()])]
    if not sockets:
        rules.append(("socket", _socket_steps(network)))
        # A first send can connect, past Landlock's rule of ports.
        rules += [(name, _refuse_bits(at, _FAST_OPEN)) for name, at in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3))]
    numbered = [(numbers[column], [_refuse()]) for numbers in _NEVER.values()]
    numbered += [(_LOOKED_AT[name][column], [*steps, _ALLOW]) for name, steps in rules]
    for number, steps in numbered:
        program += [] if number is None else _when(number, steps)
    return b"".join(struct.pack("<HBBI", *step) for step in [*program, _ALLOW])


def _socket_steps(network: bool) -> list[_Step]:
    """Return the steps for `socket`: local and netlink's pass, with *network* TCP and UDP, no other protocol of IP."""
    families = (_LOCAL, _NETLINK, _IP, _IPV6) if network else (_LOCAL, _NETLINK)
    steps = [_argument(0)]
    steps += [(0x15, len(families) - at, 0, family) for at, family in enumerate(families)]
    steps.append(_refuse(_EAFNOSUPPORT))
    if network:  # the protocol too: Landlock's ports are those of TCP, not of its kin
        steps += [(0x15, 6, 0, _LOCAL), (0x15, 5, 0, _NETLINK), _argument(2)]
        steps += [(0x15, 3, 0, 0), (0x15, 2, 0, _TCP), (0x15, 1, 0, _UDP), _refuse(_EPROTONOSUPPORT)]
    return steps


def _load(offset: int) -> _Step:
    return (0x20, 0, 0, offset)


def _argument(at: int) -> _Step:
    return _load(16 + 8 * at)  # its low half: flags and small numbers, on both machines


def _refuse(error: int = _EPERM) -> _Step:
    return (0x06, 0, 0, 0x00050000 | error)


def _when(number: int, steps: list[_Step]) -> list[_Step]:
    return [(0x15, 0, len(steps), number), *steps]


def _refuse_bits(argument: int, bits: int) -> list[_Step]:
    return [_argument(argument), (0x45, 0, 1, bits), _refuse()]


def _demand_bits(argument: int, bits: int) -> list[_Step]:
    return [_argument(argument), (0x45, 1, 0, bits), _refuse()]


def _demand_zero(argument: int) -> list[_Step]:
    return [_argument(argument), (0x15, 1, 0, 0), _refuse()]
