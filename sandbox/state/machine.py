"""The machine that a host is: what OpenNebula's dummy probes report (recorded), as XML."""

from sandbox import markup
from sandbox.markup import tag, text

_NODES = 2
_CORES = 8  # per NUMA node
_THREADS = 4
_PAGES = ((2048, 1024), (1048576, 1024))

# What the probes write into a host's template, besides TOTALCPU and TOTALMEMORY.
STATIC = {
    "ARCH": "x86_64",
    "CPUSPEED": "3200",
    "KVM_CPU_FEATURES": (
        "vme,ds,acpi,ss,ht,tm,pbe,dtes64,monitor,ds_cpl,vmx,smx,est,tm2,xtpr,pdcm,osxsave,f16c,rdrand,arat,"
        "tsc_adjust,clflushopt,clwb,intel-pt,sha-ni,umip,pku,ospke,waitpkg,gfni,vaes,vpclmulqdq,rdpid,movdiri,"
        "movdir64b,pks,fsrm,md-clear,serialize,arch-lbr,stibp,arch-capabilities,core-capability,ssbd,avx-vnni,"
        "xsaveopt,xsavec,xgetbv1,xsaves,pdpe1gb,abm,invtsc,rdctl-no,ibrs-all,skip-l1dfl-vmentry,mds-no,"
        "pschange-mc-no"
    ),
    "KVM_CPU_MODELS": (
        "486 pentium pentium2 pentium3 pentiumpro coreduo n270 core2duo qemu32 kvm32 cpu64-rhel5 cpu64-rhel6 "
        "kvm64 Conroe Penryn Nehalem Nehalem-IBRS Westmere Westmere-IBRS SandyBridge SandyBridge-IBRS "
        "IvyBridge IvyBridge-IBRS SapphireRapids SapphireRapids-noTSX Opteron_G1"
    ),
    "MODELNAME": "Dummy(R) Core @ 3.2GHz",
}


def numa_xml(memory: int) -> str:
    """Return the NUMA nodes of a machine with so much memory (KiB)."""
    return "".join(_node(node, memory // _NODES) for node in range(_NODES))


def _node(node: int, memory: int) -> str:
    cores = "".join(_core(core) for core in range(node * _CORES, (node + 1) * _CORES))
    pages = "".join(
        tag("HUGEPAGE", text("PAGES", count) + text("SIZE", size) + text("USAGE", 0))
        for size, count in _PAGES
    )
    distance = "0 1" if node == 0 else "1 0"
    amount = tag("MEMORY", text("DISTANCE", distance) + text("TOTAL", memory) + text("USAGE", 0))
    return tag("NODE", cores + pages + amount + text("NODE_ID", node))


def _core(core: int) -> str:
    threads = ",".join(f"{core + _NODES * _CORES * thread}:-1" for thread in range(_THREADS))
    return tag(
        "CORE", text("CPUS", threads) + text("DEDICATED", "NO") + text("FREE", _THREADS) + text("ID", core)
    )


def numa_monitoring_xml(free: int, used: int) -> str:
    """Return what the probes measured per NUMA node: the memory (KiB) split evenly."""
    return "".join(_measured(node, free // _NODES, used // _NODES) for node in range(_NODES))


def _measured(node: int, free: int, used: int) -> str:
    pages = "".join(tag("HUGEPAGE", text("FREE", count) + text("SIZE", size)) for size, count in _PAGES)
    memory = tag("MEMORY", text("FREE", free) + text("USED", used))
    return markup.tag("NUMA_NODE", pages + memory + text("NODE_ID", node))
