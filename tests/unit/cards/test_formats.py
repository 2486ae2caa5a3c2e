"""Cards in every format: what programs read is what was meant, however hostile the names are."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("yaml")
pytest.importorskip("jinja2")

import jinja2
import yaml
from ansible_collections.homelab.pve.plugins.module_utils.cards.card import CA, PIN, SYSTEM, UNCHECKED, Card, Server
from ansible_collections.homelab.pve.plugins.module_utils.cards.formats import FORMATS, file_name, suited
from ansible_collections.homelab.pve.plugins.module_utils.least.applications import APPLICATIONS
from ansible_collections.homelab.pve.tests.unit.examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

SECRET = "0b1f0000-0000-4000-8000-000000000001"
SERVER = Server("https://192.168.40.60:8006", "192.168.40.60", 8006, CA, "AA:BB", "sha256//AA=", "/ca.pem")
CARD = Card(SERVER, "labby@pve!phone", "Labby", "labby", "/home/joe/.labby", 1_800_000_000, ("GET /version",), 2)
HOSTILE = st.text(
    st.sampled_from("ab\"'\\$`!;&|<>(){}%#[]*?~-+=,äß\x1b\u2028"), min_size=1, max_size=12
) | st.sampled_from(("{{ x }}", "{% y %}", "{#z#}", "'; rm -rf x; '", "$(id)", "yes", "---", "%s%n", "\\x41"))


def cards() -> st.SearchStrategy[Card]:
    """Cards with ids as PVE takes them, files of any name, and everything that a server may be."""
    return st.builds(
        lambda user, file, trust, ca: replace(
            CARD,
            tokenid=f"{user}@pve!phone",
            secret_file=f"/tmp/{file}",
            server=replace(SERVER, trust=trust, ca_path=f"/ca/{ca}"),
        ),
        HOSTILE,
        HOSTILE | st.just("a b\nc"),
        st.sampled_from((SYSTEM, CA, PIN, UNCHECKED)),
        HOSTILE,
    ).filter(lambda card: not re.search(r"[\s:/]", card.userid))


def read(name: str, card: Card) -> Any:
    return yaml.safe_load(FORMATS[name].render(card))


def templated(value: Any) -> Any:
    """Return what Ansible makes of a value; files are their names."""
    lookup = {"lookup": lambda _plugin, path: f"content of {path}"}
    return jinja2.Environment(autoescape=False).from_string(value).render(lookup) if isinstance(value, str) else value


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(card=cards())
def test_yaml_says_what_was_meant(card: Card) -> None:
    labby = read("labby", card)
    assert labby["Token ID"] == card.tokenid
    assert labby["Server URL"] == SERVER.url
    assert labby["Ignore certificate errors"] is False
    assert len(labby) == 4
    module = read("prometheus-pve-exporter", card)["default"]
    assert (module["user"], module["token_name"]) == (card.userid, "phone")
    assert module["verify_ssl"] == (card.server.ca_path if card.server.trust == CA else True)
    assert read("zabbix", card)["{$PVE.TOKEN.ID}"] == card.tokenid
    assert read("pulse", card)["Token ID"] == card.tokenid
    assert read("home-assistant", card)["Username"] == card.userid
    widget = read("homepage", card)["widget"]
    assert (widget["username"], widget["type"]) == (card.tokenid, "proxmox")
    inventory = read("community-proxmox-inventory", card)
    assert f"{templated(inventory['user'])}!{inventory['token_id']}" == card.tokenid
    assert templated(inventory["token_secret"]) == f"content of {card.secret_file}"
    variables = {name: templated(value) for name, value in read("variables", card).items()}
    assert (variables["pve_token_id"], variables["pve_token_file"]) == (card.tokenid, card.secret_file)
    assert variables.get("pve_ca_path", card.server.ca_path) == card.server.ca_path


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(card=cards())
def test_shells_read_what_was_meant(card: Card) -> None:
    words = shlex.split(FORMATS["environment"].render(card))
    values = dict(word.partition("=")[::2] for word in words if word != "export")
    assert (values["PVE_TOKEN_ID"], values["PVE_TOKEN_FILE"]) == (card.tokenid, card.secret_file)
    assert ("PVE_CA_PATH" in values, "PVE_FINGERPRINT" in values) == (
        card.server.trust == CA,
        card.server.trust == PIN,
    )
    words = shlex.split(FORMATS["curl"].render(card))
    assert words[words.index("<") + 1] == f"{card.secret_file};"
    assert words[-1] == "https://192.168.40.60:8006/api2/json/version"
    assert words[words.index("--header") + 1] == "@-"
    words = shlex.split(FORMATS["check-pve"].render(card))
    made = words[words.index(")") - 1]
    assert words[words.index("-u") + 1] == card.userid
    assert made == words[words.index("-T") + 1] == f"{card.secret_file}.check_pve"


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(card=cards(), name=st.sampled_from(sorted(FORMATS)))
def test_people_see_no_control_characters_and_files_stay_in_their_folder(card: Card, name: str) -> None:
    assert "\x1b" not in FORMATS["text"].render(card)
    assert "/" not in file_name(card, name)
    assert SECRET not in FORMATS[name].render(card)
    other = replace(card, tokenid=card.tokenid.replace("@pve!", "@pve+"))
    assert file_name(card, name) != file_name(other, name)


def test_a_secret_stands_only_where_it_has_to() -> None:
    shown = replace(CARD, secret=SECRET)
    assert SECRET not in repr(shown)
    having = {name for name, each in FORMATS.items() if SECRET in each.render(shown)}
    reading = {"curl", "environment", "variables", "check-pve"}  # from the file, always
    assert having == FORMATS.keys() - reading
    assert read("prometheus-pve-exporter", shown)["default"]["token_value"] == SECRET
    assert read("homepage", shown)["widget"]["password"] == SECRET


def test_homepage_reads_the_file_without_its_line_end() -> None:
    """It puts the content in as it is, and reads the YAML after that."""
    rendered = FORMATS["homepage"].render(CARD)
    (variable,) = set(re.findall(r"{{(\w+)}}", rendered))
    assert f"{variable}=/home/joe/.labby" in rendered
    assert variable == "HOMEPAGE_FILE_LABBY_PVE_PHONE"
    put_in = rendered.replace(f"{{{{{variable}}}}}", f"{SECRET}\n")
    assert yaml.safe_load(put_in)["widget"]["password"] == SECRET


def test_check_pve_gets_a_file_of_its_own(tmp_path: Any) -> None:
    file = tmp_path / "a 'secret'"
    file.write_text(f"{SECRET}\n")
    make = FORMATS["check-pve"].render(replace(CARD, secret_file=str(file))).partition("\n")[0]
    subprocess.run(["sh", "-c", make], check=True)
    made = tmp_path / "a 'secret'.check_pve"
    assert made.read_text() == f"phone={SECRET}\n"
    assert made.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [one.name for one in APPLICATIONS])
def test_every_application_has_a_format(name: str) -> None:
    found = suited(replace(CARD, application=name))
    assert found[0] == "curl"
    assert any(name in FORMATS[each].applications for each in found)


def test_a_card_as_text() -> None:
    assert FORMATS["text"].render(CARD).splitlines() == [
        "Connection card of labby@pve!phone",
        "  Server URL:  https://192.168.40.60:8006",
        "  Token id:    labby@pve!phone",
        "  Secret:      in the file /home/joe/.labby",
        "  For:         Labby",
        "  Expires:     2027-01-15",
        "  Certificate: SHA-256 AA:BB",
        "               Give clients the CA that signed it, /ca.pem; PVE's is /etc/pve/pve-root-ca.pem on any node.",
        "  May ask for: GET /version",
        "               and 2 more reads",
    ]
