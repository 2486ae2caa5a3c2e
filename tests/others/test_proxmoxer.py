"""proxmoxer, the Python library that most programs for PVE are written with."""

from __future__ import annotations

import pytest

pytest.importorskip("proxmoxer")

import proxmoxer
from ansible_collections.homelab.pve.tests.simulator import ADMIN, ADMIN_PASSWORD, ROOT_SECRET, ROOT_TOKEN, Simulator

from .conftest import NODES, guests_of, name_of


def by_token(simulator: Simulator, secret: str = ROOT_SECRET) -> proxmoxer.ProxmoxAPI:
    user, unused, name = ROOT_TOKEN.partition("!")
    return proxmoxer.ProxmoxAPI(
        f"{simulator.host}:{simulator.port}",
        user=user,
        token_name=name,
        token_value=secret,
        verify_ssl=simulator.ca_file,
    )


def by_password(simulator: Simulator) -> proxmoxer.ProxmoxAPI:
    return proxmoxer.ProxmoxAPI(
        f"{simulator.host}:{simulator.port}", user=ADMIN, password=ADMIN_PASSWORD, verify_ssl=simulator.ca_file
    )


def test_it_reads(simulator: Simulator) -> None:
    pve = by_token(simulator)
    guests = guests_of(simulator)

    assert pve.version.get()["release"] == simulator.release
    assert [row["type"] for row in pve.cluster.status.get()].count("node") == NODES == len(pve.nodes.get())
    assert {row["vmid"] for row in pve.cluster.resources.get(type="vm")} == set(guests)
    seen = {
        (row["vmid"], kind): row["name"]
        for node in pve.nodes.get()
        for kind in ("qemu", "lxc")
        for row in getattr(pve.nodes(node["node"]), kind).get()
    }
    assert seen == {(vmid, guest["type"]): name_of(guest) for vmid, guest in guests.items()}
    node = guests[100]["node"]
    assert pve.nodes(node).qemu(100).config.get()["name"] == name_of(guests[100])
    assert pve.nodes(node).lxc(102).status.current.get()["status"] == "running"
    assert pve(f"nodes/{node}/storage").get()[0]["storage"] == "local"


@pytest.mark.parametrize("login", [by_token, by_password], ids=["token", "password"])
def test_it_writes(simulator: Simulator, login) -> None:
    pve = login(simulator)
    pristine = simulator.export()

    pve.pools.post(poolid="made", comment="by proxmoxer: ä=1;&")
    pve.access.users.post(userid="made@pve", email="made@example.org", expire=0)
    born = pve.access.users("made@pve").token("ci").post(privsep=1)
    pve.access.acl.put(path="/pool/made", tokens=born["full-tokenid"], roles="PVEAuditor", propagate=1)
    assert {"poolid": "made", "comment": "by proxmoxer: ä=1;&"} in pve.pools.get()
    assert pve.access.users("made@pve").get()["email"] == "made@example.org"
    assert [row["path"] for row in pve.access.acl.get() if row["ugid"] == "made@pve!ci"] == ["/pool/made"]

    pve.access.users("made@pve").token("ci").delete()
    pve.access.users("made@pve").delete()
    pve.pools("made").delete()
    assert simulator.export() == pristine


def test_it_understands_refusals(simulator: Simulator) -> None:
    pve = by_token(simulator)
    with pytest.raises(proxmoxer.ResourceException) as refused:
        pve.access.users("nobody@pve").get()
    assert refused.value.status_code == 500
    assert "no such user ('nobody@pve')" in str(refused.value)
    with pytest.raises(proxmoxer.ResourceException) as refused:
        pve.cluster.resources.get(type="lxc")
    assert refused.value.status_code == 400
    assert "type" in refused.value.errors
    with pytest.raises(proxmoxer.ResourceException, match="401"):
        by_token(simulator, "00000000-0000-4000-8000-000000000000").version.get()
