"""Run the integration playbooks on any cluster, in a name space of their own: see docs/live.md.

Everything that is made is called ``homelab-test-...``. What is left of it by a run that was interrupted is removed at
the start; at the end of every run, interrupted or not, the server is as it was.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.homelab.pve.plugins.module_utils.access.document import Document
from ansible_collections.homelab.pve.plugins.module_utils.access.guard import caller_rights
from ansible_collections.homelab.pve.plugins.module_utils.access.observe import observe
from ansible_collections.homelab.pve.plugins.module_utils.client.errors import OptionError, PveError
from ansible_collections.homelab.pve.plugins.module_utils.client.http import Client
from ansible_collections.homelab.pve.plugins.module_utils.client.options import ConnectionOptions
from ansible_collections.homelab.pve.plugins.module_utils.firewall.spec import CLUSTER_OPTIONS
from ansible_collections.homelab.pve.tests.live import firewall
from ansible_collections.homelab.pve.tests.live.names import OURS, REALM, Json, Seen, Stop, is_ours, text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLAYBOOKS = {
    "role": "pve_role: made, changed, deleted",
    "group": "pve_group: made, changed, deleted",
    "user": "pve_user: made, changed, deleted",
    "pool": "pve_pool: made, changed, deleted",
    "token": "pve_token: made, changed, secret lost and renewed, deleted",
    "acl": "pve_acl: given, changed, taken away",
    "access": "pve_access: a document applied, what is not in it removed",
    "readers": "pve_access, pve_proof: readers, their secrets, their proofs",
    "life": "pve_verification, pve_rotation, pve_card, pve_revocation, pve_doctor: a token from its birth to its end",
    "firewall": "pve_fw_..., pve_firewall: aliases, IP sets, groups and rules made, changed, deleted",
    "site": "playbook site, roles firewall and access: a policy file applied and proved",
    "facts": "pve_info, playbook gather, the inventory: all that is there, read only",
    "policy": "pve_snapshot, playbooks adopt and audit: what is there as a policy, and held against it, read only",
}
# What the tests need: at these paths, these privileges. Administrator on / has them all.
NEEDS = {
    "/": ["Permissions.Modify", "Sys.Audit", "Sys.Modify"],
    "/access": ["Sys.Audit", "Sys.Modify"],
    "/access/groups": ["Group.Allocate", "User.Modify"],
    f"/access/groups/{OURS}group": ["Group.Allocate", "User.Modify"],
    f"/access/realm/{REALM[1:]}": ["Realm.AllocateUser"],
    f"/pool/{OURS}pool": ["Pool.Allocate", "Pool.Audit"],
}
# What a playbook wants to be told of in any case: a list of pairs, such as a subset of facts and why it is incomplete.
TOLD = "Tell what is incomplete"
# How long to wait for the playbook that a killed run has left behind, and for one that was told to stop.
SECONDS_FOR_OTHERS = 180
SECONDS_TO_STOP = 30


class Interrupted(BaseException):
    """Somebody wants the run to end."""


# -- the name space -------------------------------------------------------------------------------------------------


def clean_up(client: Client, guests: Iterable[int]) -> list[str]:
    """Delete whatever belongs to the tests, and return what that was. ``guests`` are those whose firewalls they use.

    It asks for the deletions itself, one by one: the modules are what is tested.
    """
    rows = entries(client)
    users = {row["userid"]: row.get("tokens") or [] for row in client.get("/access/users", {"full": 1})}
    groups = {row["groupid"] for row in client.get("/access/groups")}
    pools = {row["poolid"] for row in client.get("/pools")}
    roles = {row["roleid"] for row in client.get("/access/roles")}
    for row in rows:
        refuse_entangled(row, pools)
    removed = [*firewall.clean_up(client, guests)]
    # PVE keeps entries of users and groups that are gone, gives them to the next one of that name, and deletes them
    # only together with him.
    for row in rows:
        if is_ours(row["type"], row["ugid"]) and row["ugid"] not in users.keys() | groups and row["type"] != "token":
            removed.append(f"entries of {row['type']} {row['ugid']}, which is gone")
            if row["type"] == "user":
                client.send("POST", "/access/users", {"userid": row["ugid"], "enable": False})
                users[row["ugid"]] = []
            else:
                client.send("POST", "/access/groups", {"groupid": row["ugid"]})
                groups.add(row["ugid"])
    for name in sorted(name for name in users if is_ours("user", name)):
        # PVE would keep the secrets of tokens that go together with their user in its files.
        for token in users[name]:
            client.send("DELETE", f"/access/users/{name}/token/{token['tokenid']}")
            removed.append(f"token {name}!{token['tokenid']}")
        client.send("DELETE", f"/access/users/{name}")
        removed.append(f"user {name}")
    for name in sorted(name for name in groups if is_ours("group", name)):
        client.send("DELETE", f"/access/groups/{name}")
        removed.append(f"group {name}")
    # A nested pool goes before the one that it is in.
    for name in sorted((name for name in pools if is_ours("pool", name)), reverse=True):
        if client.release >= (8, 1):
            client.send("DELETE", "/pools", {"poolid": name})
        else:
            client.send("DELETE", f"/pools/{name}")
        removed.append(f"pool {name}")
    for name in sorted(name for name in roles if is_ours("role", name)):
        client.send("DELETE", f"/access/roles/{name}")
        removed.append(f"role {name}")
    return removed


def entries(client: Client) -> list[Json]:
    """The ACL entries."""
    rows: list[Json] = client.get("/access/acl")
    return rows


def refuse_entangled(row: Mapping[str, Any], pools: Iterable[str]) -> None:
    """PVE deletes the entries on a pool, and those with a role, together with it. Somebody else's are not for us."""
    if is_ours(row["type"], row["ugid"]):
        return
    pool = row["path"].removeprefix("/pool/")
    if is_ours("role", row["roleid"]) or (pool in pools and is_ours("pool", pool)):
        raise Stop(
            f"The ACL entry of {row['ugid']} (role {row['roleid']} on {row['path']}) uses what belongs to these tests, "
            f"and would go away with it. Names that begin with {OURS} are theirs: take the entry away, then run again."
        )


