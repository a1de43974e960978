# ruff: noqa: E501 - lines of other programs stand here as they are
"""Ten crontabs and ten timers as packages and people have them, imported twice: the second time changes nothing."""

import difflib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.root import Root

CRONTABS = {
    "crontab": (
        "SHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n\n"
        "# m h dom mon dow user\tcommand\n"
        "17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n"
        "25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }\n"
        "47 6\t* * 7\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }\n"
        "52 6\t1 * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.monthly; }\n"
    ),
    "e2scrub_all": (
        "30 3 * * 0 root test -e /run/systemd/system || SERVICE_MODE=1 /usr/lib/x86_64-linux-gnu/e2fsprogs/e2scrub_all_cron\n"
        "10 3 * * * root test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r\n"
    ),
    "certbot": (
        "SHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n\n"
        "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' "
        "&& certbot -q renew --no-random-sleep-on-renew\n"
    ),
    "php": (
        "# /etc/cron.d/php: crontab fragment for PHP\n#  This purges session files\n\n"
        "09,39 *     * * *     root   [ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then "
        "/usr/lib/php/sessionclean; fi\n"
    ),
    "mdadm": (
        "57 0 * * 0 root if [ -x /usr/share/mdadm/checkarray ] && [ $(date +\\%d) -le 7 ]; then "
        "/usr/share/mdadm/checkarray --cron --all --idle --quiet; fi\n"
    ),
    "sysstat": (
        "PATH=/usr/lib/sysstat:/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin\n\n# Activity reports every 10 minutes everyday\n"
        "5-55/10 * * * * root command -v debian-sa1 > /dev/null && debian-sa1 1 1\n\n# Additional run at 23:59\n"
        "59 23 * * * root command -v debian-sa1 > /dev/null && debian-sa1 60 2\n"
    ),
    "zfsutils": (
        "# TRIM the first Sunday of every month.\n24 0 1-7 * * root if [ $(date +\\%w) -eq 0 ] && "
        "[ -x /usr/lib/zfs-linux/trim ]; then /usr/lib/zfs-linux/trim; fi\n"
        "24 0 8-14 * * root if [ $(date +\\%w) -eq 0 ] && [ -x /usr/lib/zfs-linux/scrub ]; then "
        "/usr/lib/zfs-linux/scrub; fi\n"
    ),
    "backups": (
        'MAILTO="ops@example.org"\n# nightly\n30 2 * * * /usr/local/bin/backup.sh --all >/dev/null 2>&1\n'
        "0 */6 * * * /usr/local/bin/backup.sh --db --compress\n@weekly /usr/local/bin/backup.sh prune\n"
        "#0 5 * * * /usr/local/bin/backup.sh --old\n"
    ),
    "laravel": "* * * * * cd /srv/app && php artisan schedule:run >> /dev/null 2>&1\n@reboot /srv/app/bin/worker &\n",
    "supercronic": "*/5 * * * * * * echo tick\n0 4 * * * * /usr/bin/rotate\nRANDOM_DELAY=5\n~ 4 * * * /usr/bin/spread\n",
}
DAILY = "[Timer]\nOnCalendar=daily\nPersistent=true\n"
ONESHOT = "[Service]\nType=oneshot\n"
TIMERS = {
    "apt-daily": (
        ("[Unit]\nDescription=Daily apt download activities\n[Timer]\nOnCalendar=*-*-* 6,18:00\nRandomizedDelaySec=12h\n"
        "Persistent=true\n[Install]\nWantedBy=timers.target\n"),
        "[Unit]\nDescription=Daily apt download activities\nConditionACPower=true\nAfter=network-online.target\n"
        "Wants=network-online.target\n" + ONESHOT + "ExecStartPre=-/usr/lib/apt/apt-helper wait-online\n"
        "ExecStart=/usr/lib/apt/apt.systemd.daily update\n",
    ),
    "dpkg-db-backup": (DAILY, "[Unit]\nDescription=dpkg db backup\n" + ONESHOT + "ExecStart=/usr/libexec/dpkg/dpkg-db-backup\n"),
    "e2scrub_all": (
        "[Timer]\nOnCalendar=Sun *-*-* 03:10:00\nRandomizedDelaySec=60\nPersistent=true\n",
        "[Unit]\nConditionACPower=true\nConditionCapability=CAP_SYS_ADMIN\n" + ONESHOT
        + "Environment=SERVICE_MODE=1\nExecStart=/sbin/e2scrub_all\nSyslogIdentifier=e2scrub_all\n",
    ),
    "fstrim": (
        "[Timer]\nOnCalendar=weekly\nAccuracySec=1h\nPersistent=true\nRandomizedDelaySec=100min\n",
        "[Unit]\nConditionVirtualization=!container\n" + ONESHOT
        + "ExecStart=/sbin/fstrim --listed-in /etc/fstab:/proc/self/mountinfo --verbose --quiet-unsupported\n"
        "PrivateDevices=no\nMemoryDenyWriteExecute=yes\n",
    ),
    "man-db": (
        DAILY.replace("[Timer]\n", "[Timer]\nAccuracySec=12h\n"),
        ONESHOT + "ExecStart=+/usr/bin/install -d -o man -g man -m 0755 /var/cache/man\n"
        "ExecStart=/usr/bin/find /var/cache/man -type f -name *.gz -atime +6 -delete\nExecStart=/usr/bin/mandb --quiet\n"
        "User=man\nNice=19\nIOSchedulingClass=idle\nIOSchedulingPriority=7\n",
    ),
    "systemd-tmpfiles-clean": (
        "[Timer]\nOnBootSec=15min\nOnUnitActiveSec=1d\n",
        ONESHOT + "ExecStart=systemd-tmpfiles --clean\nSuccessExitStatus=DATAERR\nIOSchedulingClass=idle\n",
    ),
    "mdcheck_start": (
        "[Timer]\nOnCalendar=Sun *-*-1..7 1:00:00\nRandomizedDelaySec=24h\n",
        ("[Unit]\nWants=mdcheck_continue.timer\n[Service]\nEnvironment=MDADM_CHECK_DURATION='6 hours'\n"
        "EnvironmentFile=-/run/sysconfig/mdadm\nExecStart=/usr/share/mdadm/mdcheck --duration ${MDADM_CHECK_DURATION}\n"),
    ),
    "sanoid": (
        "[Timer]\nOnCalendar=*:0/15\nPersistent=true\n",
        "[Unit]\nRequires=local-fs.target\nWants=sanoid-prune.service\nConditionFileNotEmpty=/etc/sanoid/sanoid.conf\n"
        + ONESHOT + "Environment=TZ=UTC\nExecStart=/usr/sbin/sanoid --take-snapshots --verbose\n",
    ),
    "logrotate": (
        "[Timer]\nOnCalendar=daily\nRandomizedDelaySec=1h\nPersistent=true\n",
        "[Unit]\nRequiresMountsFor=/var/log\nConditionACPower=true\n" + ONESHOT
        + "ExecStart=/usr/sbin/logrotate /etc/logrotate.conf\nNice=19\nIOSchedulingClass=best-effort\nIOSchedulingPriority=7\n"
        "ProtectSystem=full\nRestrictRealtime=true\n",
    ),
    "pg_dump@main": (
        "[Timer]\nOnCalendar=weekly\n",
        "[Service]\nType=oneshot\nUser=postgres\nExecStart=/usr/bin/pg_backupcluster %i dump\nRestart=on-failure\nRestartSec=60\n",
    ),
}  # fmt: skip


