"""Security groups; their rules are with the other rules."""

from __future__ import annotations

from ..errors import Failure, ParameterError
from ..firewall.config import Config, Place, Row, with_digest
from ..firewall.text import true
from .firewall_files import File, on


def _groups(file: File) -> list[Row]:
    comments = file.config.group_comments
    return [
        {"group": name, **({"comment": comments[name]} if true(comments.get(name)) else {})}
        for name in sorted(file.config.groups)
    ]


@on("GET", "/groups", "cluster")
def list_groups(file: File) -> list[Row]:
    return with_digest(_groups(file))


@on("POST", "/groups", "cluster")
def create_group(file: File) -> None:
    name, rename, comment = file.call["group"], file.call.get("rename"), file.call.get("comment")
    if true(rename):
        assert rename is not None
        _rename(file, rename, name, comment)
        return
    if name in file.config.groups:
        raise ParameterError({"group": f"Security group '{name}' already exists"})
    file.config.groups[name] = []
    if comment is not None:
        file.config.group_comments[name] = comment
    file.save()


def _rename(file: File, old: str, new: str, comment: str | None) -> None:
    """Rename a group, and let the rules that use it follow. For a while there are both, so that none dangles."""
    groups, comments = file.config.groups, file.config.group_comments
    file.check_digest(_groups(file))
    if old not in groups:
        raise ParameterError({"group": f"Security group '{old}' does not exist"})
    if new in groups and new != old:
        raise ParameterError({"group": f"Security group '{new}' does already exist"})
    groups[new] = groups[old]
    comments[new] = comments.get(old, "") if comment is None else comment
    file.save()
    if new == old:
        return
    state = file.call.state
    places = [Place("host", node) for node in state.nodes]
    places += [Place("vm" if guest.type == "qemu" else "ct", str(vmid)) for vmid, guest in state.guests.items()]
    for place in places:
        if file.firewall.exists(place):
            config = file.firewall.config(place)
            _follow(config, old, new)
            file.firewall.save(place, config)
    _follow(file.config, old, new)
    del groups[old]
    file.save()


def _follow(config: Config, old: str, new: str) -> None:
    for rule in config.rules or []:
        if rule["type"] == "group" and rule["action"] == old:
            rule["action"] = new


@on("DELETE", "/groups/{group}", "cluster")
def delete_group(file: File) -> None:
    name = file.call["group"]
    if name not in file.config.groups:
        raise Failure(f"no such security group '{name}'")
    if file.config.groups[name]:
        raise Failure(f"Security group '{name}' is not empty")
    del file.config.groups[name]
    file.save()