def see(client: Client, guests: Iterable[int]) -> Seen:
    """Return all of access and the firewall, as far as the server tells.

    The order of its answers about access is random; here it is not.
    """
    seen = firewall.see(client, guests)
    for row in client.get("/access/users", {"full": 1}):
        for token in row.pop("tokens", None) or []:
            seen[f"token {row['userid']}!{token['tokenid']}"] = text(token)
        seen[f"user {row['userid']}"] = text(row)
    for row in client.get("/access/groups"):
        seen[f"group {row['groupid']}"] = text(row)
    for row in client.get("/access/roles"):
        seen[f"role {row['roleid']}"] = text(row)
    for row in entries(client):
        entry = f"acl {row['path']} {row['type']} {row['ugid']} {row['roleid']}"
        seen[entry] = text(row)
    for row in client.get("/pools"):
        name = row["poolid"]
        found = client.get("/pools", {"poolid": name}) if client.release >= (8, 1) else client.get(f"/pools/{name}")
        pool = found[0] if isinstance(found, list) else found
        # Of its members, which they are: the rest is how they fare just now.
        members = sorted(str(member["id"]) for member in pool.get("members") or [])
        seen[f"pool {name}"] = text({"comment": pool.get("comment"), "members": members})
    return seen


def differences(before: Seen, after: Seen) -> list[str]:
    return [
        f"{name}: {'new' if name not in before else 'gone' if name not in after else 'changed'}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


# -- the server -----------------------------------------------------------------------------------------------------


def lacking(client: Client) -> list[str]:
    """Return what the token would need and does not have."""
    view = observe(client, Document(), time.time())
    held = caller_rights(view, view.state)
    return [f"{name} on {path}" for path, names in NEEDS.items() for name in names if name not in held(path)]


def a_guest(client: Client) -> int | None:
    """Return the first guest whose firewall can be worked on, if there is one."""
    view = observe(client, Document(), time.time())
    held = caller_rights(view, view.state)
    rows = client.get("/cluster/resources")
    up = {row["node"] for row in rows if row["type"] == "node" and row.get("status") == "online"}
    vmids = sorted(int(row["vmid"]) for row in rows if row["type"] in ("qemu", "lxc") and row["node"] in up)
    return next((vmid for vmid in vmids if {"VM.Audit", "VM.Config.Network"} <= set(held(f"/vms/{vmid}"))), None)


def look_around(client: Client, folder: Path, guest: int | None) -> Json:
    """Return what the playbooks have to know of this cluster, as variables. Nothing particular has to be there."""
    resources = client.get("/cluster/resources")
    nodes = {row["node"]: row.get("status") == "online" for row in resources if row["type"] == "node"}
    guests = {int(row["vmid"]): row["node"] for row in resources if row["type"] in ("qemu", "lxc")}
    storages = sorted({row["storage"] for row in resources if row["type"] == "storage"})
    up = sorted(node for node, online in nodes.items() if online)
    reachable = sorted(vmid for vmid, node in guests.items() if node in up)
    used = {row["path"] for row in entries(client) if not is_ours(row["type"], row["ugid"])}
    return {
        # Where a reader reads, and a proof looks: the first guest, or without any guest the first node.
        "live_path": f"/vms/{reachable[0]}" if reachable else f"/nodes/{up[0]}",
        # None where there is no guest.
        "live_guest": guest,
        # What is set of the datacenter's firewall now; the tests say the same again.
        "live_firewall_options": {
            name: value for name, value in client.get("/cluster/firewall/options").items() if name in CLUSTER_OPTIONS
        },
        "live_storage": f"/storage/{storages[0]}" if storages else "/storage",
        # A pool that nobody has entries on: PVE would delete them together with the pool.
        "live_pool": next(
            name for name in (f"{OURS}pool{end}" for end in ["", *range(2, 1000)]) if f"/pool/{name}" not in used
        ),
        "live_nested_pools": client.release >= (8, 1),
        "live_missing": next(vmid for vmid in range(999999998, 0, -1) if vmid not in guests),
        # A guest that is not there can only be missed by who would see it.
        "live_all_guests_seen": all(nodes.values()) and "guests" in observe(client, Document(), 0).complete,
        "live_folder": str(folder),
        "live_policy": str(HERE / "policy.yml"),
    }


# -- the playbooks --------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """What became of a playbook; without ``problems`` it passed."""

    name: str
    tasks: int = 0
    checks: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)


