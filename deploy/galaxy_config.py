"""The configuration folder of the local Galaxy: what it is told, and why.

``deploy/galaxy.py`` starts and stops the server; this file only writes text. Nothing here is for a production Galaxy:
one user without a log-in, SQLite, jobs on the same machine with the tools' environment put on their path.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TOOLS_ENVIRONMENT = REPOSITORY / ".venvs" / "tools"
DATA_MANAGERS = REPOSITORY / "data_managers"
TOURS = REPOSITORY / "deploy" / "tours"
USER = "biologist@example.org"

# In the environment of the server and of its jobs, with the folder as value: how they are found when they are to stop.
MARK = "SEQLM_GALAXY"
MODELS_LOC = "models.loc"
# In the configuration folder; relative, as each Galaxy has its own.
MODELS_TABLE = Path("tool_data_table_conf.xml")
# Variables for jobs that are set while Galaxy runs: the tests say there where their Hub is.
JOB_VARIABLES = "job_variables.sh"

# Of Galaxy's databases: as Galaxy has it by itself, but a busy machine may take longer than five seconds to write.
SQLITE = "isolation_level=IMMEDIATE&timeout=120"

# Collection operations that a workflow may need; they ship with Galaxy.
COLLECTION_TOOLS = ("build_list.xml", "flatten_collection.xml", "merge_collection.xml", "extract_dataset.xml")
# Stand-ins for tools of the Tool Shed that workflows need, laid out as Galaxy does: SHED/repos/OWNER/NAME/REVISION.
SHED_TOOLS = REPOSITORY / "deploy" / "shed_tools"


def is_tool(path: Path) -> bool:
    """Whether an XML file is a tool and not a file of macros."""
    return ElementTree.parse(path).getroot().tag == "tool"


def tool_files(folder: Path) -> list[Path]:
    """Every tool of a folder, in the order of their names."""
    return sorted(path for path in folder.glob("*.xml") if is_tool(path))


@dataclass(frozen=True)
class Toolbox:
    """What a Galaxy offers.

    Attributes:
        tools: their XML.
        data_managers: their ``data_manager_conf.xml``.
        tables: configurations of data tables, those of the configuration folder relative to it; data managers add
            their rows to what the first one names.
        settings: more of ``galaxy.yml``.
        cluster: TPV sends the jobs of ``tools``, and no others, to the Slurm of ``slurm_cluster``.
    """

    tools: list[Path]
    data_managers: list[Path]
    tables: list[Path]
    settings: dict = field(default_factory=dict)
    cluster: bool = False

    @property
    def files(self) -> list[Path]:
        """The XML of the tools and of the data managers."""
        managers = (path.parent / "data_manager" for path in self.data_managers)
        return [*self.tools, *(tool for folder in managers for tool in tool_files(folder))]


def checkout(tools: Path = REPOSITORY / "tools", *, cluster: bool = False) -> Toolbox:
    """The tools of a folder, with the data managers of this repository and the models of its tests."""
    return Toolbox(
        tool_files(tools),
        sorted(DATA_MANAGERS.glob("*/data_manager_conf.xml")),
        [MODELS_TABLE, REPOSITORY / "tool_data" / "tool_data_table_conf.xml.test"],
        cluster=cluster,
    )


def write_tool_list(folder: Path, toolbox: Toolbox) -> None:
    """Write ``tool_conf.xml``; written again before a running Galaxy reloads its toolbox."""
    lines = ["<toolbox>", '  <section id="seqlm" name="Biological language models">']
    lines += [f'    <tool file="{path}"/>' for path in toolbox.tools]
    lines += ["  </section>", '  <section id="collections" name="Collection operations">']
    lines += [f'    <tool file="${{model_tools_path}}/{name}"/>' for name in COLLECTION_TOOLS]
    lines += [_shed_tool(path) for path in sorted(SHED_TOOLS.glob("*/repos/*/*/*/*.xml"))]
    lines += ["  </section>", "</toolbox>"]
    (folder / "tool_conf.xml").write_text("\n".join(lines) + "\n")


def _shed_tool(path: Path) -> str:
    """A tool as Galaxy notes one that it has installed from the Tool Shed."""
    tool = ElementTree.parse(path).getroot()
    shed, _, owner, repository, revision, _ = path.relative_to(SHED_TOOLS).parts
    guid = f"{shed}/repos/{owner}/{repository}/{tool.get('id')}/{tool.get('version')}"
    return f"""    <tool file="{path}" guid="{guid}">
      <tool_shed>{shed}</tool_shed>
      <repository_name>{repository}</repository_name>
      <repository_owner>{owner}</repository_owner>
      <installed_changeset_revision>{revision}</installed_changeset_revision>
      <id>{guid}</id>
      <version>{tool.get("version")}</version>
    </tool>"""


def write(folder: Path, *, toolbox: Toolbox, bootstrap_key: str) -> Path:
    """Write every file that Galaxy reads into ``folder/config`` and return the path of ``galaxy.yml``."""
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    write_tool_list(config, toolbox)
    (config / "job_environment.sh").write_text(_job_environment(folder))
    (config / "data_manager_conf.xml").write_text(_data_managers(toolbox.data_managers))
    if not (config / "vault_conf.yml").exists():  # it opens the secrets that are in the database
        (config / "vault_conf.yml").touch(mode=0o600)
        (config / "vault_conf.yml").write_text(_as_yaml(_vault()))
    jobs = _job_conf(config)
    if toolbox.cluster:
        (config / "tpv_cluster.yml").write_text(_as_yaml(_cluster_destination(config)))
        _send_to_cluster(jobs, config, [ElementTree.parse(path).getroot().get("id") for path in toolbox.tools])
    (config / "job_conf.yml").write_text(_as_yaml(jobs))
    (config / MODELS_LOC).touch()
    (config / MODELS_TABLE).write_text(_model_table(config / MODELS_LOC))
    # JSON is YAML, so no YAML package is needed to write it.
    galaxy_yml = config / "galaxy.yml"
    galaxy_yml.write_text(_as_yaml({"galaxy": _galaxy(folder, toolbox, bootstrap_key)}))
    galaxy_yml.chmod(0o600)  # it holds the bootstrap key
    return galaxy_yml


def _galaxy(folder: Path, toolbox: Toolbox, bootstrap_key: str) -> dict:
    config, data = folder / "config", folder / "data"
    return {
        "brand": "SeqLM",
        "config_dir": str(config),
        "data_dir": str(data),
        "database_connection": f"sqlite:///{data}/universe.sqlite?{SQLITE}",
        "tool_config_file": str(config / "tool_conf.xml"),
        "job_config_file": str(config / "job_conf.yml"),
        "tool_data_table_config_path": ",".join(str(config / path) for path in toolbox.tables),
        "data_manager_config_file": str(config / "data_manager_conf.xml"),
        "galaxy_data_manager_data_path": str(data / "models"),
        "vault_config_file": str(config / "vault_conf.yml"),
        "tour_config_dir": str(TOURS),
        # One user, always logged in, who is the administrator too.
        "single_user": USER,
        "admin_users": USER,
        "bootstrap_admin_api_key": bootstrap_key,
        # Jobs find their programs through job_environment.sh, so nothing is to be resolved or installed.
        "conda_auto_init": False,
        "conda_auto_install": False,
        "use_cached_dependency_manager": False,
        # Uploads and metadata go to a Celery worker that has Galaxy loaded already. Without it every job starts a
        # Python of its own that imports Galaxy: 7 s more for a job, twice that for an upload.
        "enable_celery_tasks": True,
        "amqp_internal_connection": f"sqlalchemy+sqlite:///{data}/messages.sqlite?{SQLITE}",
        "metadata_strategy": "directory_celery",
        "celery_conf": {
            "result_backend": f"db+sqlite:///{data}/results.sqlite?{SQLITE}",
            "task_routes": {"galaxy.fetch_data": "galaxy.external", "galaxy.set_job_metadata": "galaxy.external"},
        },
        # Galaxy looks for new work once a second; these jobs last seconds, so look twice as often. More often does not
        # pay: looking costs a tenth of a core at five times a second.
        "job_handler_monitor_sleep": 0.5,
        "job_runner_monitor_sleep": 0.5,
        "workflow_monitor_sleep": 0.5,
        "log_level": "INFO",
    } | toolbox.settings


def _job_conf(config: Path) -> dict:
    # A job keeps its place while Galaxy prepares it and reads its metadata: a third place keeps two cores busy.
    return {
        "runners": {"local": {"load": "galaxy.jobs.runners.local:LocalJobRunner", "workers": 3}},
        "execution": {
            "default": "local",
            "environments": {
                "local": {
                    "runner": "local",
                    "local_slots": min(2, os.cpu_count() or 1),
                    "env": [{"file": str(config / "job_environment.sh")}],
                }
            },
        },
    }


def _send_to_cluster(jobs: dict, config: Path, tools: list[str]) -> None:
    jobs["runners"]["slurm"] = {"load": "galaxy.jobs.runners.cli:ShellJobRunner", "workers": 2}
    jobs["execution"]["environments"]["tpv_dispatcher"] = {
        "runner": "dynamic",
        "type": "python",
        "function": "map_tool_to_destination",
        "rules_module": "tpv.rules",
        "tpv_config_files": [
            *(str(REPOSITORY / "deploy" / "tpv" / name) for name in ("shared.yml", "local.yml")),
            str(config / "tpv_cluster.yml"),
        ],
    }
    jobs["tools"] = [{"id": tool, "environment": "tpv_dispatcher"} for tool in tools]


def _cluster_destination(config: Path) -> dict:
    """What is added to ``deploy/tpv``: a destination for nodes of one core, and that jobs go there."""
    return {
        "tools": {".*seqlm_.*": {"scheduling": {"require": ["two-nodes"]}}},
        "destinations": {
            "two_nodes": {
                "runner": "slurm",
                "max_cores": 1,
                "max_mem": 4,
                "env": [{"file": str(config / "job_environment.sh")}],
                "params": {"shell_plugin": "LocalShell", "job_plugin": "Slurm", "job_ncpus": "{cores}"},
                "scheduling": {"require": ["two-nodes"]},
            }
        },
    }


def _job_environment(folder: Path) -> str:
    return f"""# Sourced by every job, once before its tool and once before Galaxy reads the metadata of the outputs.
