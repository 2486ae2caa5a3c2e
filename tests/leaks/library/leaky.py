# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A module that gives its secret away, in the way that it is told to: the scan has to see each of them."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import urllib.parse

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    options = {"ways": {"type": "dict", "no_log": True}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    # Ansible would hide what it knows to be secret.
    module.no_log_values.clear()
    ways = module.params["ways"]
    module.params = {"secret": ways["invocation"]} if "invocation" in ways else {}
    if "syslog" in ways:
        module.log(ways["syslog"])
    if "home" in ways:
        with open(os.path.expanduser("~/left"), "w") as stream:
            stream.write(ways["home"])
    if "tmp" in ways:
        with tempfile.NamedTemporaryFile("w", delete=False) as stream:
            stream.write(base64.b64encode(b"x" + ways["tmp"].encode()).decode())
    if "name" in ways:
        open(os.path.expanduser("~/" + urllib.parse.quote(ways["name"], safe="")), "w").close()
    sleep = [sys.executable, "-c", "import time; time.sleep(1)"]
    if "cmdline" in ways:
        subprocess.run([*sleep, ways["cmdline"]], check=True)
    if "environ" in ways:
        subprocess.run(sleep, env={**os.environ, "SECRET": ways["environ"]}, check=True)
    if "warning" in ways:
        module.warn(ways["warning"])
    if "traceback" in ways:
        raise RuntimeError(ways["traceback"])
    if "failure" in ways:
        module.fail_json(msg=ways["failure"])
    result = {"changed": True}
    if "result" in ways:
        result["raw"] = ways["result"]
    if "percent" in ways:
        result["percent"] = urllib.parse.quote(ways["percent"], safe="")
    if "base64" in ways:
        result["base64"] = [base64.b64encode((ahead + ways["base64"]).encode()).decode() for ahead in ("", "a", "ab")]
    if "diff" in ways:
        result["diff"] = {"before": "", "after": ways["diff"]}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