class Turn:
    """The right to work on this cluster, for one run of this user at a time.

    A playbook holds it as well: when a run is killed, its playbook lives on for a while, and is not to work on what
    the next run makes.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.descriptor = -1

    def take(self) -> None:
        self.descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + SECONDS_FOR_OTHERS
        told = False
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Stop(f"Another run is at work on this cluster (it holds {self.file}).") from None
            if not told:
                print("Waiting for another run, or for what it has left running.", flush=True)
                told = True
            time.sleep(0.2)

    def give(self) -> None:
        # Closed, not unlocked: that would take it from the playbook, too.
        os.close(self.descriptor)


class Live:
    """One run against one cluster. ``work`` is a folder for it alone."""

    def __init__(self, options: ConnectionOptions, token_file: Path, work: Path) -> None:
        self.options = options
        self.work = work
        self.home = work / "home"
        self.turn = Turn(work / "lock")
        self.guests: list[int] = []
        trust = {"PVE_CA_PATH": options.ca_path, "PVE_FINGERPRINT": options.fingerprint}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_", "XDG_"))}
        self.env = {
            **kept,
            **{name: value for name, value in trust.items() if value},
            "HOME": str(self.home),
            # Before Ansible 2.20 a controller without UTF-8 does not start.
            "LC_ALL": "C.UTF-8",
            "PVE_HOST": options.host,
            "PVE_PORT": str(options.port),
            "PVE_TOKEN_ID": options.identity,
            "PVE_TOKEN_FILE": str(token_file),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "integration" / "callbacks"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".nox" / "tree"),
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "TEST_RESULTS": str(self.home / "results.jsonl"),
        }

    def run(self, names: Iterable[str]) -> bool:
        """Run playbooks and print what came of them. Return whether all is well."""
        self.turn.take()
        self._empty_home()
        with self._client() as client:
            short = lacking(client)
            if short:
                raise Stop(
                    f"{self.options.identity} lacks {', '.join(short)}. These tests make and delete users, groups, "
                    "roles, pools, tokens, ACL entries and firewall rules: give them a token that has the role "
                    "Administrator on /."
                )
            guest = self._choose_guest(client)
            self._tell_removed("Removed what an earlier run has left", clean_up(client, self.guests))
            before = see(client, self.guests)
            variables = look_around(client, self.home, guest)
            print(f"Proxmox VE {'.'.join(map(str, client.release))} at {self.options.address}", end=", ")
            print(
                f"as {self.options.identity}, on {variables['live_path']} and {variables['live_storage']}", flush=True
            )
        results = []
        try:
            for name in names:
                print(f"  {name}", end=" ", flush=True)
                result = self._play(name, variables, before)
                results.append(result)
                print(f"{'FAILED' if result.problems else 'passed'} ({result.seconds:.0f} s)", flush=True)
                tell(result.told)
        except Interrupted:
            print("\nInterrupted: cleaning up.", flush=True)
            results.append(Result(name, problems=["interrupted"]))
            # What the playbook has started ends before anything is deleted.
            self.turn.give()
            self.turn.take()
            raise
        finally:
            with self._client() as client:
                self._tell_removed("Removed", clean_up(client, self.guests))
                after = see(client, self.guests)
            shutil.rmtree(self.home)
            (self.work / "guest").unlink()
            changes = differences(before, after)
            table(results, changes, len(after))
        return not changes and not any(result.problems for result in results)

    def _client(self) -> Client:
        return Client(self.options)

    def _choose_guest(self, client: Client) -> int | None:
        """Return the guest to work on. Until the next run, the one of a run that was killed is remembered, too."""
        note = self.work / "guest"
        guest = a_guest(client)
        noted = [int(line) for line in note.read_text().split()] if note.exists() else []
        self.guests = sorted({*noted, *([guest] if guest else [])})
        note.write_text("\n".join(map(str, self.guests)))
        return guest

    def _empty_home(self) -> None:
        """Secrets of a run that was killed may still be there; their tokens are about to go."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(mode=0o700)
        (self.home / "ansible.cfg").touch()
        self.env["ANSIBLE_CONFIG"] = str(self.home / "ansible.cfg")

    def _tell_removed(self, how: str, removed: list[str]) -> None:
        if removed:
            print(f"{how}: {', '.join(removed)}", flush=True)

    def _play(self, name: str, variables: Json, before: Seen) -> Result:
        """Run a playbook; it passes when it has also cleaned up after itself."""
        started = time.monotonic()
        log = self.work / f"{name}.log"
        Path(self.env["TEST_RESULTS"]).unlink(missing_ok=True)
        status = self._ansible(HERE / "playbooks" / f"{name}.yml", variables, log)
        result = self._judge(name, status, log)
        with self._client() as client:
            if result.problems:
                clean_up(client, self.guests)
            else:
                left = differences(before, see(client, self.guests))
                result.problems += [f"left behind, {change}" for change in left]
                if result.problems:
                    clean_up(client, self.guests)
                else:
                    log.unlink()
        result.seconds = time.monotonic() - started
        return result

    def _ansible(self, playbook: Path, variables: Json, log: Path) -> int:
        program = Path(sys.executable).with_name("ansible-playbook")
        with log.open("w") as stream:
            process = subprocess.Popen(
                [program, playbook, "-e", json.dumps(variables)],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                # An interrupt from the keyboard comes to this program alone, which passes it on.
                start_new_session=True,
                pass_fds=[self.turn.descriptor],
            )
            try:
                return process.wait()
            except Interrupted:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(SECONDS_TO_STOP)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                raise

    def _judge(self, name: str, status: int, log: Path) -> Result:
        result = Result(name)
        for task in self._tasks():
            result.tasks += 1
            if task["outcome"] == "ok" and task["action"] == "ansible.builtin.assert":
                result.checks += 1
            if task["outcome"] == "ok" and task["task"] == TOLD:
                result.told += [(lack[0], lack[1]) for lack in task["result"]["msg"]]
            if task["outcome"] in ("failed", "unreachable"):
                told = task["result"]
                # Of a loop, the items that failed say more than the task does.
                for item in [item for item in told.get("results") or [] if item.get("failed")] or [told]:
                    result.problems.append(f"{task['task']}: {item.get('msg')} {item.get('assertion') or ''}".strip())
        if status and not result.problems:
            result.problems.append(f"ansible-playbook ended with {status}")
        if result.problems:
            result.problems.append(f"the whole output is in {log}")
        elif not result.checks:
            result.problems.append("it checked nothing")
        return result

    def _tasks(self) -> Iterator[Json]:
        with contextlib.suppress(FileNotFoundError):
            for line in Path(self.env["TEST_RESULTS"]).read_text().splitlines():
                yield json.loads(line)


