"""What ids look like in PVE, as far as rights depend on them: on a path with another one nobody can hold anything."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..access import paths
from ..access.releases import Release

_ANY = r"(?!\.{1,2}\Z)[A-Za-z0-9._-]+"
_NUMBER = re.compile(r"[1-9][0-9]{2,8}\Z")
_ID = re.compile(rf"{_ANY}\Z")
# By the names of the parameters; those that are not here are as most are.
_FORMS: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(("vmid", "newid", "job_guest"), _NUMBER),
    "poolid": re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+){0,2}\Z"),
    "userid": re.compile(r"[^\s:/{}]+@[A-Za-z0-9._-]+(?:![A-Za-z0-9._-]+)?\Z"),
}
# No id.
_OTHER = "type"


def wrong_id(name: str, value: str, release: Release) -> str:
    """Say why a value can be no id of that name (``vmid``, ``node``, ``path``...); empty if it can."""
    if name == _OTHER:
        return ""
    if name == "path":
        path = paths.normalise(value)
        return "" if path is not None and paths.is_valid(path, release) else f"{value!r} is no ACL path"
    form = _FORMS.get(name, _ID)
    if form.match(value):
        return ""
    return f"{value!r} is no number of a guest, as these begin at 100" if form is _NUMBER else f"{value!r} is no {name}"
