"""Show the whole way on a simulated cluster: a policy planned, refused, applied, proved, and unchanged the second time.

Then one of its readers looks round, and holds the cluster against the policy; secrets are renewed and verified; and one
is revoked, which the doctor finds.

It runs the playbook of the collection with the policy of the examples, as a user would, and prints what came of it.
Exits non-zero as soon as a step does not end as it should.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

from ansible_collections.homelab.pve.tests.simulator import ROOT_SECRET, ROOT_TOKEN, Simulator

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "examples" / "policy.yml"
PLAYBOOK = ("ansible-playbook", "homelab.pve.site", "-e", f"policy={os.path.relpath(POLICY, ROOT)}")
PAGES, REPORTS = Path(".nox", "demo", "pve-facts"), Path(".nox", "demo", "audit")
LOST, LOST_FILE = "labby@pve!phone", ".proxmox-labby-token"
ROTATE = ("ansible-playbook", "homelab.pve.rotate", *PLAYBOOK[2:], "-e", "rotate=always", "-e", "overlap=true")
VERIFY = ("ansible-playbook", "homelab.pve.verify", *PLAYBOOK[2:])
REVOKE = ("ansible-playbook", "homelab.pve.revoke", *PLAYBOOK[2:], "-e", f"token={LOST}")
DOCTOR = ("ansible-playbook", "homelab.pve.doctor", "-e", "application=labby")
GATHER = ("ansible-playbook", "homelab.pve.gather", "-e", f"gather_dir={PAGES}")
AUDIT = ("ansible-playbook", "homelab.pve.audit", *PLAYBOOK[2:], "-e", f"reports={REPORTS}")
AUDITOR, AUDITOR_FILE = "claude-reader@pam!claude-token", ".proxmox-api-token"
READER = "vm100-reader@pam!vm100-token"
STRANGER = "192.168.40.77"  # not in the policy's set of admins


class Demo:
    """The playbook, run against a simulator by somebody with a home folder of his own."""

    def __init__(self, simulator: Simulator, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PVE_", "ANSIBLE_"))}
        self.env = {
            **kept,
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PVE_HOST": simulator.host,
            "PVE_PORT": str(simulator.port),
            "PVE_CA_PATH": simulator.ca_file,
            "PVE_TOKEN_ID": ROOT_TOKEN,
            "PVE_TOKEN_SECRET": ROOT_SECRET,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".nox" / "tree"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "integration" / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
            "TEST_RESULTS": str(home / "results.jsonl"),
        }

    def step(self, title: str, *arguments: str, refused: bool = False) -> list[dict[str, Any]]:
        """Run the playbook site, print its own summary, and return the results of its tasks.

        Exits when it fails, or where it is to be ``refused``, when it does not.
        """
        return self.run(title, (*PLAYBOOK, *arguments), refused)

    def be(self, token: str, file: str) -> None:
        """Be a reader from here on, with nothing but that one's own secret."""
        reader = {"PVE_TOKEN_ID": token, "PVE_TOKEN_FILE": str(self.home / file)}
        self.env = {name: value for name, value in self.env.items() if name != "PVE_TOKEN_SECRET"} | reader

    def be_root(self) -> None:
        """Be the administrator again."""
        root = {"PVE_TOKEN_ID": ROOT_TOKEN, "PVE_TOKEN_SECRET": ROOT_SECRET}
        self.env = {name: value for name, value in self.env.items() if name != "PVE_TOKEN_FILE"} | root

    def run(self, title: str, command: tuple[str, ...], refused: bool = False) -> list[dict[str, Any]]:
        """Run a playbook: see ``step``."""
        print(f"\n== {title}\n   $ {shlex.join(command)}", flush=True)
        log = Path(self.env["TEST_RESULTS"])
        log.unlink(missing_ok=True)
        started = time.monotonic()
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run(
            [program, *command[1:]], cwd=ROOT, env=self.env, capture_output=True, text=True, check=False
        )
        tasks = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        for task in tasks:
            if task["task"].rpartition(" : ")[2].startswith(("Tell what was", "Say what was")):
                print(*(f"   {line}" for line in task["result"]["msg"]), sep="\n")
            if refused and task["outcome"] == "failed":
                print(textwrap.indent(textwrap.fill(task["result"]["msg"], 110), "   "))
        changed = sum(bool(task["result"].get("changed")) for task in tasks)
        print(f"   -- changed={changed}, {time.monotonic() - started:.1f} s")
        if bool(done.returncode) != refused:
            print(f"\n{done.stdout}{done.stderr}\nThe playbook ended with {done.returncode}, as printed above.")
            sys.exit(done.returncode or 1)
        return tasks


def must(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"\n{what}")


def main() -> None:
    with Simulator(auth_delay=0) as simulator, tempfile.TemporaryDirectory(prefix="pve-demo-") as folder:
        home = Path(folder)
        demo = Demo(simulator, home)
        print(f"A simulated Proxmox VE cluster (release {simulator.release}) listens on {simulator.base_url}.")
        print(f"The policy is {os.path.relpath(POLICY, ROOT)}; secrets go to a temporary home folder.")

        before = simulator.export()
        demo.step("PLAN: what would be done", "--check", "--diff")
        must(simulator.export() == before, "Check mode has changed something.")
        demo.step(
            f"REFUSED: the same from {STRANGER}, which the policy's firewall would cut off",
            *("--check", "-e", f"firewall_management_source={STRANGER}"),
            refused=True,
        )

        demo.step("APPLY and PROVE: the firewall, and least-privilege readers, each proved with its own secret")
        secrets = sorted(home.glob(".proxmox-*"))
        for secret in secrets:
            print(f"   kept: ~/{secret.name}, mode {secret.stat().st_mode & 0o777:04o}")
        must(bool(secrets), "No secret was kept.")

        tasks = demo.step("AGAIN: nothing to change, and everything still proved")
        must(not any(task["result"].get("changed") for task in tasks), "The second run has changed something.")
        demo.be(AUDITOR, AUDITOR_FILE)
        demo.run(f"LOOK ROUND: what {AUDITOR} sees, as a page", GATHER)
        demo.run(f"AUDIT: {AUDITOR} holds the cluster against the policy", AUDIT)
        print(f"   the report for reviewers: {REPORTS / 'audit.html'}")

        demo.be_root()
        named = ("-e", json.dumps({"tokens": [READER]}))
        demo.run("ROTATE: a new secret, with another token in its place until it is in use", (*ROTATE, *named))
        demo.be(AUDITOR, AUDITOR_FILE)
        demo.run("VERIFY: every stored secret logs in, and has the rights of the policy", VERIFY)
        demo.be_root()
        demo.run("REVOKE: the phone is lost, and its token ends", REVOKE)
        demo.be(LOST, LOST_FILE)
        admin = ("-e", f"admin_token_id={AUDITOR}", "-e", f"admin_token_file={home / AUDITOR_FILE}")
        why = "DOCTOR: why does the phone not get in any more? The auditor can see it"
        demo.run(why, (*DOCTOR, *admin), refused=True)

    print("\nPlanned, refused, applied, proved, unchanged the second time, audited, renewed, revoked. On your cluster:")
    print("  ansible-playbook homelab.pve.site -e policy=FILE -e pve_host=ADDRESS \\")
    print("    -e 'pve_token_id=USER@REALM!NAME' -e pve_token_file=FILE --check --diff")


if __name__ == "__main__":
    main()
