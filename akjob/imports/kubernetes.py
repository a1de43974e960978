"""CronJobs of Kubernetes manifests into job files (the API batch/v1, and v1beta1)."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from akjob.imports import Budget, Draft, Import, ImportNote, TooMuchError, distinct, finish_all, slug
from akjob.imports.documents import NotYamlError, documents, rows, seconds, table

_OVERLAP = {"Allow": "allow", "Forbid": "skip", "Replace": "replace"}
_REFERENCE = re.compile(r"\$(?:\$|\(([A-Za-z_][\w.-]*)\))")
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)")
_EVERY = re.compile(r"@every\s+(\S+)")
_MEMORY = re.compile(r"(\d+)(Ki|Mi|Gi|Ti|k|M|G|T)?")
_UNITS = {"Ki": "KiB", "Mi": "MiB", "Gi": "GiB", "Ti": "TiB", "k": "kB", "M": "MB", "G": "GB", "T": "TB", None: "B"}
_DOCKER = {"Ki": "k", "Mi": "m", "Gi": "g", "": "b"}
_BACKOFF_LIMIT = 6  # of a Job that does not set it
_GRACE_S = 30

# what a CronJob, its Job and its Pod may say besides; nothing is lost without what is not named here
_NAMED_JOB = ("parallelism", "completions", "completionMode", "podFailurePolicy", "indexed")
_NAMED_POD = (
    *("initContainers", "volumes", "serviceAccountName", "serviceAccount", "nodeSelector", "affinity", "tolerations"),
    *("imagePullSecrets", "hostNetwork", "hostAliases", "dnsPolicy", "priorityClassName", "runtimeClassName"),
)
_NAMED_CONTAINER = ("volumeMounts", "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle")


def read_cronjobs(text: str, *, file: str, zone: str, image: bool = True) -> Import:
    """Translate the CronJobs of a manifest, also those of a List; other kinds are passed over.

    ``zone`` is that of the cluster, for those without ``timeZone``. With ``image`` the command is ``docker run`` with
    the container's image, else the container's command itself.
    """
    drafts: list[tuple[str, str, Draft]] = []
    notes: list[ImportNote] = []
    ends: list[str] = []
    budget = Budget()
    try:
        for part, nodes in documents(text):
            for path, manifest in _cronjobs(part.value):
                budget.spend(len(repr(manifest)))
                translation = _CronJobTranslation(file, nodes.line(*path), manifest, zone, image=image)
                drafts.append(translation.draft_of_all())
                ends += translation.ends
    except NotYamlError as error:
        notes.append(ImportNote(file, error.line, str(error)))
    except TooMuchError as error:
        return Import((), (ImportNote(file, 1, str(error)),))
    names = distinct([(name, source) for name, source, _ in drafts], {})
    made = finish_all([(name, draft) for name, (_, _, draft) in zip(names, drafts, strict=True)], notes)
    return Import(made.jobs, made.notes, made.defaults, tuple(ends), made.drafts)


def _cronjobs(value: object) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    manifest = table(value)
    if manifest.get("kind") == "CronJob":
        yield (), manifest
    for index, item in enumerate(rows(manifest.get("items"))):
        if table(item).get("kind") == "CronJob":
            yield ("items", index), table(item)


class _CronJobTranslation:
    """One CronJob on its way into a draft."""

    def __init__(self, file: str, line: int, manifest: Mapping[str, object], zone: str, *, image: bool) -> None:
        self.draft = Draft(file, line)
        self.file = file
        self.zone = zone
        self.image = image
        meta = table(manifest.get("metadata"))
        self.name = str(meta.get("name") or meta.get("generateName") or "job")
        self.namespace = str(meta.get("namespace") or "")
        self.spec = table(manifest.get("spec"))
        self.job = table(table(self.spec.get("jobTemplate")).get("spec"))
        self.pod = table(table(self.job.get("template")).get("spec"))
        self.ends: list[str] = []
        self.variables: dict[str, Any] = {}

    def draft_of_all(self) -> tuple[str, str, Draft]:
        """Translate it; return the wanted name, what identifies it, and the draft."""
        whole = f"{self.namespace}/{self.name}" if self.namespace else self.name
        self.draft.head = [f"Imported from {self.file}, CronJob {whole}"]
        self._schedule()
        self._policy()
        self._container()
        self._rest()
        if self.spec.get("suspend") is True:
            self.draft.put("", "enabled", value=False, comment="suspend: true")
        else:
            where = f" -n {shlex.quote(self.namespace)}" if self.namespace else ""
            patch = shlex.quote('{"spec":{"suspend":true}}')
            self.ends.append(f"`kubectl patch cronjob {shlex.quote(self.name)}{where} -p {patch}` ends it")
        return slug(f"{self.namespace}-{self.name}" if self.namespace else self.name), whole, self.draft

    def _disable(self, why: str) -> None:
        self.draft.note(why)
        self.draft.put("", "enabled", value=False, comment="a part of it could not be translated")

    def _schedule(self) -> None:
        expression = str(self.spec.get("schedule") or "").strip()
        zone = str(self.spec.get("timeZone") or self.zone)
        inner = _ZONE.fullmatch(expression)
        if inner:
            zone, expression = inner[1], inner[2]
        self.draft.put("schedule", "timezone", zone)
        if every := _EVERY.fullmatch(expression):
            self.draft.put("schedule", "every", every[1])
        elif expression:
            self.draft.put("schedule", "cron", expression.replace("?", "*"))
        else:
            self._disable("it has no schedule")

    def _policy(self) -> None:
        put = self.draft.put
        limit = seconds(self.job.get("activeDeadlineSeconds"))
        put("run", "timeout", limit or "none", "" if limit else 'as in the cluster; a limit such as "1h" is better')
        put("run", "kill_after", seconds(self.pod.get("terminationGracePeriodSeconds", _GRACE_S)) or "0s")
        put("run", "overlap", _OVERLAP.get(str(self.spec.get("concurrencyPolicy", "Allow")), "allow"))
        put("run", "missed", "latest")
        put("run", "missed_within", seconds(self.spec.get("startingDeadlineSeconds")) or "365d")
        retries = self.job.get("backoffLimit", _BACKOFF_LIMIT)
        if isinstance(retries, int) and retries > 0:
            retry = {"attempts": retries + 1, "delay": "10s", "factor": 2.0, "max_delay": "6m"}
            put("run", "retry", retry, "the back-off of a Job")

    def _container(self) -> None:
        containers = [table(one) for one in rows(self.pod.get("containers"))]
        if not containers:
            self._disable("it has no container")
            self.draft.put("", "command", ["false"], "there was no container")
            return
        for other in containers[1:]:
            self._disable(f"the container {other.get('name')} is left out: a job runs one command")
        container = containers[0]
        self._environment(container)
        given, args = _strings(container.get("command")), _strings(container.get("args"))
        argv = [self._expanded(word) for word in (*given, *args)]
        security = {**table(self.pod.get("securityContext")), **table(container.get("securityContext"))}
        if self.image:
            self._docker(container, argv, has_command=bool(given), security=security)
        else:
            self._bare(container, argv, has_command=bool(given), security=security)
        for key in _NAMED_CONTAINER:
            if container.get(key):
                self.draft.note(f"containers.{key} is not translated")

    def _docker(
        self, container: Mapping[str, object], argv: list[str], *, has_command: bool, security: Mapping[str, object]
    ) -> None:
        words = ["docker", "run", "--rm", *self._docker_environment(container), *self._docker_limits(container)]
        if security.get("runAsUser") is not None:
            group = security.get("runAsGroup")
            words += ["--user", f"{security['runAsUser']}" + (f":{group}" if group is not None else "")]
        if container.get("workingDir"):
            words += ["--workdir", str(container["workingDir"])]
        if security.get("readOnlyRootFilesystem") is True:
            words.append("--read-only")
        if has_command:
            words += ["--entrypoint", argv[0]]
            argv = argv[1:]
        image = str(container.get("image") or "")
        if not image:
            self._disable("the container has no image")
        self.draft.put("", "command", [*words, image or "IMAGE", *argv])

    def _docker_environment(self, container: Mapping[str, object]) -> list[str]:
        """Return the options that hand the variables of the run, and the files, to the container."""
        words = [word for name in self.variables for word in ("--env", name)]
        return words + [word for file in self._env_files(container) for word in ("--env-file", str(file))]

    def _docker_limits(self, container: Mapping[str, object]) -> list[str]:
        words: list[str] = []
        limits = table(table(container.get("resources")).get("limits"))
        memory = _MEMORY.fullmatch(str(limits.get("memory", "")))
        if memory and (memory[2] or "") in _DOCKER:
            words += ["--memory", f"{memory[1]}{_DOCKER[memory[2] or '']}"]
        elif limits.get("memory"):
            self.draft.note(f"limits.memory {limits['memory']} is not translated")
        if limits.get("cpu"):
            words += ["--cpus", _cpus(str(limits["cpu"]))]
        return words

    def _bare(
        self, container: Mapping[str, object], argv: list[str], *, has_command: bool, security: Mapping[str, object]
    ) -> None:
        if not has_command:
            self._disable(
                f"its command is the entry point of the image {container.get('image')}: write it into command"
            )
        self.draft.put("", "command", argv or ["false"])
        files = self._env_files(container)
        if files:
            self.draft.put("run", "env_file", files[0] if len(files) == 1 else files)
        for key, name in (("runAsUser", "user"), ("runAsGroup", "group")):
            if security.get(key) is not None:
                self.draft.put("run", name, str(security[key]))
        if container.get("workingDir"):
            self.draft.put("run", "cwd", str(container["workingDir"]))
        limits = table(table(container.get("resources")).get("limits"))
        memory = _MEMORY.fullmatch(str(limits.get("memory", "")))
        if memory:
            self.draft.put("run", "resources", {"memory": f"{memory[1]}{_UNITS[memory[2]]}"})
        elif limits.get("memory"):
            self.draft.note(f"limits.memory {limits['memory']} is not translated")
        if limits.get("cpu"):
            self.draft.note(f"limits.cpu {limits['cpu']} is not translated")

    def _environment(self, container: Mapping[str, object]) -> None:
        """Put the variables with a value; name those that come from elsewhere in the cluster."""
        for entry in map(table, rows(container.get("env"))):
            name, source = str(entry.get("name") or ""), table(entry.get("valueFrom"))
            if not source:
                value = entry.get("value")
                self.variables[name] = self._expanded("" if value is None else str(value))
                continue
            secret, config = table(source.get("secretKeyRef")), table(source.get("configMapKeyRef"))
            of = secret or config
            if not of:
                self._disable(f"env {name} is not translated: {', '.join(map(str, source))}")
                continue
            kind = "Secret" if secret else "ConfigMap"
            self.variables[name] = {"file": f"etc/{slug(str(of.get('name')))}/{slug(str(of.get('key')))}"}
            self.draft.note(f"env {name}: put {of.get('key')} of the {kind} {of.get('name')} into that file")
        if self.variables:
            self.draft.put("run", "env", dict(self.variables))

    def _env_files(self, container: Mapping[str, object]) -> list[Any]:
        """Return the files that take the place of ``envFrom``, and note what to put into them."""
        found: list[Any] = []
        for entry in map(table, rows(container.get("envFrom"))):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                of = table(entry.get(key))
                if of:
                    file = f"etc/{slug(str(of.get('name')))}.env"
                    optional = of.get("optional") is True and not self.image
                    found.append({"file": file, "optional": True} if optional else file)
                    self.draft.note(f"envFrom: put the {kind} {of.get('name')} into {file}, as NAME=value")
            if entry.get("prefix"):
                self.draft.note(f"envFrom: write the prefix {entry['prefix']} in front of each name")
        return found

    def _expanded(self, text: str) -> str:
        """Replace ``$(NAME)`` by the value of a variable above; ``$$`` is a dollar."""

        def value(match: re.Match[str]) -> str:
            if match[1] is None:
                return "$"
            known = self.variables.get(match[1])
            if isinstance(known, str):
                return known
            self.draft.note(f"{match[0]} is kept as it is: its value is not known here")
            return match[0]

        return _REFERENCE.sub(value, text)

    def _rest(self) -> None:
        """Name what means something and was not taken."""
        for place, keys, values in (("jobTemplate", _NAMED_JOB, self.job), ("pod", _NAMED_POD, self.pod)):
            for key in keys:
                if values.get(key) not in (None, 1, [], {}, "", "NonIndexed", "ClusterFirst", False):
                    self.draft.note(f"{place}.{key} is not translated")


def _strings(value: object) -> Sequence[str]:
    return [str(one) for one in rows(value)]


def _cpus(text: str) -> str:
    return f"{int(text[:-1]) / 1000:g}" if re.fullmatch(r"\d{1,9}m", text) else text
