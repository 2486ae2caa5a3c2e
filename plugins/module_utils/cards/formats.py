"""Cards as text, and in the formats of those who use them.

A secret stands only in a card that was given it. Whatever can read it from its file is told to do so.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from ..adopt.yaml_text import to_yaml
from ..wording import day
from .card import CA, PIN, SYSTEM, UNCHECKED, Card

# What stands where a file is not known.
NO_FILE = "/path/to/secret"
_ROOT_CA = "/etc/pve/pve-root-ca.pem on any node"
_TEMPLATE = re.compile(r"{[{%#]")


class Format(NamedTuple):
    """How a card looks to somebody: ``suffix`` is that of its file, ``applications`` those of the catalogue."""

    render: Callable[[Card], str]
    suffix: str
    applications: tuple[str, ...] = ()


# -- for people -----------------------------------------------------------------------------------------------------


def text(card: Card) -> str:
    """Return a card as people read it."""
    rows = [
        ("Server URL", card.server.url),
        ("Token id", card.tokenid),
        ("Secret", card.secret or (f"in the file {card.secret_file}" if card.secret_file else "in no file")),
        ("For", card.purpose),
        ("Expires", "not known" if card.expires is None else day(card.expires) if card.expires else "never"),
        ("Certificate", f"SHA-256 {card.server.fingerprint}" if card.server.fingerprint else "not seen"),
        ("", certificate(card)),
        *(("May ask for" if not number else "", line) for number, line in enumerate(card.endpoints)),
    ]
    if card.more:
        rows.append(("", f"and {card.more} more reads"))
    lines = [f"{name + ':' if name else '':<13}{_printable(value)}".rstrip() for name, value in rows]
    return "\n".join([_printable(f"Connection card of {card.tokenid}"), *(f"  {line}" for line in lines), ""])


def certificate(card: Card) -> str:
    """Say what a client has to do about the certificate."""
    return {
        SYSTEM: "This machine trusts its CA as it is; so do clients that know the usual CAs.",
        CA: f"Give clients the CA that signed it, {card.server.ca_path}; PVE's is {_ROOT_CA}.",
        PIN: f"Compare the fingerprint in the client, or give it the CA, {_ROOT_CA}. Renewed, it is another one.",
        UNCHECKED: "Nobody has checked it! Compare it with what PVE shows under Node > System > Certificates.",
    }[card.server.trust]


def _printable(said: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in said)


# -- for programs ---------------------------------------------------------------------------------------------------


def _secret(card: Card) -> str:
    """Return the secret, or else where it is, in words that no program takes for one."""
    return card.secret or f"(the secret in {card.secret_file or NO_FILE})"


def _verified(card: Card) -> bool:
    return card.server.trust == SYSTEM


def _yaml(card: Card, data: Mapping[str, Any], *notes: str) -> str:
    """Return data as YAML, with what there is to be said at the top."""
    first = next(iter(data))
    return to_yaml(data, {(first,): [note for note in notes if note]})


def _trust_note(card: Card) -> str:
    return "" if _verified(card) else certificate(card)


def curl(card: Card) -> str:
    """Return a command. The secret goes from its file to curl by a pipe: no list of processes shows it."""
    # PVE decodes the id; a ';' in it would otherwise end it.
    tokenid = quote(card.tokenid, safe="@!")
    trust = {
        SYSTEM: [],
        CA: ["--cacert", card.server.ca_path],
        # curl knows no fingerprints of certificates. With a pin, it talks to who has the key, and to nobody else.
        PIN: ["--insecure", "--pinnedpubkey", card.server.pin] if card.server.pin else [],
        UNCHECKED: [],
    }[card.server.trust]
    command = ["curl", "--fail", "--silent", "--show-error", *trust, "--header", "@-"]
    url = shlex.quote(f"{card.server.url}/api2/json/version")
    return (
        f"{{ printf 'Authorization: PVEAPIToken=%s=' {shlex.quote(tokenid)}; tr -d '\\r\\n' < {_file(card)}; }} | "
        f"{shlex.join(command)} {url}\n"
    )


def _file(card: Card) -> str:
    return shlex.quote(card.secret_file or NO_FILE)


def environment(card: Card) -> str:
    """Return what to export for this collection."""
    values = {
        "PVE_HOST": card.server.host,
        "PVE_PORT": str(card.server.port),
        "PVE_TOKEN_ID": card.tokenid,
        "PVE_TOKEN_FILE": card.secret_file or NO_FILE,
        **({"PVE_CA_PATH": card.server.ca_path} if card.server.trust == CA else {}),
        **({"PVE_FINGERPRINT": card.server.fingerprint} if card.server.trust == PIN else {}),
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def variables(card: Card) -> str:
    """Return Ansible variables for this collection's playbooks."""
    values: dict[str, Any] = {
        "pve_host": card.server.host,
        "pve_port": card.server.port,
        "pve_token_id": _literal(card.tokenid),
        "pve_token_file": _literal(card.secret_file or NO_FILE),
        **({"pve_ca_path": _literal(card.server.ca_path)} if card.server.trust == CA else {}),
        **({"pve_fingerprint": card.server.fingerprint} if card.server.trust == PIN else {}),
    }
    return _yaml(card, values)


def _literal(value: str) -> str:
    """Return a template that gives the text, where Ansible would take the text itself for a template."""
    return f"{{{{ {_jinja(value)} }}}}" if _TEMPLATE.search(value) else value


