"""`terrarium completion`: print a script that lets a shell complete commands, options, choices, files and names.

The script is static: it is written once, and nothing of Terrarium starts when Tab is pressed.
"""

from __future__ import annotations

import shlex

from terrarium.app.commands.options import Command, argument
from terrarium.app.commands.parser import make_parser
from terrarium.models.library.library import VARIABLE, Library
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.spec_changes import setting_names
from terrarium.models.tokenizers import KINDS

_WHERE = {
    "bash": "terrarium completion bash > ~/.local/share/bash-completion/completions/terrarium",
    "zsh": 'terrarium completion zsh > "${fpath[1]}/_terrarium"',
    "fish": "terrarium completion fish > ~/.config/fish/completions/terrarium.fish",
}

_NAMES = f"""\
cd "${{{VARIABLE}:-$2}}" || exit
case $1 in
  run) ls runs ;;
  model) ls runs ;;
  tokenizer) printf '%s\\n' {" ".join(KINDS)}; ls tokenizers ;;
  design) printf '%s\\n' {" ".join(PRESETS)}; ls designs | sed 's/\\.json$//'; ls runs ;;
  dataset) sed -n 's/^ *"label": "\\(.*\\)",$/\\1/p' corpora/*/about.json ;;
  setting) printf '%s=\\n' @SETTINGS@ ;;
  name) printf '%s\\n' @SETTINGS@ ;;
esac 2>/dev/null"""
"""Prints the names of a kind ($1), one a line, in the library, which is $2 unless the environment names another."""

_WITH_FILES = ("model", "tokenizer", "design", "dataset")
"""The kinds in whose place a file may be named, too."""
_KINDS = ("run", "setting", "name", *_WITH_FILES)

_FUNCTIONS = {
    # Words of functions with “file” in their name are quoted where they have spaces.
    "bash": """\
_terrarium_file_@KIND@() {
  local name
  sh -c @NAMES@ sh @KIND@ @HOME@ | while IFS= read -r name; do
    [[ $name == "$1"* ]] && printf '%s\\n' "$name"
  done
  @FILES@
}""",
    "zsh": """\
_terrarium_file_@KIND@() {
  local -a names
  names=("${(@f)$(sh -c @NAMES@ sh @KIND@ @HOME@)}")
  [[ -z $names[1] ]] || compadd -a names
  @FILES@
}""",
    "fish": """\
function _terrarium_file_@KIND@
  sh -c @NAMES@ sh @KIND@ @HOME@
  @FILES@
end""",
}
_FILES = {"bash": 'compgen -f -- "$1"', "zsh": "_files", "fish": "__fish_complete_path (commandline -ct)"}


class Completion(
    Command,
    description=__doc__,
    epilog="\n".join(("To install it:", *(f"  {line}" for line in _WHERE.values()))),
):
    """Print the script that lets bash, zsh or fish complete what you type."""

    shell: str = argument("SHELL", ", ".join(_WHERE), choices=tuple(_WHERE))

    def run(self) -> None:
        """Print the script."""
        print(completion_script(self.shell))


_NO_SPACE = """
# After “train.lr=” follows a value, without a space.
_terrarium() {
  _shtab_terrarium
  [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
}
complete -o bashdefault -F _terrarium terrarium"""


def completion_script(shell: str) -> str:
    """Return the script for a shell: what shtab makes of the parser of all commands, with functions for names."""
    import shtab

    form = "(_terrarium_file_{})" if shell == "fish" else "_terrarium_file_{}"
    functions = {kind: form.format(kind) for kind in _KINDS}
    preamble = "\n".join(_function(shell, kind) for kind in _KINDS)
    script: str = shtab.complete(make_parser(["--help"]), shell, preamble=preamble, choice_functions=functions)
    return script + _NO_SPACE if shell == "bash" else script


def _function(shell: str, kind: str) -> str:
    """Return the shell's function that completes names of a kind."""
    text = _FUNCTIONS[shell]
    for place, value in {
        "@NAMES@": shlex.quote(_NAMES.replace("@SETTINGS@", " ".join(setting_names()))),
        "@KIND@": kind,
        "@HOME@": shlex.quote(str(Library().home)),
        "@FILES@": _FILES[shell] if kind in _WITH_FILES else ":" if shell != "fish" else "true",
    }.items():
        text = text.replace(place, value)
    return text
