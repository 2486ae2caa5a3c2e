"""Collectors by themselves, with answers that no simulator gives."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.pve.plugins.module_utils.facts import cluster, people, storage
from ansible_collections.homelab.pve.plugins.module_utils.facts.ask import NOTHING, Ask, Missing
from ansible_collections.homelab.pve.plugins.module_utils.facts.context import Context
from ansible_collections.homelab.pve.plugins.module_utils.facts.fetch import Fetcher
from ansible_collections.homelab.pve.plugins.module_utils.facts.scene import Scene
from ansible_collections.homelab.pve.plugins.module_utils.facts.wanted import Wanted

ALL_RIGHTS = {"/": {"Sys.Audit": 1, "Sys.Syslog": 1}, "/storage": {"Datastore.Audit": 1}}


class Nobody:
    """A reader that nobody has to ask."""

    identity = "reader@pve!facts"
    release = (9, 2)


@pytest.fixture
def context() -> Context:
    reader: Any = Nobody()
    return Context(Fetcher(reader), Wanted(), (9, 2))


def told(collector: Any, *rounds: list[Any]) -> Any:
    """Return what a collector makes of the answers to its rounds of questions."""
    collector.send(None)
    *earlier, last = rounds
    for answers in earlier:
        collector.send(answers)
    with pytest.raises(StopIteration) as end:
        collector.send(last)
    return end.value.value


def test_the_password_of_a_proxy_is_not_told(context: Context) -> None:
    found = {"http_proxy": "http://user:p4ss@proxy:3128", "keyboard": "de", "description": "d", "digest": "x"}
    assert told(cluster.options(context), [ALL_RIGHTS, found]) == {
        "http_proxy": "http://proxy:3128",
        "keyboard": "de",
    }
    assert context.fetcher.missing == []


def test_storages_without_what_looks_like_a_secret(context: Context) -> None:
    row = {"storage": "pbs", "type": "pbs", "content": "backup", "username": "joe@pbs", "digest": "x"}
    secrets = {"password": "1", "keyring": "2", "key": "3", "encryption-key": "4", "master-pubkey": "5"}
    context._scene.append(Scene(ALL_RIGHTS, (), (), (), ()))
    (found,) = told(storage.storage(context), [[{**row, **secrets}]])
    assert found["options"] == {"username": "joe@pbs"}
    assert found["nodes"] == []


def test_a_storage_of_which_only_the_use_is_seen(context: Context) -> None:
    other = {"type": "storage", "storage": "x", "node": "a", "plugintype": "dir", "content": "iso", "shared": 0}
    context._scene.append(Scene({}, (), (), (), (other,)))
    assert told(storage.storage(context), [NOTHING]) == []


def test_realms_without_their_configuration(context: Context) -> None:
    row = {"realm": "sso", "type": "openid", "client-key": "secret", "comment": "c", "default": 1}
    assert told(people.realms(context), [[row]]) == [
        {"realm": "sso", "type": "openid", "comment": "c", "tfa": None, "default": True}
    ]


def test_what_an_answer_that_did_not_come_makes_of_a_list(context: Context) -> None:
    assert told(people.users(context), [ALL_RIGHTS, NOTHING]) is None
    assert told(cluster.cluster(context), [NOTHING]) is None
    assert told(cluster.log(context), [NOTHING, NOTHING]) is None
    assert context.fetcher.missing == []


def test_reasons_name_the_parameters() -> None:
    assert str(Ask("pools", "/pools", (("poolid", "lab"),))) == "GET /pools?poolid=lab"
    assert str(Ask("pools", "/pools/lab")) == "GET /pools/lab"


def test_what_is_missing_comes_in_a_fixed_order(context: Context) -> None:
    rows = [
        Missing("b", "failed", "x"),
        Missing("a", "failed", "x", "n2"),
        Missing("a", "failed", "x", "n1", 101),
        Missing("a", "failed", "x", "n1", 100),
        Missing("a", "failed", "x", "n1", 100),
    ]
    for row in rows:
        context.fetcher.note(row)
    assert context.fetcher.missing == [rows[3], rows[2], rows[1], rows[0]]