def _jinja(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def labby(card: Card) -> str:
    """Return the four fields of the app."""
    fields = {
        "Server URL": card.server.url,
        "Token ID": card.tokenid,
        "Token secret": _secret(card),
        "Ignore certificate errors": False,
    }
    note = "" if _verified(card) else f"To leave the last one off, install the CA on the phone: {_ROOT_CA}."
    return _yaml(card, fields, note)


def homepage(card: Card) -> str:
    """Return the widget for services.yaml. Without the secret, Homepage reads it from the file."""
    widget = {"type": "proxmox", "url": card.server.url, "username": card.tokenid}
    notes = ["Homepage does not check certificates."]
    if card.secret:
        return _yaml(card, {"widget": {**widget, "password": card.secret}}, *notes)
    variable = f"HOMEPAGE_FILE_{re.sub('[^A-Z0-9]+', '_', card.tokenid.upper())}"
    notes.append(f"Its environment needs {variable}={card.secret_file or NO_FILE}")
    # Homepage puts the file in before it reads the YAML, line end and all: only this form drops that.
    return _yaml(card, {"widget": widget}, *notes) + f"  password: >-\n    {{{{{variable}}}}}\n"


def exporter(card: Card) -> str:
    """Return pve.yml of prometheus-pve-exporter."""
    verify: bool | str = card.server.ca_path if card.server.trust == CA else True
    module = {"user": card.userid, "token_name": card.name, "token_value": _secret(card), "verify_ssl": verify}
    return _yaml(card, {"default": module}, _trust_note(card))


def home_assistant(card: Card) -> str:
    """Return the fields of the integration proxmoxve."""
    fields = {
        "Host": card.server.host,
        "Port": card.server.port,
        "Username": card.userid,
        "Realm": card.userid.rpartition("@")[2],
        "Use API token": True,
        "Token ID": card.name,
        "Token secret": _secret(card),
        "Verify SSL certificate": True,
    }
    return _yaml(card, fields, _trust_note(card))


def pulse(card: Card) -> str:
    """Return the fields of a node that is added by hand."""
    fields = {
        "Endpoint URL": card.server.url,
        "Token ID": card.tokenid,
        "Token Value": _secret(card),
        "Verify SSL certificate": True,
        **({} if _verified(card) or not card.server.fingerprint else {"SSL Fingerprint": card.server.fingerprint}),
    }
    return _yaml(card, fields, _trust_note(card) if card.server.trust == UNCHECKED else "")


def check_pve(card: Card) -> str:
    """Return commands: check_pve wants the token's name ahead of the secret, so it gets a file of its own."""
    own = shlex.quote(f"{card.secret_file or NO_FILE}.check_pve")
    make = f"( umask 077; {{ printf '%s=' {shlex.quote(card.name)}; cat {_file(card)}; }} > {own} )"
    command = ["check_pve.py", "-e", card.server.host, "--api-port", str(card.server.port), "-u", card.userid]
    ca = f"REQUESTS_CA_BUNDLE={shlex.quote(card.server.ca_path)} " if card.server.trust == CA else ""
    return f"{make}\n{ca}{shlex.join(command)} -T {own} -m cluster\n"


def zabbix(card: Card) -> str:
    """Return the macros of the template Proxmox VE by HTTP."""
    macros = {
        "{$PVE.URL.HOST}": card.server.host,
        "{$PVE.URL.PORT}": str(card.server.port),
        "{$PVE.TOKEN.ID}": card.tokenid,
        "{$PVE.TOKEN.SECRET}": _secret(card),
    }
    return _yaml(card, macros, "Make the last one a secret text.")


def community_inventory(card: Card) -> str:
    """Return an inventory file for the plugin community.proxmox.proxmox; it looks into the secret's file itself."""
    looked_up = f"{{{{ lookup('ansible.builtin.file', {_jinja(card.secret_file or NO_FILE)}) }}}}"
    values = {
        "plugin": "community.proxmox.proxmox",
        "url": card.server.url,
        "user": _literal(card.userid),
        "token_id": card.name,
        "token_secret": card.secret or looked_up,
        "validate_certs": True,
    }
    return _yaml(card, values, "Its file name has to end with proxmox.yml.", _trust_note(card))


FORMATS: Mapping[str, Format] = {
    "text": Format(text, "txt"),
    "curl": Format(curl, "curl.sh"),
    "environment": Format(environment, "env.sh", ("homelab-audit", "homelab-apply")),
    "variables": Format(variables, "vars.yml", ("homelab-audit", "homelab-apply")),
    "labby": Format(labby, "labby.yml", ("labby",)),
    "homepage": Format(homepage, "homepage.yml", ("homepage",)),
    "prometheus-pve-exporter": Format(exporter, "pve.yml", ("prometheus-pve-exporter",)),
    "home-assistant": Format(home_assistant, "home-assistant.yml", ("home-assistant",)),
    "pulse": Format(pulse, "pulse.yml", ("pulse",)),
    "check-pve": Format(check_pve, "check_pve.sh", ("check-pve",)),
    "zabbix": Format(zabbix, "zabbix.yml", ("zabbix", "zabbix-8")),
    "community-proxmox-inventory": Format(community_inventory, "proxmox.yml", ("community-proxmox-inventory",)),
}


def suited(card: Card) -> list[str]:
    """Return the formats that a card is for, besides its text: that of its application, or of this collection."""
    own = [name for name, each in FORMATS.items() if card.application in each.applications]
    return ["curl", *(own or ["environment", "variables"])]


def file_name(card: Card, name: str) -> str:
    """Return the name of the file for a card, a different one for each."""
    return f"{quote(card.userid, safe='@')}+{card.name}.{FORMATS[name].suffix}"
