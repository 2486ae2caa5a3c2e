"""The options of the access modules, written once: a module's own are a document's suboptions."""

from __future__ import annotations

from typing import Any

Spec = dict[str, dict[str, Any]]

STATE: Spec = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}

ROLE: Spec = {
    "roleid": {"type": "str", "required": True},
    "privs": {"type": "list", "elements": "str"},
    "append": {"type": "bool", "default": False},
    **STATE,
}

GROUP: Spec = {
    "groupid": {"type": "str", "required": True},
    "comment": {"type": "str"},
    **STATE,
}

USER: Spec = {
    "userid": {"type": "str", "required": True},
    "enable": {"type": "bool"},
    "expire": {"type": "str"},
    "groups": {"type": "list", "elements": "str"},
    "append": {"type": "bool", "default": False},
    "firstname": {"type": "str"},
    "lastname": {"type": "str"},
    "email": {"type": "str"},
    "comment": {"type": "str"},
    "user_password": {"type": "str", "no_log": True},
    "update_password": {"type": "str", "choices": ["on_create", "always"], "default": "on_create", "no_log": False},
    **STATE,
}

# What a token and a reader have in common.
_SECRET: Spec = {
    "expire": {"type": "str"},
    "comment": {"type": "str"},
    "secret_file": {"type": "path", "no_log": False},
    "verify_secret": {"type": "str", "choices": ["on_create", "always"], "default": "on_create", "no_log": False},
    "renew": {"type": "str", "choices": ["never", "when_lost"], "default": "never"},
    "rotate": {"type": "raw", "default": "never"},
}

TOKEN: Spec = {
    "tokenid": {"type": "str", "required": True, "no_log": False},
    "privsep": {"type": "bool"},
    **_SECRET,
    **STATE,
}

READER: Spec = {
    "token": {"type": "str", "required": True, "no_log": False},
    "role": {"type": "str"},
    "path": {"type": "str"},
    "propagate": {"type": "bool"},
    "logs": {"type": "bool", "default": False},
    "application": {"type": "str"},
    **_SECRET,
    "deliver_to": {"type": "str"},
    "deliver_owner": {"type": "str"},
}

ACL: Spec = {
    "paths": {"type": "list", "elements": "str", "required": True, "aliases": ["path"]},
    "roles": {"type": "list", "elements": "str", "required": True, "aliases": ["role"]},
    "users": {"type": "list", "elements": "str"},
    "groups": {"type": "list", "elements": "str"},
    "tokens": {"type": "list", "elements": "str", "no_log": False},
    "propagate": {"type": "bool"},
    "grant_user": {"type": "bool", "default": False},
    "allow_narrowing": {"type": "bool", "default": False},
    "allow_missing": {"type": "bool", "default": False},
    **STATE,
}

POOL: Spec = {
    "poolid": {"type": "str", "required": True},
    "comment": {"type": "str"},
    "vms": {"type": "list", "elements": "int"},
    "storage": {"type": "list", "elements": "str"},
    "append": {"type": "bool", "default": False},
    "allow_move": {"type": "bool", "default": False},
    **STATE,
}


def _scope(**keys: str) -> dict[str, Any]:
    return {
        "type": "dict",
        "no_log": False,
        "options": {key: {"type": "list", "elements": "str"} for key in keys.values()},
    }


EXCLUSIVE: Spec = {
    "tokens": _scope(of="users"),
    "acls": _scope(at="paths", of="principals"),
    "users": _scope(named="ids"),
    "groups": _scope(named="ids"),
    "roles": _scope(named="ids"),
    "pools": _scope(named="ids"),
}

LOCKOUT: Spec = {"allow_lockout": {"type": "bool", "default": False}}


def _items(options: Spec) -> dict[str, Any]:
    return {"type": "list", "elements": "dict", "options": options}


DOCUMENT: Spec = {
    "readers": _items(READER),
    "roles": _items(ROLE),
    "groups": _items(GROUP),
    "users": _items(USER),
    "tokens": {**_items(TOKEN), "no_log": False},
    "acls": _items(ACL),
    "pools": _items(POOL),
    "exclusive": {"type": "dict", "options": EXCLUSIVE},
    "keep": {"type": "list", "elements": "str"},
}
