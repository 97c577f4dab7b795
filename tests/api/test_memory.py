"""What may still be allocated: the least of what machine, control groups and limits leave."""

import resource
import sys

import pytest
from commands import run

from rfos._system import memory as memory_module

KB, MB = 2**10, 2**20


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Files as Linux shows them; where nothing is written nothing is known."""
    monkeypatch.setattr(memory_module, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory_module, "GROUPS", tmp_path / "groups")

    def write(**files):
        for name, text in files.items():
            path = tmp_path.joinpath(*name.split("__"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def available() -> int:
    """What is available now, whatever was so a moment ago."""
    return memory_module._available.__wrapped__(0)


def test_what_others_have_taken_is_not_available(machine):
    """MemAvailable counts where it is less than nine tenths of the machine, and those do where it is missing."""
    whole = available()
    machine(proc__meminfo=f"MemTotal:       99 kB\nMemAvailable:       {40 * KB} kB\n")
    assert available() == 40 * MB < whole


@pytest.mark.parametrize("place", ["/", "/jobs/mine", "/outside/of/this/container"])
def test_the_limit_of_a_control_group_counts_less_its_usage(machine, place):
    """Version 2; files that are kept in memory can be given up, and in a container the group is at the root."""
    machine(
        **{
            "proc__self__cgroup": f"0::{place}\n",
            "groups__memory.max": f"{50 * MB}\n",
            "groups__memory.current": f"{20 * MB}\n",
            "groups__memory.stat": f"anon 5\ninactive_file {3 * MB}\nactive_file 7\n",
        }
    )
    assert available() == 33 * MB


def test_the_tightest_of_the_groups_above_counts(machine):
    """A group without a limit of its own ("max") lies in one that has one, and in one that has more left."""
    machine(
        **{
            "proc__self__cgroup": "0::/user/job\n",
            "groups__user__job__memory.max": "max\n",
            "groups__user__job__memory.current": f"{5 * MB}\n",
            "groups__user__memory.max": f"{30 * MB}\n",
            "groups__user__memory.current": f"{10 * MB}\n",
            "groups__memory.max": f"{90 * MB}\n",
            "groups__memory.current": f"{10 * MB}\n",
        }
    )
    assert available() == 20 * MB


def test_version_1_of_control_groups_counts_too(machine):
    """The memory group stands among others, in a folder of its own."""
    machine(
        **{
            "proc__self__cgroup": "5:cpu,cpuacct:/job\n4:memory:/job\n0::/\n",
            "groups__memory__job__memory.limit_in_bytes": f"{25 * MB}\n",
            "groups__memory__job__memory.usage_in_bytes": f"{24 * MB}\n",
            "groups__memory.max": "nonsense\n",
        }
    )
    assert available() == MB
    machine(**{"groups__memory__job__memory.usage_in_bytes": f"{26 * MB}\n"})
    assert available() == 0


def test_the_limit_on_address_space_counts_less_what_is_mapped(monkeypatch, machine):
    """As set by ulimit -v; an unlimited one does not count."""
    machine(proc__self__status=f"Name:\tpython\nVmSize:\t {60 * KB} kB\nVmRSS:\t {9 * KB} kB\n")
    monkeypatch.setattr(memory_module.resource, "getrlimit", lambda kind: (100 * MB, resource.RLIM_INFINITY))
    assert available() == 40 * MB
    monkeypatch.setattr(
        memory_module.resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    assert available() > 100 * MB


@pytest.mark.processes
def test_a_process_under_a_limit_refuses_what_does_not_fit_there():
    """In a process of its own with 4 GB of address space: 3.999 GB are refused in one sentence."""
    program = "from rfos._system.memory import require_memory; require_memory(3_999_000_000, 'it', 'take less')"
    limit = 4 * 10**9
    done = run([sys.executable, "-c", program], before=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert "MemoryError: it needs 3,999,000,000 bytes, above the limit of " in done.stderr
    assert "here: take less" in done.stderr