def tell(pairs: Iterable[tuple[str, str]]) -> None:
    """Print what a playbook wants to be told of, a line for each thing with one reason and the number of the others."""
    reasons: dict[str, list[str]] = {}
    for about, why in pairs:
        reasons.setdefault(about, []).append(why)
    for about, whys in reasons.items():
        more = f" And {len(whys) - 1} more." if len(whys) > 1 else ""
        print(f"    incomplete, {about}: {whys[0]}{more}", flush=True)


def table(results: Iterable[Result], changes: list[str], things: int) -> None:
    """Print what was run, what came of it, and what is wrong with it."""
    print(f"\n{'result':8}{'playbook':10}{'tasks':>6}{'checks':>8}{'s':>5}  what it is about")
    for result in results:
        told = "FAILED" if result.problems else "passed"
        numbers = f"{result.tasks:6}{result.checks:8}{result.seconds:5.0f}"
        print(f"{told:8}{result.name:10}{numbers}  {PLAYBOOKS[result.name]}")
        print(*(f"{'':8}- {problem}\n" for problem in result.problems), sep="", end="")
    untouched = f"{things} users, tokens, roles, pools, ACL entries, firewall rules and so on are as they were"
    print(f"{'FAILED' if changes else 'passed':8}{'server':29}  {'not as it was before' if changes else untouched}")
    print(*(f"{'':8}- {change}\n" for change in changes), sep="", end="", flush=True)


