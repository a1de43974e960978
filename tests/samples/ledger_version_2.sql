-- A ledger of schema version 2, as akjobd left it while two runs were under way and a retry waited.
BEGIN TRANSACTION;
CREATE TABLE definitions (
    sha256       TEXT PRIMARY KEY NOT NULL,
    file         TEXT NOT NULL,
    definition   TEXT NOT NULL,
    last_used_at TEXT NOT NULL
);
INSERT INTO "definitions" VALUES('d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','jobs.d/paused.toml','command = ["true"]

[schedule]
every = "1h"
','2026-03-02T11:00:00.000000Z');
INSERT INTO "definitions" VALUES('9aa48eb3abf307cedd3edc612a288aad16739f8cf7feb6f973b2d0579f1b8297','jobs.d/retried.toml','command = ["true"]

[schedule]
every = "1h"

[run]
retry = { attempts = 2, delay = "5m" }
','2026-03-02T11:00:00.000000Z');
CREATE TABLE jobs (
    job               TEXT PRIMARY KEY NOT NULL,
    mark              TEXT NOT NULL,
    runs_started      INTEGER NOT NULL DEFAULT 0,
    paused_at         TEXT,
    paused_until      TEXT,
    pause_reason      TEXT,
    paused_by         TEXT,
    again_from        TEXT,
    last_run          TEXT,
    last_state        TEXT,
    last_ended        TEXT,
    first_loaded_at   TEXT NOT NULL,
    last_loaded_at    TEXT NOT NULL,
    removed_at        TEXT,
    file              TEXT NOT NULL,
    definition_sha256 TEXT NOT NULL,
    definition        TEXT NOT NULL,
    -- The content of a later version of the file that was refused, and since when; NULL while the file is as loaded.
    refused           TEXT,
    refused_since     TEXT
, refused_commit TEXT, refused_dirty INTEGER);
INSERT INTO "jobs" VALUES('paused','2026-03-02T11:00:00.000000Z',1,'2026-03-02T09:30:00.000000Z',NULL,'the disk is full','ann','2026-03-02T09:00:00.001000Z','00001772441999980000-00000001','succeeded','2026-03-02T09:00:00.001000Z','2026-03-02T08:30:00.000000Z','2026-03-02T08:30:00.000000Z',NULL,'jobs.d/paused.toml','d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','command = ["true"]

[schedule]
every = "1h"
',NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('reports/nightly','2026-03-02T11:00:00.000000Z',3,NULL,NULL,NULL,NULL,'2026-03-02T10:00:00.000000Z','00001772445600000000-00000005','succeeded','2026-03-02T10:00:00.000000Z','2026-03-02T08:30:00.000000Z','2026-03-02T08:30:00.000000Z',NULL,'jobs.d/reports/nightly.toml','d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','command = ["true"]

[schedule]
every = "1h"
',NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('retried','2026-03-02T11:00:00.000000Z',3,NULL,NULL,NULL,NULL,'2026-03-02T11:00:00.000000Z','00001772449200000000-00000011','failed','2026-03-02T11:00:00.000000Z','2026-03-02T08:30:00.000000Z','2026-03-02T08:30:00.000000Z',NULL,'jobs.d/retried.toml','9aa48eb3abf307cedd3edc612a288aad16739f8cf7feb6f973b2d0579f1b8297','command = ["true"]

[schedule]
every = "1h"

[run]
retry = { attempts = 2, delay = "5m" }
',NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('slow','2026-03-02T11:00:00.000000Z',2,NULL,NULL,NULL,NULL,'2026-03-02T09:00:00.001000Z','00001772441999980000-00000004','succeeded','2026-03-02T09:00:00.001000Z','2026-03-02T08:30:00.000000Z','2026-03-02T08:30:00.000000Z',NULL,'jobs.d/slow.toml','d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','command = ["true"]

[schedule]
every = "1h"
',NULL,NULL,NULL,NULL);
CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE runs (
    id                TEXT PRIMARY KEY NOT NULL,
    job               TEXT NOT NULL,
    slot              TEXT NOT NULL,
    slot_last         TEXT NOT NULL,
    attempt           INTEGER NOT NULL DEFAULT 1,
    trigger           TEXT NOT NULL,
    state             TEXT NOT NULL,
    reason            TEXT,
    count             INTEGER NOT NULL DEFAULT 1,
    queued_at         TEXT NOT NULL,
    started_at        TEXT,
    ended_at          TEXT,
    exit_code         INTEGER,
    signal            INTEGER,
    error             TEXT,
    result            TEXT,
    pid               INTEGER,
    host              TEXT,
    user_cpu_s        REAL,
    system_cpu_s      REAL,
    max_rss_bytes     INTEGER,
    definition_sha256 TEXT,
    git_commit        TEXT,
    git_dirty         INTEGER
);
INSERT INTO "runs" VALUES('00001772441999980000-00000001','paused','2026-03-02T09:00:00.000000Z','2026-03-02T09:00:00.000000Z',1,'schedule','succeeded',NULL,1,'2026-03-02T08:59:59.980000Z','2026-03-02T09:00:00.000000Z','2026-03-02T09:00:00.001000Z',0,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','c0ffee',0);
INSERT INTO "runs" VALUES('00001772441999980000-00000002','reports/nightly','2026-03-02T09:00:00.000000Z','2026-03-02T09:00:00.000000Z',1,'schedule','succeeded',NULL,1,'2026-03-02T08:59:59.980000Z','2026-03-02T09:00:00.000000Z','2026-03-02T09:00:00.001000Z',0,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','c0ffee',0);
INSERT INTO "runs" VALUES('00001772441999980000-00000003','retried','2026-03-02T09:00:00.000000Z','2026-03-02T09:00:00.000000Z',1,'schedule','succeeded',NULL,1,'2026-03-02T08:59:59.980000Z','2026-03-02T09:00:00.000000Z','2026-03-02T09:00:00.001000Z',0,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'9aa48eb3abf307cedd3edc612a288aad16739f8cf7feb6f973b2d0579f1b8297','c0ffee',0);
INSERT INTO "runs" VALUES('00001772441999980000-00000004','slow','2026-03-02T09:00:00.000000Z','2026-03-02T09:00:00.000000Z',1,'schedule','succeeded',NULL,1,'2026-03-02T08:59:59.980000Z','2026-03-02T09:00:00.000000Z','2026-03-02T09:00:00.001000Z',0,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','c0ffee',0);
INSERT INTO "runs" VALUES('00001772445600000000-00000005','reports/nightly','2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z',1,'schedule','succeeded',NULL,1,'2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z',0,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','c0ffee',0);
INSERT INTO "runs" VALUES('00001772445600000000-00000006','retried','2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z',1,'schedule','failed','exit code 3',1,'2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z',0,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'9aa48eb3abf307cedd3edc612a288aad16739f8cf7feb6f973b2d0579f1b8297','c0ffee',0);
INSERT INTO "runs" VALUES('00001772445600000000-00000007','slow','2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z',1,'schedule','running',NULL,1,'2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z',NULL,NULL,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','c0ffee',0);
INSERT INTO "runs" VALUES('00001772445600000000-00000008','paused','2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z',1,'schedule','skipped','the job is paused by ann: the disk is full',1,'2026-03-02T10:00:00.000000Z',NULL,'2026-03-02T10:00:00.000000Z',NULL,NULL,NULL,NULL,NULL,'here',NULL,NULL,NULL,'d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c',NULL,NULL);
INSERT INTO "runs" VALUES('00001772445600000000-00000009','retried','2026-03-02T10:00:00.000000Z','2026-03-02T10:00:00.000000Z',2,'retry','failed','exit code 3',1,'2026-03-02T10:00:00.000000Z','2026-03-02T10:10:00.000000Z','2026-03-02T10:10:00.000000Z',0,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'9aa48eb3abf307cedd3edc612a288aad16739f8cf7feb6f973b2d0579f1b8297','c0ffee',0);
INSERT INTO "runs" VALUES('00001772449200000000-00000010','reports/nightly','2026-03-02T11:00:00.000000Z','2026-03-02T11:00:00.000000Z',1,'schedule','running',NULL,1,'2026-03-02T11:00:00.000000Z','2026-03-02T11:00:00.000000Z',NULL,NULL,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c','c0ffee',0);
INSERT INTO "runs" VALUES('00001772449200000000-00000011','retried','2026-03-02T11:00:00.000000Z','2026-03-02T11:00:00.000000Z',1,'schedule','failed','exit code 3',1,'2026-03-02T11:00:00.000000Z','2026-03-02T11:00:00.000000Z','2026-03-02T11:00:00.000000Z',0,NULL,NULL,NULL,7,'here',NULL,NULL,NULL,'9aa48eb3abf307cedd3edc612a288aad16739f8cf7feb6f973b2d0579f1b8297','c0ffee',0);
INSERT INTO "runs" VALUES('00001772449200000000-00000012','paused','2026-03-02T11:00:00.000000Z','2026-03-02T11:00:00.000000Z',1,'schedule','skipped','the job is paused by ann: the disk is full',1,'2026-03-02T11:00:00.000000Z',NULL,'2026-03-02T11:00:00.000000Z',NULL,NULL,NULL,NULL,NULL,'here',NULL,NULL,NULL,'d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c',NULL,NULL);
INSERT INTO "runs" VALUES('00001772449200000000-00000013','slow','2026-03-02T11:00:00.000000Z','2026-03-02T11:00:00.000000Z',1,'schedule','skipped','run 00001772445600000000-00000007 still runs',1,'2026-03-02T11:00:00.000000Z',NULL,'2026-03-02T11:00:00.000000Z',NULL,NULL,NULL,NULL,NULL,'here',NULL,NULL,NULL,'d265401d62221ad7b1769fe4116d8e83b8cba5ed2a126a00401d4cf1f008a13c',NULL,NULL);
INSERT INTO "runs" VALUES('00001772449200000000-00000014','retried','2026-03-02T11:00:00.000000Z','2026-03-02T11:00:00.000000Z',2,'retry','queued',NULL,1,'2026-03-02T11:00:00.000000Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'here',NULL,NULL,NULL,'9aa48eb3abf307cedd3edc612a288aad16739f8cf7feb6f973b2d0579f1b8297',NULL,NULL);
CREATE TABLE waits (
    run        TEXT PRIMARY KEY NOT NULL,
    not_before TEXT,
    behind     INTEGER NOT NULL DEFAULT 0,
    manual     INTEGER NOT NULL DEFAULT 0,
    kwargs     TEXT
) WITHOUT ROWID;
INSERT INTO "waits" VALUES('00001772449200000000-00000014','2026-03-02T11:05:00.000000Z',0,0,NULL);
CREATE UNIQUE INDEX runs_claim ON runs (job, slot, attempt);
CREATE INDEX runs_open ON runs (id) WHERE state IN ('queued', 'running');
CREATE INDEX runs_exceptions ON runs (state, id)
    WHERE state IN ('failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed');
CREATE INDEX runs_exceptions_of_job ON runs (job, state, slot, attempt)
    WHERE state IN ('failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed');
COMMIT;
PRAGMA user_version = 2;
