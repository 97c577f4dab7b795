"""Compiled kernels that are kept on disk: from whom they are taken, and what a cache that is damaged or full costs.

The right value is that of a process without any cache; what is planted leaves a mark if it runs.
"""

import errno
import os
import pickle
import re
import resource
import shutil
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest
from commands import here, run
from specs import spec

from rfos._kernels import _cache, _jit

pytestmark = [
    pytest.mark.jit,
    pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no numbered owners here"),
]

NOBODY = 65534
as_root = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can give a folder to another user"
)

KERNEL = """
import numpy as np
from rfos._kernels import random
out = np.empty(3)
random.fill_uniform(np.array([1, 2, 3, 4], np.uint64), out)
print(repr(float(out[2])), sum(random.fill_uniform.stats.cache_hits.values()))
"""
WHERE = "from rfos._kernels import _jit; print(_jit.CACHE_FOLDER)"


def python(code, *, before=lambda: None, **variables):
    """A new process with these environment variables; None takes one away."""
    environment = {name: value for name, value in (os.environ | variables).items() if value is not None}
    done = run([sys.executable, "-c", code], env=environment, before=before)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache below a folder that was missing, which a process without any umask has filled, and what it printed."""
    cache = tmp_path_factory.mktemp("filled") / "a" / "b"
    return cache, python(KERNEL, RFOS_CACHE_DIR=str(cache), before=lambda: os.umask(0)).stdout


def twice(x):
    return 2 * x


def thrice(x):
    return 3 * x


def call(folder, function=twice, argument=7):
    """What a function that is compiled anew returns, and how often its code was found in a folder."""
    dispatcher = numba.njit(function)
    dispatcher._cache = _cache.Cache(function, folder)
    return dispatcher(argument), sum(dispatcher.stats.cache_hits.values())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The chosen folder, with one compiled function in its inmost."""
    monkeypatch.setenv("RFOS_CACHE_DIR", str(tmp_path / "cache"))
    folder = _cache.cache_folder("kernels", "inner")
    assert call(folder) == (14, 0)
    assert call(folder) == (14, 1)
    return tmp_path / "cache"


def files(folder):
    return sorted(folder.rglob("*.nbc"))


def inner(folder):
    """The folder that holds the files."""
    return folder / "kernels" / "inner"


class Planted:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def plant(folder, mark, owner=None):
    """Replace all files by a pickle, with the digest that the reader asks for: whoever can write can compute it."""
    payload = pickle.dumps(Planted(mark))
    for path in files(folder):
        path.unlink()
        _cache.write(path, payload)
        if owner is not None:
            os.chown(path, owner, owner)


def test_what_is_planted_would_run(cache, tmp_path):
    """The mark is one: in the user's own file, which only this user can write, it is loaded."""
    plant(cache, tmp_path / "mark")
    call(inner(cache))
    assert (tmp_path / "mark").exists()


