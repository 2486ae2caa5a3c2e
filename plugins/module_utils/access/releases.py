"""What each release of PVE knows: privileges and built-in roles, from 6.2 (the first with API tokens) to 9.2.

The tables hold, for each name, the release that brought it and the one that took it away, so that any release in
between can be answered. Source: the access-control package of each release, executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

Release = tuple[int, int]

NEWEST: Release = (9, 2)
OLDEST: Release = (6, 2)
ALWAYS: Release = OLDEST

# privilege: (since, removed in)
_PRIVILEGES: dict[str, tuple[Release, Release | None]] = {
    "Datastore.Allocate": (ALWAYS, None),
    "Datastore.AllocateSpace": (ALWAYS, None),
    "Datastore.AllocateTemplate": (ALWAYS, None),
    "Datastore.Audit": (ALWAYS, None),
    "Group.Allocate": (ALWAYS, None),
    "Mapping.Audit": ((8, 0), None),
    "Mapping.Modify": ((8, 0), None),
    "Mapping.Use": ((8, 0), None),
    "Permissions.Modify": (ALWAYS, None),
    "Pool.Allocate": (ALWAYS, None),
    "Pool.Audit": ((7, 0), None),
    "Realm.Allocate": (ALWAYS, None),
    "Realm.AllocateUser": (ALWAYS, None),
    "SDN.Allocate": (ALWAYS, None),
    "SDN.Audit": (ALWAYS, None),
    "SDN.Use": ((8, 0), None),
    "Sys.AccessNetwork": ((8, 2), None),
    "Sys.Audit": (ALWAYS, None),
    "Sys.Console": (ALWAYS, None),
    "Sys.Incoming": ((7, 3), None),
    "Sys.Modify": (ALWAYS, None),
    "Sys.PowerMgmt": (ALWAYS, None),
    "Sys.Syslog": (ALWAYS, None),
    "User.Modify": (ALWAYS, None),
    "VM.Allocate": (ALWAYS, None),
    "VM.Audit": (ALWAYS, None),
    "VM.Backup": (ALWAYS, None),
    "VM.Clone": (ALWAYS, None),
    "VM.Config.CDROM": (ALWAYS, None),
    "VM.Config.CPU": (ALWAYS, None),
    "VM.Config.Cloudinit": ((6, 3), None),
    "VM.Config.Disk": (ALWAYS, None),
    "VM.Config.HWType": (ALWAYS, None),
    "VM.Config.Memory": (ALWAYS, None),
    "VM.Config.Network": (ALWAYS, None),
    "VM.Config.Options": (ALWAYS, None),
    "VM.Console": (ALWAYS, None),
    "VM.GuestAgent.Audit": ((9, 0), None),
    "VM.GuestAgent.FileRead": ((9, 0), None),
    "VM.GuestAgent.FileSystemMgmt": ((9, 0), None),
    "VM.GuestAgent.FileWrite": ((9, 0), None),
    "VM.GuestAgent.Unrestricted": ((9, 0), None),
    "VM.Migrate": (ALWAYS, None),
    "VM.Monitor": (ALWAYS, (9, 0)),
    "VM.PowerMgmt": (ALWAYS, None),
    "VM.Replicate": ((9, 0), None),
    "VM.Snapshot": (ALWAYS, None),
    "VM.Snapshot.Rollback": (ALWAYS, None),
}

# What PVEAdmin leaves to Administrator. Permissions.Modify joined the list in 8.0, with PVESysAdmin losing it too.
_ADMINISTRATOR_ONLY = frozenset(
    {"Mapping.Modify", "Realm.Allocate", "Sys.AccessNetwork", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt"}
)
_ADMIN_LOST = {"Permissions.Modify": (8, 0)}

# role: (since, privileges); a privilege that the release does not know is not in the role there
_ROLES: dict[str, tuple[Release, tuple[str, ...]]] = {
    "NoAccess": (ALWAYS, ()),
    "PVEAuditor": (
        ALWAYS,
        (
            "Datastore.Audit",
            "Mapping.Audit",
            "Pool.Audit",
            "SDN.Audit",
            "Sys.Audit",
            "VM.Audit",
            "VM.GuestAgent.Audit",
        ),
    ),
    "PVEDatastoreAdmin": (
        ALWAYS,
        ("Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit"),
    ),
    "PVEDatastoreUser": (ALWAYS, ("Datastore.AllocateSpace", "Datastore.Audit")),
    "PVEMappingAdmin": ((8, 0), ("Mapping.Audit", "Mapping.Modify", "Mapping.Use")),
    "PVEMappingUser": ((8, 0), ("Mapping.Audit", "Mapping.Use")),
    "PVEPoolAdmin": (ALWAYS, ("Pool.Allocate", "Pool.Audit")),
    "PVEPoolUser": ((7, 0), ("Pool.Audit",)),
    "PVESDNAdmin": (ALWAYS, ("SDN.Allocate", "SDN.Audit", "SDN.Use")),
    "PVESDNUser": ((8, 0), ("SDN.Audit", "SDN.Use")),
    "PVESysAdmin": (ALWAYS, ("Permissions.Modify", "Sys.Audit", "Sys.Console", "Sys.Syslog")),
    "PVETemplateUser": (ALWAYS, ("VM.Audit", "VM.Clone")),
    "PVEUserAdmin": (ALWAYS, ("Group.Allocate", "Realm.AllocateUser", "User.Modify")),
    "PVEVMUser": (
        ALWAYS,
        (
            "VM.Audit",
            "VM.Backup",
            "VM.Config.CDROM",
            "VM.Config.Cloudinit",
            "VM.Console",
            "VM.GuestAgent.Audit",
            "VM.GuestAgent.FileRead",
            "VM.GuestAgent.FileSystemMgmt",
            "VM.GuestAgent.FileWrite",
            "VM.PowerMgmt",
        ),
    ),
}


def parse_release(text: str) -> Release:
    """Read ``9.2``, ``9.2.11`` or ``7.4-3`` as (major, minor). Raises ValueError for anything else."""
    major, dot, rest = text.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    if not dot or not major.isdigit() or not minor.isdigit():
        raise ValueError(f"{text!r} is not a PVE release")
    return int(major), int(minor)


@cache
def as_text(release: Release) -> str:
    """Return a release as people write it, such as 9.2."""
    return "{}.{}".format(*release)


def privileges(release: Release) -> frozenset[str]:
    """Return the names of all privileges that the release knows."""
    return frozenset(
        name
        for name, (since, removed) in _PRIVILEGES.items()
        if since <= release and (removed is None or release < removed)
    )


@cache
def every_privilege() -> frozenset[str]:
    """Return the names of all privileges that any release knows."""
    return frozenset(_PRIVILEGES)


# Privileges that read more than settings and states: logs, and files inside of guests.
READS_MORE = frozenset({"Sys.Syslog", "VM.GuestAgent.FileRead"})


@cache
def reading_privileges(release: Release) -> frozenset[str]:
    """Return the privileges with which nothing can be changed, those that read logs and files apart."""
    return frozenset(name for name in privileges(release) if name.endswith(".Audit"))


@cache
def builtin_roles(release: Release) -> Mapping[str, frozenset[str]]:
    """Return the roles that PVE makes itself, each with its privileges in that release."""
    known = privileges(release)
    lost = {name for name, since in _ADMIN_LOST.items() if since <= release}
    roles = {name: known.intersection(held) - lost for name, (since, held) in _ROLES.items() if since <= release}
    roles["Administrator"] = known
    roles["PVEAdmin"] = known - _ADMINISTRATOR_ONLY - lost
    roles["PVEVMAdmin"] = frozenset(name for name in known if name.startswith("VM."))
    return roles
