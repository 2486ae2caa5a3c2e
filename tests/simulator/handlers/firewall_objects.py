"""Aliases and IP sets, of the datacenter and of guests."""

from __future__ import annotations

import re

from ..errors import Failure, ParameterError
from ..firewall.addresses import shortened, without_host_bits
from ..firewall.config import Row, Scopes, with_digest
from ..firewall.names import alias_reference
from ..firewall.text import true
from .firewall_files import WITH_OBJECTS, File, on

# -- aliases ------------------------------------------------------------------------------------------------------


def _aliases(file: File) -> list[Row]:
    return [row for unused, row in sorted(file.config.aliases.items())]


def _alias(file: File) -> Row:
    key = file.call["name"].lower()
    if key not in file.config.aliases:
        raise ParameterError({"name": "no such alias"})
    return file.config.aliases[key]


def _given_alias(file: File) -> Row:
    row: Row = {"name": file.call["name"], "cidr": file.call["cidr"]}
    if true(file.call.get("comment")):
        row["comment"] = file.call["comment"]
    return row


@on("GET", "/aliases", *WITH_OBJECTS)
def list_aliases(file: File) -> list[Row]:
    return with_digest(_aliases(file))


@on("GET", "/aliases/{name}", *WITH_OBJECTS)
def read_alias(file: File) -> Row:
    return _alias(file)


@on("POST", "/aliases", *WITH_OBJECTS)
def create_alias(file: File) -> None:
    name = file.call["name"]
    if name.lower() in file.config.aliases:
        raise ParameterError({"name": f"alias '{name}' already exists"})
    file.config.aliases[name.lower()] = _given_alias(file)
    file.save()


@on("PUT", "/aliases/{name}", *WITH_OBJECTS)
def update_alias(file: File) -> None:
    file.check_digest(_aliases(file))
    _alias(file)
    row, key = _given_alias(file), file.call["name"].lower()
    rename = file.call.get("rename") or ""
    if rename.lower() not in ("", key):
        if rename.lower() in file.config.aliases:
            raise ParameterError({"name": f"alias '{rename}' already exists"})
        del file.config.aliases[key]
        row["name"], key = rename, rename.lower()
    file.config.aliases[key] = row
    file.save()


@on("DELETE", "/aliases/{name}", *WITH_OBJECTS)
def delete_alias(file: File) -> None:
    file.check_digest(_aliases(file))
    file.config.aliases.pop(file.call["name"].lower(), None)
    file.save()


# -- IP sets ------------------------------------------------------------------------------------------------------


def _sets(file: File) -> list[Row]:
    comments = file.config.ipset_comments
    return [
        {"name": name, **({"comment": comments[name]} if true(comments.get(name)) else {})}
        for name in sorted(file.config.ipsets)
    ]


@on("GET", "/ipset", *WITH_OBJECTS)
def list_sets(file: File) -> list[Row]:
    return with_digest(_sets(file))


@on("POST", "/ipset", *WITH_OBJECTS)
def create_set(file: File) -> None:
    name, rename, comment = file.call["name"], file.call.get("rename"), file.call.get("comment")
    sets, comments = file.config.ipsets, file.config.ipset_comments
    if true(rename):
        assert rename is not None
        file.check_digest(_sets(file))
        if rename not in sets:
            raise ParameterError({"name": f"IPSet '{rename}' does not exist"})
        if name in sets and name != rename:
            raise ParameterError({"name": f"IPSet '{name}' does already exist"})
        sets[name] = sets.pop(rename)
        comments[name] = comments.pop(rename, "")
    elif name in sets:
        raise ParameterError({"name": f"IPSet '{name}' already exists"})
    else:
        sets[name] = []
    if comment is not None:
        comments[name] = comment
    file.save()


def _entries(file: File) -> list[Row]:
    name = file.call["name"]
    if name not in file.config.ipsets:
        raise Failure(f"no such IPSet '{name}'")
    return file.config.ipsets[name]


def _entry(file: File, entries: list[Row]) -> Row:
    for entry in entries:
        if entry["cidr"] == file.call["cidr"]:
            return entry
    raise ParameterError({"cidr": "no such IP/Network"})


@on("DELETE", "/ipset/{name}", *WITH_OBJECTS)
def delete_set(file: File) -> None:
    name = file.call["name"]
    if _entries(file) and not file.call.flag("force"):
        raise Failure(f"IPSet '{name}' is not empty")
    del file.config.ipsets[name]
    file.save()


@on("GET", "/ipset/{name}", *WITH_OBJECTS)
def list_entries(file: File) -> list[Row]:
    return with_digest(_entries(file))


@on("GET", "/ipset/{name}/{cidr}", *WITH_OBJECTS)
def read_entry(file: File) -> Row:
    return _entry(file, with_digest(_entries(file)))


@on("POST", "/ipset/{name}", *WITH_OBJECTS)
def create_entry(file: File) -> None:
    entries, cidr = _entries(file), file.call["cidr"]
    alias = alias_reference(file.call.release).match(cidr)
    if alias:
        own = None if file.place.env == "cluster" else file.config
        if Scopes(file.scopes.datacenter, own).alias(alias[1] or "", alias[2]) is None:
            raise Failure(f"no such alias '{alias[2]}'")
    else:
        cidr = shortened(without_host_bits(cidr))[0]
    if any(entry["cidr"] == cidr for entry in entries):
        raise ParameterError({"cidr": f"address '{cidr}' already exists"})
    if re.search(r"/0+$", cidr):
        raise ParameterError({"cidr": "a zero prefix is not allowed in ipset entries"})
    entries.insert(0, {"cidr": cidr, "nomatch": file.call.get("nomatch"), "comment": file.call.get("comment")})
    file.save()


@on("PUT", "/ipset/{name}/{cidr}", *WITH_OBJECTS)
def update_entry(file: File) -> None:
    entries = _entries(file)
    file.check_digest(entries)
    _entry(file, entries).update(nomatch=file.call.get("nomatch"), comment=file.call.get("comment"))
    file.save()


@on("DELETE", "/ipset/{name}/{cidr}", *WITH_OBJECTS)
def delete_entry(file: File) -> None:
    entries = _entries(file)
    file.check_digest(entries)
    file.config.ipsets[file.call["name"]] = [entry for entry in entries if entry["cidr"] != file.call["cidr"]]
    file.save()
