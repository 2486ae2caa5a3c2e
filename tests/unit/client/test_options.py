"""Every way to get a connection option wrong, told before anything is sent and without quoting a secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.pve.plugins.doc_fragments import attributes, connection
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError
from ansible_collections.homelab.pve.plugins.module_utils.client.options import (
    OPTIONS,
    ConnectionOptions,
    argument_spec,
    check_secret,
)
from ansible_collections.homelab.pve.tests.unit.client.servers import SECRET, TOKEN, Authority

OTHER = "ffffffff-89ab-cdef-0123-456789abcdef"
PASSWORD = "correct horse battery"
PIN = ":".join(["AB"] * 32)
BASE = {"host": "pve.example.org", "token_id": TOKEN, "token_secret": SECRET}
LOGIN = {"host": "pve.example.org", "user": "root@pam", "password": PASSWORD}


def read(environ: dict[str, str] | None = None, **params: Any) -> ConnectionOptions:
    return ConnectionOptions.from_params(params, environ or {})


def test_defaults() -> None:
    options = read(**BASE)
    assert (options.port, options.timeout, options.validate_certs) == (8006, 60, True)
    assert options.identity == TOKEN
    assert options.address == "https://pve.example.org:8006"
    assert read(**LOGIN).identity == "root@pam"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.10", ("192.0.2.10", 8006)),
        ("pve", ("pve", 8006)),
        ("pve.example.org.", ("pve.example.org.", 8006)),
        ("pve:443", ("pve", 443)),
        ("https://192.0.2.10:8006", ("192.0.2.10", 8006)),
        ("https://pve.example.org", ("pve.example.org", 8006)),
        ("https://pve.example.org/", ("pve.example.org", 8006)),
        ("HTTPS://pve:18006/api2/json/", ("pve", 18006)),
        ("2001:db8::10", ("2001:db8::10", 8006)),
        ("[2001:db8::10]", ("2001:db8::10", 8006)),
        ("https://[2001:db8::10]:443", ("2001:db8::10", 443)),
    ],
)
def test_a_host_can_be_written_in_many_ways(host: str, expected: tuple[str, int]) -> None:
    options = read(**{**BASE, "host": host})
    assert (options.host, options.port) == expected


def test_ipv6_addresses_stand_in_brackets_in_a_url() -> None:
    assert read(**{**BASE, "host": "2001:db8::10"}).address == "https://[2001:db8::10]:8006"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({**BASE, "host": None}, "No host is given"),
        ({**BASE, "host": " "}, "host is empty"),
        ({**BASE, "host": "http://pve:8006"}, "not https"),
        ({**BASE, "host": "https://joe:hunter2@pve"}, "credentials in it"),
        ({**BASE, "host": "https://pve:8006/#v1:0"}, "path in it"),
        ({**BASE, "host": "pve/nodes"}, "path in it"),
        ({**BASE, "host": "pve example"}, "no host name"),
        ({**BASE, "host": "-pve"}, "no host name"),
        ({**BASE, "host": "pve:port"}, "no host name"),
        ({**BASE, "host": "pve:99999"}, "no host name"),
        ({**BASE, "host": "fe80::1%eth0"}, "no host name"),
        ({**BASE, "host": "pve:1234", "port": 8006}, "port 1234, yet port is 8006"),
        ({**BASE, "port": 0}, "ports go from 1"),
        ({**BASE, "port": 65536}, "ports go from 1"),
        ({**BASE, "port": "https"}, "port is not a whole number"),
        ({**BASE, "timeout": 0}, "at least 1 second"),
        ({**BASE, "validate_certs": "maybe"}, "neither true nor false"),
        ({"host": "pve"}, "No credentials are given"),
        ({"host": "pve", "token_id": TOKEN}, "neither token_secret nor token_file"),
        ({"host": "pve", "token_secret": SECRET}, "no token_id"),
        ({"host": "pve", "user": "root@pam"}, "no password"),
        ({"host": "pve", "password": PASSWORD}, "no user"),
        ({**BASE, "user": "root@pam", "password": PASSWORD}, "Both a token and a password"),
        ({**BASE, "password": PASSWORD}, "Both a token and a password"),
        ({**BASE, "token_file": "/some/file"}, "token_secret and token_file are both given"),
        ({**BASE, "token_id": f"{TOKEN}:{SECRET}"}, "goes on after the token's name with a ':'"),
        ({**BASE, "token_id": f"{TOKEN}={SECRET}"}, "goes on after the token's name with a '='"),
        ({**BASE, "token_id": f"PVEAPIToken={TOKEN}={SECRET}"}, "goes on after the token's name with a '='"),
        ({**BASE, "token_id": "joe@pve"}, "no '!' and token name"),
        ({**BASE, "token_id": SECRET}, "is a secret, not an id"),
        ({**BASE, "token_id": SECRET.upper()}, "is a secret, not an id"),
        ({**BASE, "token_id": "joe!ci"}, "no user@realm"),
        ({**BASE, "token_id": "joe doe@pve!ci"}, "no user@realm"),
        ({**BASE, "token_id": "joe@pve!c"}, "token name that PVE does not accept"),
        ({**BASE, "token_id": "joe@pve!1ab"}, "token name that PVE does not accept"),
        ({**BASE, "token_id": TOKEN + "\n"}, "token name that PVE does not accept"),
        ({**BASE, "token_secret": SECRET.upper()}, "upper-case letters"),
        ({**BASE, "token_secret": f" {SECRET}"}, "white space around it"),
        ({**BASE, "token_secret": f"{SECRET}\n"}, "white space around it"),
        ({**BASE, "token_secret": f"{TOKEN}={SECRET}"}, "has the token id in it"),
        ({**BASE, "token_secret": SECRET.replace("-", "")}, "no lower-case UUID"),
        ({**BASE, "token_secret": ""}, "token_secret is empty"),
        ({**BASE, "token_secret": 17}, "token_secret is not a text"),
        ({**LOGIN, "user": "root"}, "not of the form user@realm"),
        ({**LOGIN, "user": TOKEN}, "user is a token id"),
        ({**BASE, "fingerprint": "AB:CD"}, "no SHA-256 fingerprint"),
        ({**BASE, "fingerprint": ":".join(["AB"] * 20)}, "no SHA-256 fingerprint"),
        ({**BASE, "fingerprint": PIN.replace("A", "G")}, "no SHA-256 fingerprint"),
        ({**BASE, "fingerprint": ""}, "fingerprint is empty"),
        ({**BASE, "ca_path": "/no/such/file"}, "cannot be read"),
        ({**BASE, "ca_path": __file__}, "no CA certificate"),
        ({**BASE, "proxy": "proxy:3128"}, "not of the form"),
        ({**BASE, "proxy": f"socks5://me:{OTHER}@proxy:1080"}, "not of the form"),
        ({**BASE, "proxy": "http://proxy"}, "has no port"),
        ({**BASE, "proxy": "http://proxy:port"}, "is no URL"),
    ],
)
def test_what_is_wrong_is_said_and_no_secret_is_quoted(params: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError) as caught:
        read(**params)
    error = caught.value
    assert said in error.message
    # The chain of exceptions must not lead to one that quotes either.
    for text in (str(error), repr(error), repr(error.__cause__)):
        for secret in (SECRET, SECRET.replace("-", ""), OTHER, PASSWORD, "hunter2"):
            assert secret not in text.lower()


def test_an_empty_folder_is_no_ca_path(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="openssl rehash"):
        read(**BASE, ca_path=str(tmp_path))


def test_trust_is_given_in_one_way(authority: Authority) -> None:
    ca = str(authority.ca_file)
    assert read(**BASE, ca_path=ca).ca_path == ca
    with pytest.raises(OptionError, match="fingerprint and ca_path are both given"):
        read(**BASE, ca_path=ca, fingerprint=PIN)
    with pytest.raises(OptionError, match="yet validate_certs is false"):
        read(**BASE, ca_path=ca, validate_certs=False)


@pytest.mark.parametrize("text", [PIN, PIN.lower(), PIN.replace(":", ""), f" {PIN}\n"])
def test_a_fingerprint_can_be_written_in_many_ways(text: str) -> None:
    assert read(**BASE, fingerprint=text).fingerprint == PIN


@pytest.mark.parametrize("token_id", ["joe@pve!ci", "a.b-c_d@my-realm.x!x9._-", "with!bang@pve!ci", "mail@corp@ad!ci"])
def test_token_ids_that_pve_accepts_are_accepted(token_id: str) -> None:
    assert read(**{**BASE, "token_id": token_id}).token_id == token_id


def test_a_token_file_is_read_and_judged(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    params = {"host": "pve", "token_id": TOKEN, "token_file": str(file)}
    assert read(**params).token_secret == SECRET
    file.chmod(0o644)
    with pytest.raises(OptionError, match=f"chmod 600 {file}"):
        read(**params)


ENVIRON = {"PVE_HOST": "env", "PVE_TOKEN_ID": TOKEN, "PVE_TOKEN_SECRET": SECRET}
LOGIN_ENVIRON = {"PVE_HOST": "env", "PVE_USER": "root@pam", "PVE_PASSWORD": PASSWORD}


def test_everything_can_come_from_the_environment() -> None:
    options = read(
        {
            **ENVIRON,
            "PVE_PORT": "443",
            "PVE_FINGERPRINT": PIN,
            "PVE_VALIDATE_CERTS": "no",
            "PVE_TIMEOUT": "5",
            "PVE_PROXY": "http://proxy:3128",
        }
    )
    assert options == ConnectionOptions(
        host="env",
        port=443,
        token_id=TOKEN,
        token_secret=SECRET,
        fingerprint=PIN,
        validate_certs=False,
        timeout=5,
        proxy="http://proxy:3128",
    )
    assert read(LOGIN_ENVIRON).password == PASSWORD


def test_what_the_task_says_beats_the_environment() -> None:
    options = read({**ENVIRON, "PVE_PORT": "443"}, host="task", port=8007)
    assert (options.host, options.port, options.token_id) == ("task", 8007, TOKEN)
    assert read({**ENVIRON, "PVE_PORT": "443"}, host="task:8007").port == 8007
    assert read({**ENVIRON, "PVE_HOST": "env:443"}, port=8007).port == 8007
    assert read({**ENVIRON, "PVE_HOST": "env:443"}).port == 443
    with pytest.raises(OptionError, match="has port 443, yet port"):
        read({**ENVIRON, "PVE_HOST": "env:443", "PVE_PORT": "8007"})


def test_an_empty_variable_is_no_value() -> None:
    assert read({**ENVIRON, "PVE_CA_PATH": "", "PVE_USER": ""}).ca_path is None


def test_credentials_of_the_task_are_not_mixed_with_others_of_the_environment(tmp_path: Path) -> None:
    assert read(LOGIN_ENVIRON, token_id=TOKEN, token_secret=SECRET).user is None
    assert read(ENVIRON, user="root@pam", password=PASSWORD).token_id is None
    # The secret of the environment completes the id of the task, unless it belongs to another id.
    assert read({"PVE_TOKEN_SECRET": SECRET}, host="pve", token_id=TOKEN).token_secret == SECRET
    assert read(ENVIRON, token_id=TOKEN).token_secret == SECRET
    with pytest.raises(OptionError, match="neither token_secret nor token_file"):
        read(ENVIRON, token_id="other@pve!ci")
    with pytest.raises(OptionError, match="no password"):
        read(LOGIN_ENVIRON, user="other@pam")
    file = tmp_path / "token"
    file.write_text(OTHER)
    file.chmod(0o600)
    assert read(ENVIRON, token_file=str(file)).token_secret == OTHER
    assert read({**ENVIRON, "PVE_TOKEN_FILE": "/other"}, token_id=TOKEN, token_secret=OTHER).token_secret == OTHER


def test_trust_of_the_task_is_not_mixed_with_other_trust_of_the_environment(authority: Authority) -> None:
    ca = str(authority.ca_file)
    options = read({"PVE_FINGERPRINT": PIN, "PVE_VALIDATE_CERTS": "false"}, **BASE, ca_path=ca)
    assert (options.ca_path, options.fingerprint, options.validate_certs) == (ca, None, True)
    options = read({"PVE_CA_PATH": ca}, **BASE, fingerprint=PIN)
    assert (options.ca_path, options.fingerprint) == (None, PIN)


def test_an_error_names_the_variable() -> None:
    with pytest.raises(OptionError, match=r"token_secret \(from the environment, PVE_TOKEN_SECRET\)"):
        read({**ENVIRON, "PVE_TOKEN_SECRET": SECRET.upper()})
    with pytest.raises(OptionError, match="PVE_PORT is not a whole number"):
        read({**ENVIRON, "PVE_PORT": "x"})


def test_printing_the_options_shows_no_secret() -> None:
    options = read(**BASE, proxy=f"http://me:{OTHER}@proxy:3128")
    assert SECRET not in repr(options)
    assert OTHER not in repr(options)
    assert PASSWORD not in repr(read(**LOGIN))
    assert check_secret(SECRET) == SECRET


def test_the_spec_masks_what_is_secret() -> None:
    spec = argument_spec()
    assert {name for name, entry in spec.items() if entry.get("no_log")} == {
        *("token_secret", "password", "second_factor", "ticket", "csrf_token", "proxy"),
    }
    # Ansible warns of names that sound secret, unless told that they are not.
    assert spec["token_id"]["no_log"] is spec["token_file"]["no_log"] is False


def test_the_doc_fragment_and_the_table_agree() -> None:
    documented = yaml.safe_load(connection.ModuleDocFragment.DOCUMENTATION)["options"]
    assert list(documented) == [option.name for option in OPTIONS]
    for option in OPTIONS:
        entry = documented[option.name]
        text = " ".join(entry["description"])
        assert entry["type"] == option.type == argument_spec()[option.name]["type"]
        assert f"E({option.env})" in text
        assert option.env == f"PVE_{option.name.upper()}"
        # A default would hide the variable from Ansible, so it is told, not declared.
        assert "default" not in entry
        assert option.default is None or f"or else V({str(option.default).lower()})" in text


@pytest.mark.parametrize("name", ["DOCUMENTATION", "CHANGES", "READS", "ACTION_GROUP"])
def test_the_attribute_fragments_are_documents(name: str) -> None:
    fragment = yaml.safe_load(getattr(attributes.ModuleDocFragment, name))
    assert set(fragment) == {"attributes"}


TICKET = "PVE:joe@pve:6920A1B2::c2lnbmF0dXJl+/="


@pytest.mark.parametrize(
    ("given", "factor"),
    [("012345", "totp:012345"), ("totp:123456", "totp:123456"), ("recovery:abcd-ef01", "recovery:abcd-ef01")],
)
def test_a_second_factor_is_read(given: str, factor: str) -> None:
    assert read(**LOGIN, second_factor=given).second_factor == factor


def test_a_second_factor_that_is_none_is_refused_without_quoting_it() -> None:
    with pytest.raises(OptionError, match="neither a TOTP code") as caught:
        read(**LOGIN, second_factor="12345678901")
    assert "12345678901" not in str(caught.value)


def test_a_ticket_names_its_user() -> None:
    options = read(host="pve", ticket=TICKET, csrf_token="6920A1B2:x")
    assert (options.user, options.ticket, options.password, options.identity) == ("joe@pve", TICKET, None, "joe@pve")
    assert "c2ln" not in repr(options)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ticket": TICKET}, "csrf_token is missing"),
        ({"csrf_token": "x"}, "ticket is missing"),
        ({"ticket": "PVE:!tfa!x:6920A1B2::x", "csrf_token": "x"}, "no ticket of PVE"),
        ({"ticket": TICKET, "csrf_token": "x", "user": "ann@pve"}, "is that of joe@pve, yet user is ann@pve"),
        ({"ticket": TICKET, "csrf_token": "x", "token_id": "joe@pve!ci"}, "Several credentials"),
        ({"second_factor": "123456"}, "second_factor is given, but no user"),
        ({"token_id": "joe@pve!ci", "token_secret": SECRET, "ticket_cache": "/tmp"}, "ticket_cache is given"),
        ({"transport": "ssh"}, "transport is ssh"),
    ],
)
def test_credentials_that_do_not_fit_together(given: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        read(host="pve", **given)


def test_with_a_cache_a_password_is_not_needed() -> None:
    options = read(host="pve", user="joe@pve", ticket_cache="~/.cache/pve")
    assert (options.password, options.ticket_cache) == (None, os.path.expanduser("~/.cache/pve"))


def test_pvesh_takes_no_credentials_and_none_of_the_environment() -> None:
    options = read(ENVIRON, transport="pvesh")
    assert (options.identity, options.token_id, options.token_secret) == ("root@pam", None, None)
    with pytest.raises(OptionError, match="token_id cannot be given with transport pvesh"):
        read(transport="pvesh", token_id="joe@pve!ci")


def test_a_task_with_a_token_is_not_turned_to_pvesh_by_the_environment() -> None:
    assert read({"PVE_TRANSPORT": "pvesh"}, **BASE).transport == "https"
    assert read({"PVE_TRANSPORT": "pvesh"}).transport == "pvesh"
