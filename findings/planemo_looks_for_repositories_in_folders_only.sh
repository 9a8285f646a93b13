#!/usr/bin/env bash
# planemo 0.75.47: a Tool Shed repository at the root of a checkout has never changed, and a workflow's folder is one too.
#
# Guessed: `ci_find_repos` with a range of commits lists a repository whose tool has changed, wherever its .shed.yml lies,
# and `shed_lint --recursive` looks at repositories. In fact the first compares beginnings of paths with ".", so that
# with .shed.yml at the root nothing is listed and a pull request is tested by nobody, with status 0; the same files in a
# folder are listed. And the second takes a folder with nothing but a .dockstore.yml, as every workflow of the IWC has it,
# for a repository, and ends with a KeyError over the description that it lacks. The action that most Galaxy tools are
# tested by calls both in this way.
#
# Seen: at the root: nothing; without a range: .; in a folder: tool; shed_lint beside a workflow: KeyError: 'description'
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check planemo==0.75.47
planemo="$folder/venv/bin/planemo"

mkdir -p "$folder/checkout/tool"
cd "$folder/checkout"
git init --quiet .
commit() { git add -A && git -c user.name=someone -c user.email=someone@example.org commit --quiet --message "$1"; }

cat > .shed.yml <<'YAML'
name: example
owner: someone
description: An example
long_description: An example.
homepage_url: https://example.org
remote_repository_url: https://example.org/checkout
categories: [Sequence Analysis]
type: unrestricted
YAML
tool() {
  echo "<tool id=\"example\" name=\"Example\" version=\"$1\" profile=\"24.0\"><command>echo 1 > '\$out'</command><inputs/>" \
    '<outputs><data name="out" format="txt"/></outputs><help>An example.</help></tool>' > tool/example.xml
}
changed() { "$planemo" ci_find_repos "$@" . 2> "$folder/log" | grep -v '^cd ' || true; }

tool 1.0 && commit first
tool 1.1 && commit second
root=$(changed --changed_in_commit_range 'HEAD~..')
every=$(changed)

mkdir -p "$folder/checkout/workflow"
printf 'version: 1.2\nworkflows: []\n' > workflow/.dockstore.yml
beside=$("$planemo" shed_lint --ensure_metadata --recursive --skip version_bumped . 2>&1 | tail -n 1 || true)

rm -r workflow
git mv .shed.yml tool/ && commit third
tool 1.2 && commit fourth
inside=$(changed --changed_in_commit_range 'HEAD~..')

echo "at the root: ${root:-nothing}; without a range: $every; in a folder: $inside; shed_lint beside a workflow: $beside"
[ -z "$root" ] && [ "$every" = . ] && [ "$inside" = tool ] && [ "$beside" = "KeyError: 'description'" ] \
  || { echo 'this has changed'; exit 1; }
