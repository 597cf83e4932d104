"""Scrape targets that follow the cloud."""

import json

from sandbox.tour import tell
from sandbox.tour.stage import Stage

NEEDS = "var/remotes/hooks/onext/event"
_NETWORK = """\
NAME="tenants"
VN_MAD="dummy"
BRIDGE="br0"
ONEXT_SCRAPE="YES"
AR=[ TYPE="IP4", IP="10.77.0.10", SIZE="9" ]
"""
_VM = (
    'NAME="{name}"\nCPU="1"\nMEMORY="128"\nNIC=[ NETWORK_ID="{network}" ]\nPROMETHEUS_EXPORTER="{exporter}"\n'
)


def play(stage: Stage) -> None:
    """Start VMs that want to be scraped, one of them at an address that is not its own; end one."""
    tell.chapter("Prometheus: VMs with PROMETHEUS_EXPORTER start; hooks and worker write file_sd targets")
    network = stage.call("vn.allocate", _NETWORK, 0)
    web, bad = (start(stage, network, *one) for one in (("web", "9100"), ("thief", "169.254.169.254:80")))
    target = stage.until("the VM is a target", lambda: targets(stage).get(str(web)))
    tell.line(f"  var/onext/targets/vms.json has VM {web}: {target}")
    stage.typed("onext targets list")
    stage.call("vm.action", "terminate-hard", web)
    stage.until("it is no longer a target", lambda: str(web) not in targets(stage))
    tell.line(f"  VM {web} is terminated: vms.json holds {len(targets(stage))} targets")
    stage.call("vm.action", "terminate-hard", bad)


def start(stage: Stage, network: int, name: str, exporter: str) -> int:
    """Start a VM and wait until it runs."""
    number = int(stage.call("vm.allocate", _VM.format(name=name, network=network, exporter=exporter), False))
    stage.until(f"{name} runs", lambda: stage.document("vm.info", number).findtext("LCM_STATE") == "3")
    return number


def targets(stage: Stage) -> dict[str, str]:
    """Return the address of each VM's target."""
    file = stage.location / "var/onext/targets/vms.json"
    groups = json.loads(file.read_text()) if file.exists() else []
    return {group["labels"]["one_vm_id"]: group["targets"][0] for group in groups}
