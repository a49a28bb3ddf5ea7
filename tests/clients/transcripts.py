"""Run a script on a server and write down what its user saw, with what differs from run to run replaced."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .kubectl_script import FILES, Command

_SPACES = re.compile(r" {2,}")
_REPLACED = (
    # Table columns are as wide as what is in them, ages included.
    (re.compile(r"\t"), "  "),
    (re.compile(r"https?://127\.0\.0\.1:\d+"), "https://server"),
    (re.compile(r"v1\.\d+\.\d+(-rackplane)?(?=\s|$|\")"), "v<version>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4}( UTC)?"), "<time>"),
    (re.compile(r'(resourceVersion"?: ?)"\d+"'), r'\1"<version>"'),
    (re.compile(r"(Resource Version: +)\d+"), r"\1<version>"),
    (re.compile(r"(?<![\w.-])(\d+[dhms]|<invalid>)(\d+[hms])?( ago)?(?![\w.])"), "<age>"),
    # Where in a printed object a change is: one vendor's servers have more in it.
    (re.compile(r"@@ -\d+,(\d+) \+\d+,(\d+) @@"), r"@@ -<line>,\1 +<line>,\2 @@"),
    (re.compile(r"<age> \(x\d+ over <age>\)"), "<age>"),
    (re.compile(r"\b(train-\d|train)-[a-z0-9]{5}\b"), r"\1-<random>"),
    (re.compile(r"kube-api-access-[a-z0-9]{5}"), "kube-api-access-<random>"),
    (re.compile(r"(\d+/\d+ nodes are available|no nodes available to schedule pods).*"), "<no node fits>"),
    (re.compile(r"/tmp/[\w./-]*?(LIVE|MERGED)-\d+"), r"/tmp/\1"),
    (re.compile(r"/tmp/kubectl[\w.-]+"), "/tmp/kubectl-file"),
    (re.compile(r"(after|in) \d+(\.\d+)?m?s\b"), r"\1 <age>"),
    (re.compile(r"^[EW]\d{4} [\d:.]+ +\d+ (\w+\.go:\d+\])", re.MULTILINE), r"\1"),
)
#: The certificate authority that every namespace has a copy of, of a real server and of one vendor: no TLS, no CA.
_AUTHORITIES = re.compile(
    r"^.*(kube-root-ca\.crt +|kube-root-ca\.crt\"|/kube-root-ca\.crt).*\n", re.MULTILINE
)
_VENDORS = re.compile(r"^.*openshift-service-ca\.crt.*\n.*Optional:.*\n", re.MULTILINE)


def normal(text: str, namespace: str) -> list[str]:
    """The lines of an output with what differs from run to run replaced."""
    text = _VENDORS.sub("", _AUTHORITIES.sub("", text.replace(namespace, "$NS")))
    if text.startswith('{"'):
        # One line of JSON: the order of its keys is nobody's promise.
        with suppress(json.JSONDecodeError):
            found = json.loads(text)
            found.get("metadata", {}).get("managedFields", []).sort(key=lambda entry: str(entry["manager"]))
            text = json.dumps(found, sort_keys=True, indent=1)
    for pattern, shown in _REPLACED:
        text = pattern.sub(shown, text)
    return [_SPACES.sub("  ", line).rstrip() for line in text.splitlines()]


class Kubectl:
    """One kubectl on one server, in a directory of its own that holds the script's files."""

    def __init__(self, program: str, kubeconfig: Path, folder: Path, namespace: str) -> None:
        self._program = program
        self._namespace = namespace
        self._folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "KUBECONFIG": str(kubeconfig),
            "TMPDIR": "/tmp",
            "TZ": "UTC",
        }
        for name, text in FILES.items():
            (folder / name).write_text(text.replace("$NS", namespace), encoding="utf-8")

    def run(self, command: Command) -> list[str]:
        """What the user sees of a command: itself, the output, the errors after `!`, and an exit code that is not 0."""
        words = shlex.split(_quoted(command.line).replace("$NS", self._namespace))
        done = subprocess.run(
            [self._program, "-n", self._namespace, *words],
            cwd=self._folder,
            env={**self._environment, "KUBE_EDITOR": command.editor},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        lines = normal(done.stdout, self._namespace)
        if command.keep:
            lines = [line for line in lines if re.search(command.keep, line)]
        if command.unordered:
            lines.sort()
        lines += [f"! {line}" for line in normal(done.stderr, self._namespace)]
        if done.returncode:
            lines.append(f"exit {done.returncode}")
        return [f"$ kubectl {command.line}", *lines, ""]

    def transcript(self, script: Iterable[Command]) -> list[str]:
        """All lines of a script."""
        return [line for command in script for line in self.run(command)]


def _quoted(line: str) -> str:
    """JSON and JSONPath as one word each."""
    return " ".join(f"'{word}'" if word[0] in "{[" or "={" in word else word for word in line.split(" "))