# -- the command line -----------------------------------------------------------------------------------------------


def parse(arguments: list[str]) -> tuple[ConnectionOptions, Path, list[str]]:
    """Read the command line. Raises Stop, OptionError."""
    parser = argparse.ArgumentParser(description="Run the integration playbooks on a cluster; see docs/live.md.")
    parser.add_argument("--host", help="a node of the cluster")
    parser.add_argument("--token-id", help="an API token with the role Administrator on /, user@realm!name")
    parser.add_argument("--token-file", type=Path, help="the file with its secret, mode 0600")
    parser.add_argument("--fingerprint", help="SHA-256 fingerprint of the node's certificate, as PVE shows it")
    parser.add_argument("--ca-path", help="CA that the node's certificate is of, where the system does not trust it")
    parser.add_argument("--port", type=int, help="default: 8006")
    parser.add_argument("--only", action="append", choices=PLAYBOOKS, help="run this playbook alone (can be repeated)")
    given = parser.parse_args(arguments)
    missing = [name for name in ("host", "token_id", "token_file") if not getattr(given, name)]
    if missing:
        raise Stop(
            f"Missing: {', '.join(name.upper() for name in missing)}. For example:\n"
            "  make live HOST=192.168.40.60 TOKEN_ID='root@pam!ansible' TOKEN_FILE=~/.pve-admin-token "
            "FINGERPRINT=AA:BB:...\n"
            "The token has to manage users, groups, roles, pools, tokens, ACL entries and the firewall, as one with "
            "the role Administrator on / does.\nWhat the run does and leaves alone is in docs/live.md."
        )
    # Make does not expand a ~ behind a quote, and the playbooks run with another home and in another folder.
    token_file = given.token_file.expanduser().absolute()
    ca_path = str(Path(given.ca_path).expanduser().absolute()) if given.ca_path else None
    params = {
        "host": given.host,
        "port": given.port,
        "token_id": given.token_id,
        "token_file": str(token_file),
        "fingerprint": given.fingerprint,
        "ca_path": ca_path,
    }
    options = ConnectionOptions.from_params(params, {})
    if is_ours("token", options.identity):
        raise Stop(f"{options.identity} is in the name space of the tests ({OURS}*), and would be deleted by them.")
    return options, token_file, given.only or list(PLAYBOOKS)


def _interrupt(*_: object) -> None:
    raise Interrupted


def main(arguments: list[str]) -> int:
    """Return 0 when all passed, 1 when something failed, 2 when nothing could be run, 130 when interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        options, token_file, names = parse(arguments)
        work = ROOT / ".nox" / "live" / f"{options.host}-{options.port}".replace(":", "_")
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        work.chmod(0o700)
        return 0 if Live(options, token_file, work).run(names) else 1
    except (Stop, OptionError) as error:
        print(error, file=sys.stderr)
        return 2
    except PveError as error:
        print(f"{error}\nWhat is left of this run, the next one removes.", file=sys.stderr)
        return 1
    except Interrupted:
        print("Interrupted. What is left of this run, if anything, the next one removes.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
