"""Firewall options. Only what is set is answered; defaults are not."""

from __future__ import annotations

from ..errors import ParameterError
from ..firewall.config import Row, with_digest
from ..schema import tree
from ..verify import split_list
from .firewall_files import BASES, EVERYWHERE, File, on

_NO_OPTIONS = ("delete", "digest", "node", "vmid", "vnet")


def _names(file: File) -> list[str]:
    endpoint = tree(file.call.release).endpoints["PUT", BASES[file.place.env] + "/options"]
    return [name for name in endpoint.parameters if name not in _NO_OPTIONS]


@on("GET", "/options", *EVERYWHERE)
def read_options(file: File) -> Row:
    return with_digest([file.config.options])[0]


@on("PUT", "/options", *EVERYWHERE)
def update_options(file: File) -> None:
    options, names = file.config.options, _names(file)
    file.check_digest([options])
    for name in split_list(file.call.get("delete") or ""):
        if name not in names:
            raise ParameterError({"delete": f"no such option '{name}'"})
        options.pop(name, None)
    options.update({name: file.call[name] for name in names if name in file.call})
    if file.place.env == "cluster" and int(file.call.get("enable") or 0) > 1:
        options["enable"] = int(file.firewall.clock())  # on for a minute, for a try
    file.save()
