"""The firewall files of the cluster, and their way in and out of the simulator's state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.releases import Release

from ..errors import Failure
from .config import Config, Place, Row, Scopes
from .reading import read
from .text import export_bytes, import_bytes
from .writing import write

CLUSTER = Place("cluster")
_SEVERAL = {"nodes": "host", "guests": "vm", "vnets": "vnet"}
_DERIVED = ("pos", "digest", "errors", "ipversion")


def sets_of_vnets(vnets: Iterable[str]) -> frozenset[str]:
    """Return the names of the IP sets that come with vnets."""
    return frozenset(f"{vnet}-{part}" for vnet in vnets for part in ("all", "gateway", "no-gateway", "dhcp"))


class Firewall:
    """Files by their identity. A file that would be empty does not exist. ``clock`` gives the time in seconds."""

    def __init__(self, release: Release, clock: Callable[[], float] = time.time) -> None:
        self.release = release
        self.clock = clock
        self.sdn: frozenset[str] = frozenset()
        self._files: dict[tuple[str, str], str] = {}
        self._datacenter: tuple[str, frozenset[str], Config] | None = None

    def reset(self) -> None:
        self._files.clear()

    def config(self, place: Place) -> Config:
        """Parse a file, for a caller who may change what he gets."""
        datacenter = None if place.env == "cluster" else self.datacenter
        text = self._files.get(place.file, "")
        return read(text, place, datacenter, self.release, self.clock(), self.sdn)

    @property
    def datacenter(self) -> Config:
        """The datacenter's file, only to look things up in."""
        text = self._files.get(CLUSTER.file, "")
        if self._datacenter is None or self._datacenter[:2] != (text, self.sdn):
            self._datacenter = text, self.sdn, self.config(CLUSTER)
        return self._datacenter[2]

    def scopes(self, place: Place, config: Config) -> Scopes:
        """Return where the rules of a file look for names."""
        return Scopes(config if place.env == "cluster" else self.datacenter, config, self.sdn)

    def save(self, place: Place, config: Config) -> None:
        self._put(place.file, write(config, place))

    def exists(self, place: Place) -> bool:
        return place.file in self._files

    def _put(self, file: tuple[str, str], text: str) -> None:
        if text:
            self._files[file] = text
        else:
            self._files.pop(file, None)

    # -- export and load --------------------------------------------------------------------------------------

    def export(self) -> Row:
        """Return the files' texts: the datacenter's (or None), and those of nodes, guests and vnets by name."""
        found: Row = {kind: {} for kind in _SEVERAL}
        cluster = self._files.get(CLUSTER.file)
        found["cluster"] = None if cluster is None else export_bytes(cluster)
        for (kind, key), text in sorted(self._files.items()):
            if kind != "cluster":
                found[kind][key] = export_bytes(text)
        return found

    def load(self, data: Mapping[str, Any]) -> None:
        """Replace the parts that are given. Each file is a text or an object with what the API's lists show.

        Such an object has any of options, aliases, ipsets (with entries), rules and groups (with rules). It is
        written as it is, without a check; what PVE works out (positions, digests, errors, families) is left out.
        """
        if "cluster" in data:
            self._put(CLUSTER.file, _text_of(data["cluster"], CLUSTER))
        for kind, env in _SEVERAL.items():
            if kind not in data:
                continue
            for file in [file for file in self._files if file[0] == kind]:
                del self._files[file]
            for key, content in data[kind].items():
                self._put((kind, str(key)), _text_of(content, Place(env, str(key))))


def _text_of(content: Any, place: Place) -> str:
    if not content:
        return ""
    if isinstance(content, str):
        return import_bytes(content)
    config = Config(
        options=dict(content.get("options") or {}),
        aliases={row["name"].lower(): _given(row) for row in content.get("aliases") or []},
        rules=[_given(rule) for rule in content.get("rules") or []],
    )
    config.options.pop("digest", None)
    for row in content.get("ipsets") or []:
        config.ipsets[row["name"]] = [_given(entry) for entry in row.get("entries") or []]
        config.ipset_comments[row["name"]] = row.get("comment") or ""
    for row in content.get("groups") or []:
        config.groups[row["group"]] = [_given(rule) for rule in row.get("rules") or []]
        config.group_comments[row["group"]] = row.get("comment") or ""
    try:
        return write(config, place, keep_duplicates=True)
    except Failure as error:
        raise ValueError(error.message.strip()) from None


def _given(row: Mapping[str, Any]) -> Row:
    """Return a row of a list as it is stored: texts and numbers, enabled unless it says otherwise."""
    kept = {name: value for name, value in row.items() if name not in _DERIVED and value is not None}
    return {name: int(value) if isinstance(value, bool) else value for name, value in kept.items()}