@pytest.mark.processes
@as_root
def test_a_planted_pickle_does_not_run_in_a_process_of_root(filled, tmp_path):
    """Of a cache that was filled by root and given to another user: no cache, one line, the same number."""
    cache = tmp_path / "cache"
    shutil.copytree(filled[0], cache)
    assert python(KERNEL, RFOS_CACHE_DIR=str(cache)).stdout.split() == [filled[1].split()[0], "1"]
    plant(cache, tmp_path / "mark", NOBODY)
    for path in (cache, *cache.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    second = python(KERNEL, RFOS_CACHE_DIR=str(cache))
    assert second.stdout == filled[1]
    (line,) = second.stderr.splitlines()
    assert line.startswith("rfos: compiled kernels are not kept: the folder ")
    assert not (tmp_path / "mark").exists()


@pytest.mark.processes
def test_the_folders_and_files_are_this_user_s_alone_whatever_the_umask(filled):
    """Mode 0700 and 0600, parents that were missing included."""
    cache, _ = filled
    for path in (cache.parent, *cache.parent.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert len(files(cache)) > 1


def give_away(folder):
    os.chown(folder, NOBODY, NOBODY)


FOLDERS = {"chosen": lambda cache: cache, "kernels": lambda cache: cache / "kernels", "inner": inner}


def refused(chosen, capsys, monkeypatch, *words):
    """No cache, and one line with these words."""
    monkeypatch.setenv("RFOS_CACHE_DIR", str(chosen))
    assert _cache.cache_folder("kernels", "inner") is None
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("rfos: compiled kernels are not kept: ")
    assert all(word in line for word in words), line
    assert out == ""


def accepted(chosen, capsys, monkeypatch):
    """The folder is used, without a word."""
    monkeypatch.setenv("RFOS_CACHE_DIR", str(chosen))
    folder = _cache.cache_folder("kernels", "inner")
    assert folder is not None
    assert capsys.readouterr() == ("", "")
    return folder


@as_root
@pytest.mark.parametrize("which", FOLDERS)
def test_the_folder_of_another_user_is_not_used(cache, which, capsys, monkeypatch):
    """It may hold what they like, also where the files are this user's."""
    folder = FOLDERS[which](cache)
    give_away(folder)
    refused(
        cache, capsys, monkeypatch, f"the folder {str(folder)!r} belongs to another user (uid {NOBODY})", "set RFOS"
    )


@pytest.mark.processes
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
@pytest.mark.parametrize("which", FOLDERS)
def test_a_folder_that_others_can_write_to_is_not_used(cache, which, mode, capsys, monkeypatch):
    """The line names the mend, and the mend is one."""
    folder = FOLDERS[which](cache)
    folder.chmod(mode)
    refused(cache, capsys, monkeypatch, f"other users can write to the folder {str(folder)!r}: run chmod go-w on it")
    assert run(["chmod", "go-w", str(folder)]).returncode == 0
    accepted(cache, capsys, monkeypatch)


@as_root
def test_a_file_of_another_user_in_a_folder_of_this_one_is_a_miss(cache, tmp_path):
    """As of a time when others could still write there; so are a file that others can write, a link and a pipe."""
    elsewhere = tmp_path / "elsewhere"
    _cache.write(elsewhere, pickle.dumps(Planted(tmp_path / "mark")))

    def open_to_all(path):
        path.chmod(0o666)

    def link(path):
        path.unlink()
        path.symlink_to(elsewhere)

    def pipe(path):
        path.unlink()
        os.mkfifo(path, 0o600)

    for harm in (give_away, open_to_all, link, pipe):
        plant(cache, tmp_path / "mark")
        (path,) = files(cache)
        harm(path)
        assert call(inner(cache)) == (14, 0), harm
        assert call(inner(cache)) == (14, 1), harm
    path.unlink()
    path.mkdir()
    assert call(inner(cache)) == (14, 0)
    assert not (tmp_path / "mark").exists()


@as_root
def test_a_parent_that_another_user_can_replace_is_not_trusted(tmp_path, capsys, monkeypatch):
    """Owned by another, or open to all without the sticky bit of /tmp; with it others cannot replace what is here."""
    parent = tmp_path / "shared"
    parent.mkdir()
    parent.chmod(0o1777)
    accepted(parent / "cache", capsys, monkeypatch)
    for mode in (0o777, 0o775):
        parent.chmod(mode)
        refused(parent / "cache", capsys, monkeypatch, f"other users can write to the folder {str(parent)!r}")
    parent.chmod(0o755)
    give_away(parent)
    refused(parent / "cache", capsys, monkeypatch, f"the folder {str(parent)!r} belongs to another user")


@as_root
def test_links_are_followed_to_what_is_safe_and_not_where_another_user_points(cache, tmp_path, capsys, monkeypatch):
    """One's own link to a safe folder is used, to an unsafe one it is not; nor is another user's link, wherever to."""
    link = tmp_path / "link"
    link.symlink_to(cache)
    assert accepted(link, capsys, monkeypatch) == inner(cache)
    os.lchown(link, NOBODY, NOBODY)
    refused(link, capsys, monkeypatch, f"the link {str(link)!r} belongs to another user")
    os.lchown(link, 0, 0)
    cache.chmod(0o777)
    refused(link, capsys, monkeypatch, f"other users can write to the folder {str(cache)!r}")
    cache.chmod(0o700)
    (cache / "kernels").rename(tmp_path / "moved")
    (cache / "kernels").symlink_to(tmp_path / "moved")
    refused(cache, capsys, monkeypatch, f"{str(cache / 'kernels')!r} is not a folder")


POOL = """
from rfos._system.processes import Pool

def kept():
    from rfos._kernels import _jit
    return str(_jit.CACHE_FOLDER)

if __name__ == "__main__":
    with Pool(2) as pool:
        print(*{future.result() for future in [pool.submit(kept) for _ in range(4)]}, kept())
"""


@pytest.mark.processes
def test_workers_do_as_their_driver_and_say_nothing_more(tmp_path):
    """The same folder, or none and one line in all."""
    (tmp_path / "pool.py").write_text(POOL)
    folder = tmp_path / "cache"
    for mode in (0o700, 0o777):
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
        command = [sys.executable, str(tmp_path / "pool.py")]
        done = run(command, env=os.environ | {"RFOS_CACHE_DIR": str(folder)})
        assert done.returncode == 0, done.stderr
        workers, driver = done.stdout.split()
        assert workers == driver
        assert (driver != "None", len(done.stderr.splitlines())) == ((True, 0) if mode == 0o700 else (False, 1))


def chosen_with(monkeypatch, **variables):
    for name in ("HOME", "XDG_CACHE_HOME", "RFOS_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_tilde_is_the_home_folder(tmp_path, capsys, monkeypatch):
    """Where nothing or nothing absolute is chosen, it is the user's caches, as the standard of XDG_CACHE_HOME says."""
    home, xdg = str(tmp_path / "home"), str(tmp_path / "xdg")
    for variables, wanted in (
        ({"RFOS_CACHE_DIR": "~/mine"}, "home/mine"),
        ({"RFOS_CACHE_DIR": "~"}, "home"),
        ({"RFOS_CACHE_DIR": ""}, "home/.cache/rfos"),
        ({}, "home/.cache/rfos"),
        ({"XDG_CACHE_HOME": xdg}, "xdg/rfos"),
        ({"XDG_CACHE_HOME": "xdg"}, "home/.cache/rfos"),
    ):
        chosen_with(monkeypatch, HOME=home, **variables)
        assert _cache.cache_folder("kernels") == tmp_path / wanted / "kernels", variables
    assert capsys.readouterr() == ("", "")


def test_without_an_absolute_folder_there_is_no_cache(tmp_path, capsys, monkeypatch):
    """A relative path, or neither HOME nor an entry of this user: no folder ~ appears in the working directory."""
    monkeypatch.chdir(tmp_path)
    for chosen in ("here", "./here", "~nobody-of-this-name/x"):
        refused(chosen, capsys, monkeypatch, f"RFOS_CACHE_DIR is {chosen!r}, which is not an absolute path: give one")

    def none(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", none)
    for variables in ({}, {"HOME": "relative"}, {"HOME": "~"}):
        chosen_with(monkeypatch, **variables)
        assert _cache.cache_folder("kernels") is None
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith("this user has no home folder: set RFOS_CACHE_DIR to a folder of your own")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path, capsys, monkeypatch):
    """With the system's reason; a name with a line break in it stays one line."""
    (tmp_path / "file").write_text("")
    for chosen in ("file/x", "file", "n" * 300, "a/" * 3000, "file/\nx\x1b[2J"):
        refused(tmp_path / chosen, capsys, monkeypatch, "set RFOS_CACHE_DIR to a folder of your own")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    refused("/proc/none/x", capsys, monkeypatch, "no such file or directory: '/proc/none'")


@pytest.mark.processes
def test_where_messages_are_closed_the_line_is_lost(tmp_path):
    """And nothing else."""
    (tmp_path / "file").write_text("")
    done = python(WHERE, RFOS_CACHE_DIR=str(tmp_path / "file"), before=lambda: os.close(2))
    assert (done.stdout, done.stderr) == ("None\n", "")


# Damage ------------------------------------------------------------------------------------------------------------


def cut_to_nothing(path):
    os.truncate(path, 0)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 4
    path.write_bytes(content)


def garbage(path):
    path.write_bytes(os.urandom(4096))


def another_pickle(path):
    path.unlink()
    _cache.write(path, pickle.dumps(["neither", "this", "nor that"]))


def not_a_pickle(path):
    path.unlink()
    _cache.write(path, b"")


@pytest.mark.parametrize("harm", [cut_to_nothing, cut, flip, garbage, another_pickle, not_a_pickle, Path.unlink])
def test_a_damaged_cache_is_a_miss_and_is_mended(cache, harm):
    """The same number; the next process finds it again."""
    harm(files(cache)[0])
    assert call(inner(cache)) == (14, 0)
    assert call(inner(cache)) == (14, 1)


def test_any_flipped_bit_is_found(cache):
    """In each of 200 bytes all over the file, the digest included."""
    (path,) = files(cache)
    content = path.read_bytes()
    assert _cache.read(path)
    for place in np.linspace(0, len(content) - 1, 200).astype(int):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(OSError, match="is damaged"):
            _cache.read(path)


def test_a_file_of_other_types_is_a_miss_and_other_functions_have_other_files(cache):
    """A name alone proves nothing."""
    assert call(inner(cache), twice, 7.0) == (14.0, 0)
    first, second = files(cache)
    whole, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(whole)
    assert call(inner(cache), twice, 7.0) == (14.0, 0)
    assert call(inner(cache), twice, 7) == (14, 0)
    assert call(inner(cache), thrice, 7) == (21, 0)
    assert len(files(cache)) == 3


@pytest.mark.processes
def test_a_full_disk_or_a_quota_is_a_miss_and_leaves_nothing_behind(filled, tmp_path):
    """A limit stands for both: no file may have more than 4 KiB."""

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = python(KERNEL, RFOS_CACHE_DIR=str(tmp_path / "cache"), before=small_files)
    assert done.stderr == ""
    assert done.stdout == filled[1]
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_read(cache, monkeypatch):
    """As on a medium that is mounted for reading: a hit for what is there, a miss for the rest."""

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkstemp", read_only)
    assert call(inner(cache)) == (14, 1)
    assert call(inner(cache), thrice) == (21, 0)
    assert call(inner(cache), thrice) == (21, 0)
    assert len(files(cache)) == 1


def test_a_cache_that_is_removed_meanwhile_is_a_miss(cache):
    """Its folder included."""
    shutil.rmtree(cache)
    assert call(inner(cache)) == (14, 0)
    assert not cache.exists()


@pytest.mark.processes
def test_processes_that_fill_a_cache_together_leave_what_each_would(tmp_path):
    """Four at once: the same numbers from all, no partial files, and every kernel is found afterwards."""
    variables = {"RFOS_CACHE_DIR": str(tmp_path / "cache")}
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: python(KERNEL, **variables), range(4)))
    assert {done.stderr for done in found} == {""}
    (value,) = {done.stdout.split()[0] for done in found}
    assert python(KERNEL, **variables).stdout.split() == [value, "1"]
    every = sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert every == files(tmp_path / "cache")
    assert len({re.match(r"random\.\w+", path.name)[0] for path in every}) == len(every)


# Commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.processes
def test_a_command_on_a_damaged_cache_ends_as_on_a_sound_one(tmp_path):
    """Neither "interrupted" nor 130, and no cell that has failed."""
    (tmp_path / "spec.toml").write_text(spec("t", 3))
    command = [sys.executable, "-m", "rfos", "sweep", "spec.toml", "--jobs", "1", "--store"]
    # That of these tests, which is sound; what the first command finds there need not be compiled.
    shutil.copytree(_jit.CACHE_FOLDER.parent, tmp_path / "cache" / _jit.CACHE_FOLDER.parent.name)
    environment = os.environ | {"RFOS_CACHE_DIR": str(tmp_path / "cache")}
    first = run([*command, "first.db"], cwd=tmp_path, env=environment)
    assert len(files(tmp_path / "cache")) > 1
    for path in files(tmp_path / "cache"):
        os.truncate(path, 0)
    second = run([*command, "second.db"], cwd=tmp_path, env=environment)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert second.stdout == first.stdout
    assert second.stderr == ""


def test_the_end_of_a_file_is_not_an_interrupt(tmp_path, monkeypatch):
    """130 means Ctrl-C and nothing else: an EOFError, which the command line's library renames, is shown as it is."""
    from rfos.commands import main

    monkeypatch.setattr("rfos.laboratory.verification.verify.verify", lambda *_, **__: pickle.loads(b""))
    with pytest.raises(EOFError, match="Ran out of input"):
        main.main(["verify", "--instances", "1", "--jobs", "1"])

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("rfos.laboratory.verification.verify.verify", interrupt)
    done = here("verify", "--instances", "1", "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 130
    assert "rfos: interrupted" in done.stderr