export {MARK}='{folder}'
# _use_framework_galaxy is Galaxy's word for "this part runs Galaxy's own Python"; the tools get theirs.
if [ "$_use_framework_galaxy" != True ]; then
    export PATH='{TOOLS_ENVIRONMENT / "bin"}':"$PATH"
    unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
    GALAXY_VIRTUAL_ENV=None
fi
[ ! -f '{folder / "config" / JOB_VARIABLES}' ] || . '{folder / "config" / JOB_VARIABLES}'
# Threads that wait by spinning slow a training down tenfold as soon as two programs share a core.
export OMP_WAIT_POLICY=PASSIVE
# Galaxy gives each job a temporary folder of its own unless one is set already.
unset TMPDIR TMP TEMP
"""


def _data_managers(paths: list[Path]) -> str:
    """All data managers in one file, each as its own ``data_manager_conf.xml`` has it."""
    root = ElementTree.Element("data_managers")
    for path in paths:
        for manager in ElementTree.parse(path).getroot():
            manager.set("tool_file", str(path.parent / manager.get("tool_file")))
            root.append(manager)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _vault() -> dict:
    """Where Galaxy keeps what users give it as secrets: in its database, under a key of Fernet's kind."""
    return {"type": "database", "encryption_keys": [base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()]}


def _model_table(loc: Path) -> str:
    """Rows added to the shared table while Galaxy runs: by data managers, and the model of ``make demo``."""
    return f"""<tables>
    <table name="huggingface" comment_char="#" allow_duplicate_entries="False">
        <columns>value, name, pipeline_tag, domain, free_tag, version, path</columns>
        <file path="{loc}"/>
    </table>
</tables>
"""


def _as_yaml(value: dict) -> str:
    return json.dumps(value, indent=2) + "\n"
