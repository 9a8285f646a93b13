"""Outputs are placed together or not at all, and nothing is replaced or deleted that was not made here."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from makers.forms import parser_of
from makers.scripts import ROOT
from seqlm.cli import outputs as module
from seqlm.cli.errors import InputError
from seqlm.cli.outputs import Outputs, check_targets, near_to, put

USUAL = ("--model=m", "--sequences=s.fasta", "--output-table=t.tsv")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with what a user may have in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("s.fasta", "old.tsv", "full/kept.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("the user's")
    Path("empty").mkdir()
    Path("link").symlink_to("old.tsv")
    Path("dangling").symlink_to("nowhere")
    os.link("old.tsv", "twin.tsv")
    os.mkfifo("pipe")
    return tmp_path


def check(tool, *options):
    parser = parser_of(tool)
    check_targets(parser, parser.parse_args(options))


REFUSED = {
    "--output-figures=full": "is not empty, and what is in it is left alone",
    "--output-figures=.": "is not empty",
    "--output-figures=old.tsv": "is a file, where a folder is needed",
    "--output-figures=link": "is a link",
    "--output-report=empty": "is a folder, where a file is needed",
    "--output-report=link": "is a link, and what it leads to is left alone",
    "--output-report=dangling": "is a link",
    "--output-report=pipe": "is a device, pipe or socket",
    "--output-report=/dev/null": "is a device, pipe or socket",
    "--output-report=s.fasta": "--output-report would replace the file that --sequences reads",
    "--output-report=full/../s.fasta": "would replace the file that --sequences reads",
    "--output-report=t.tsv": "--output-report and --output-table have the same name",
    "--output-report=empty/../t.tsv": "have the same name",
    "--output-figures=t.tsv": "have the same name",
    "--output-report=none/r.md": "there is no folder",
    "--output-report=old.tsv/r.md": "there is no folder",
    f"--output-report={'x' * 300}": "File name too long",
}


@pytest.mark.parametrize("option", REFUSED)
def test_a_target_that_is_not_free_is_refused_before_the_work(folder, option):
    with pytest.raises(InputError, match=REFUSED[option]):
        check("embed", *USUAL, option)


def test_two_outputs_are_not_one_file_under_two_names(folder):
    with pytest.raises(InputError, match="have the same name"):
        check("embed", *USUAL[:2], "--output-table=old.tsv", "--output-report=twin.tsv")


def test_every_input_is_left_alone(folder):
    with pytest.raises(InputError, match="--output-table would replace the file that --predictions reads"):
        check("evaluate", "--predictions=none.tsv", "--predictions=old.tsv", "--output-table=old.tsv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(folder):
    Path("empty").chmod(0o500)
    with pytest.raises(InputError, match="no permission to write"):
        check("embed", *USUAL, "--output-report=empty/r.md")


def test_what_is_no_file_may_have_any_name(folder):
    check("embed", *USUAL, "--output-figures=empty", "--model-id=t.tsv", "--output-report=old.tsv")
    Path("output").write_text("")
    check("pretrain", "--corpus=c", "--output-model=m.zip", "--output-column=output", "--input-column=m.zip")


def make(outputs):
    outputs.file("old.tsv").write_text("new")
    outputs.folder("empty").joinpath("roc.png").write_text("new")
    outputs.folder("figures").joinpath("roc.png").write_text("new")
    outputs.file("t.tsv").write_text("new")


def what_is_there():
    paths = [path for path in Path().rglob("*") if not path.is_symlink() and not path.is_fifo()]
    return {str(path): path.read_text() if path.is_file() else "" for path in paths}


def test_outputs_are_placed_with_the_rights_of_the_user(folder):
    before = what_is_there()
    with Outputs() as outputs:
        make(outputs)
        assert what_is_there() == before
    new = dict.fromkeys(("old.tsv", "empty/roc.png", "figures/roc.png", "t.tsv"), "new")
    assert what_is_there() == before | {"figures": ""} | new
    assert {Path(name).stat().st_mode & 0o777 for name in new} == {0o666 & ~module._umask()}


@pytest.mark.parametrize("other_filesystem", [False, True])
@pytest.mark.parametrize("last", range(4))
def test_what_was_placed_is_taken_back_where_the_next_cannot_be(folder, monkeypatch, last, other_filesystem):
    if other_filesystem:
        monkeypatch.setattr(module, "near_to", lambda target: Path("/dev/shm"))
    real, placed = module.put, []

    def failing(made, target):
        if len(placed) == last:
            placed.append(None)
            raise OSError(28, "No space left on device")
        placed.append(target)
        real(made, target)

    before = what_is_there()
    with pytest.raises(OSError, match="No space"), Outputs() as outputs:
        make(outputs)
        monkeypatch.setattr(module, "put", failing)
    assert what_is_there() == before


def test_a_file_reaches_another_filesystem_whole(folder):
    assert os.stat("/dev/shm").st_dev != os.stat(".").st_dev, "this test needs two filesystems"
    made = Path("/dev/shm") / f"seqlm_test_{os.getpid()}"
    made.write_text("new")
    put(made, Path("old.tsv").absolute())
    made.unlink()
    assert Path("old.tsv").read_text() == "new"
    assert not list(Path().glob(".seqlm_*"))


def test_temporary_files_are_where_a_rename_can_place_them(folder, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", "/dev/shm")
    assert near_to("t.tsv") == Path.cwd()
    assert near_to("/dev/shm/t.tsv") == Path("/dev/shm")
    monkeypatch.setattr(module.tempfile, "tempdir", str(folder / "full"))
    assert near_to("t.tsv") == folder / "full"
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=str(path).endswith("full")))
    assert near_to("/dev/shm/t.tsv") == folder / "full"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_that_is_killed_leaves_nothing_beside_its_outputs(tmp_path, how):
    for name in ("outputs", "temporary"):
        (tmp_path / name).mkdir()
    (tmp_path / "outputs" / "e.tsv").write_text("old")
    code = (
        "import time, embed\n"
        "def work(arguments, scratch, outputs):\n"
        "    outputs.file(arguments.output_table).write_text('half')\n"
        "    outputs.folder(arguments.output_figures).joinpath('a.png').write_text('half')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "embed.run(embed.options(), work)\n"
    )
    options = ("--model=m", "--sequences=s", "--output-table=e.tsv", "--output-figures=f")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "TMPDIR": str(tmp_path / "temporary")}
    job = subprocess.Popen(
        [sys.executable, "-c", code, *options], cwd=tmp_path / "outputs", env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert job.stdout.readline() == "ready\n"
    job.send_signal(how)
    said = job.communicate(timeout=20)[1]
    assert {path.name: path.read_text() for path in (tmp_path / "outputs").iterdir()} == {"e.tsv": "old"}
    if how == signal.SIGTERM:
        assert (job.returncode, said.count("\n")) == (143, 1)
        assert said.startswith("error: stopped before the outputs were complete")
    left = [path.name for path in (tmp_path / "temporary").iterdir()]
    assert len(left) == (how == signal.SIGKILL) and all(name.startswith("seqlm_") for name in left)