def files_of(folder: Path) -> dict[str, list[str]]:
    """Return the lines of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_text().splitlines() for path in sorted(folder.rglob("*.toml"))}


def difference(before: dict[str, list[str]], after: dict[str, list[str]]) -> Iterator[str]:
    """Yield the unified diff of two states of a folder."""
    for name in sorted(before.keys() | after.keys()):
        yield from difflib.unified_diff(before.get(name, []), after.get(name, []), name, name, lineterm="")


def sources(root: Root) -> dict[str, list[str]]:
    """Write the crontabs and the timers below the root; return the arguments of the two imports."""
    cron, units = root.paths.root / "cron", root.paths.root / "units"
    for folder in (cron, units):
        folder.mkdir()
    for name, text in CRONTABS.items():
        (cron / name).write_text(text)
    for name, (timer, service) in TIMERS.items():
        (units / f"{name}.timer").write_text(timer)
        (units / f"{name}.service").write_text(service)
    return {"crontab": [str(cron)], "systemd": [str(units)]}


@pytest.mark.parametrize("kind", ["crontab", "systemd"])
def test_imported_twice_the_diff_is_empty(root: Root, kind: str) -> None:
    """All of them become jobs that validate takes; the second import writes nothing, and neither does ``--force``."""
    arguments = ["import", kind, *sources(root)[kind], "--timezone", "Europe/Berlin"]
    first = root.akjob(*arguments)
    assert first.exit_code == 0, first.output
    before = files_of(root.paths.jobs_d)
    assert len([name for name in before if not name.endswith("_defaults.toml")]) >= 10
    broken = [line for line in root.json("list") if line["broken"]]
    assert broken == []
    again = root.akjob(*arguments)
    assert (again.exit_code, again.stdout) == (0, "")
    assert list(difference(before, files_of(root.paths.jobs_d))) == []
    assert root.akjob(*arguments, "--force").exit_code == 0
    assert list(difference(before, files_of(root.paths.jobs_d))) == []


def test_each_crontab_is_a_folder_whose_files_say_only_what_is_their_own(root: Root) -> None:
    """Names tell commands apart, and the rest stands in the folder's defaults."""
    assert root.akjob("import", "crontab", *sources(root)["crontab"], "--timezone", "UTC").exit_code == 0
    names = sorted(files_of(root.paths.jobs_d))
    assert {name.partition("/")[0] for name in names} == set(CRONTABS)
    assert [name for name in names if name.startswith("backups/")] == [
        "backups/_defaults.toml",
        "backups/backup-all.toml",
        "backups/backup-db-compress.toml",
        "backups/backup-prune.toml",
    ]
    crontab = files_of(root.paths.jobs_d)["crontab/run-parts-report-cron.hourly.toml"]
    assert "[run]" not in crontab
    assert 'command = "cd / && run-parts --report /etc/cron.hourly"' in crontab
