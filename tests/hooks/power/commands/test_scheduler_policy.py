"""How new VMs are placed: read from the schedulers' real files, and the change shown as a diff of them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hooks.power.commands.scheduler_policy import one_drs, placement, rank, scheduler
from tests.waiting import PATIENCE

SHIPPED = """#  DEFAULT_SCHED: Definition of the default scheduling algorithm
#    - policy:
#      0 = Packing. Heuristic that minimizes the number of hosts in use

MAX_HOST = 1

DEFAULT_SCHED = [
   POLICY = 1
]

DEFAULT_DS_SCHED = [
   POLICY = 1
]

#DEFAULT_SCHED = [
#   POLICY = 3,
#   RANK   = "- (RUNNING_VMS * 50  + FREE_CPU)"
#]
"""
DRS = """#  PLACE:
DEFAULT_SCHED:
  SOLVER: "CBC"
PLACE:
  POLICY: "BALANCE"
  WEIGHTS:
    CPU: 1
OPTIMIZE:
  POLICY: "BALANCE"
"""
CLUSTERS = {"default": 2, "alpha": 12}


def said(tmp_path: Path, name: str, text: str | None) -> str:
    if text is not None:
        (tmp_path / "schedulers").mkdir()
        (tmp_path / f"schedulers/{name}.conf").write_text(text)
    return "\n".join(placement(f"-t 15 -p {name} -o one_drs", tmp_path, CLUSTERS))


@pytest.mark.process
@pytest.mark.skipif(shutil.which("patch") is None, reason="patch is not here: apt-get install patch")
@pytest.mark.parametrize(("name", "text"), [("rank", SHIPPED), ("one_drs", DRS)])
def test_the_diff_applies_and_then_it_packs(tmp_path: Path, name: str, text: str) -> None:
    """An administrator pipes what he is shown into patch: it must fit his file, and do what it says."""
    shown = said(tmp_path, name, text)
    assert "without a restart" in shown
    assert "alpha (12 hosts)" in shown
    diff = "\n".join(line[2:] for line in shown.splitlines() if line.startswith("  ")) + "\n"
    file = tmp_path / f"schedulers/{name}.conf"
    subprocess.run(
        ["patch", str(file)], input=diff, text=True, check=True, capture_output=True, timeout=PATIENCE
    )
    after = list(placement(f"-p {name}", tmp_path, CLUSTERS))
    assert len(after) == 1, after
    assert "pack" in after[0].lower()


def test_only_the_policy_of_hosts_is_changed() -> None:
    """Packing datastores or networks was not asked for."""
    before, after = SHIPPED.splitlines(), rank(SHIPPED).packing.splitlines()
    assert [(a, b) for a, b in zip(before, after, strict=True) if a != b] == [
        ("   POLICY = 1", "   POLICY = 0")
    ]
    lines = zip(DRS.splitlines(), one_drs(DRS).packing.splitlines(), strict=True)
    assert [b for a, b in lines if a != b] == ['  POLICY: "PACK"']
    assert one_drs(DRS).packing.index("PACK") < DRS.index("OPTIMIZE")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('DEFAULT_SCHED=[POLICY="3",RANK="FREE_CPU"]\n', "3"),
        ("DEFAULT_SCHED = [ RANK = x, policy = 2 ]\n", "2"),
        ("# nothing but a comment\n", ""),
        ("", ""),
    ],
)
def test_whatever_way_rank_is_written(text: str, value: str) -> None:
    """Oned's syntax has many spellings; where nothing is said, it spreads."""
    policy = rank(text)
    assert policy.value == value
    assert rank(policy.packing).value == "0"


@pytest.mark.parametrize(
    "text", ["", "PLACE:\n  WEIGHTS:\n    CPU: 1\n", "PLACE:\n\n  # which\n  POLICY: pack\n"]
)
def test_whatever_way_one_drs_is_written(text: str) -> None:
    """Without a policy it balances; the change must still give a file that packs."""
    assert one_drs(one_drs(text).packing).value == "PACK"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A guess shown as a fact would send people to change a file that is not there."""
    assert "not known" in said(tmp_path, "rank", None)
    assert "No such file" in said(tmp_path, "rank", None)
    assert "its own documentation" in said(tmp_path, "mine", None)


def test_who_places_is_read_from_oned() -> None:
    """-o is who optimises, not who places."""
    assert scheduler("-t 15 -p rank -o one_drs") == "rank"
    assert scheduler("-t 15 -p one_drs -o one_drs") == "one_drs"
    assert scheduler("--placer one_drs") == "one_drs"
    assert scheduler("") == "rank"
