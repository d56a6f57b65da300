-- Jobs, their children and attempts. Times are milliseconds since the epoch, UTC.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT
) WITHOUT ROWID;

-- One row an array (or single job): what was submitted (body) and where it stands. `base` is the status of every child without a row in `child`.
CREATE TABLE job (
    key             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    is_array        INTEGER NOT NULL,
    size            INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    body            BLOB NOT NULL,
    base            INTEGER NOT NULL,
    base_reason     TEXT,
    base_at         INTEGER,
    counts          TEXT NOT NULL,
    status          INTEGER NOT NULL,
    reason          TEXT,
    settled         INTEGER NOT NULL,
    cancelled       INTEGER NOT NULL,
    halted          INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    started_at      INTEGER,
    stopped_at      INTEGER,
    max_concurrent  INTEGER
);
CREATE INDEX job_by_time ON job (created_at);
CREATE INDEX job_by_name ON job (name);
CREATE INDEX job_active ON job (created_at) WHERE NOT settled;

-- A child that has moved by itself. `reason` is why it has its status, where no attempt says so.
CREATE TABLE child (
    key         INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    round_start INTEGER NOT NULL,
    reason      TEXT,
    started_at  INTEGER,
    stopped_at  INTEGER,
    ends_at     INTEGER,
    PRIMARY KEY (key, position)
) WITHOUT ROWID;

-- An attempt that has ended, or was settled by `spored complete`.
CREATE TABLE attempt (
    key              INTEGER NOT NULL,
    position         INTEGER NOT NULL,
    attempt          INTEGER NOT NULL,
    started_at       INTEGER,
    stopped_at       INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    exit_code        INTEGER,
    signal           INTEGER,
    status_reason    TEXT NOT NULL,
    reason           TEXT,
    message          TEXT,
    cpu_s            REAL,
    max_rss_kib      INTEGER,
    instance         TEXT NOT NULL,
    instance_ends_at INTEGER,
    PRIMARY KEY (key, position, attempt)
) WITHOUT ROWID;
CREATE INDEX instance_ends ON attempt (instance_ends_at) WHERE instance IN ('running', 'stopped');

-- Directories of forgotten arrays that are still to be deleted.
CREATE TABLE trash (
    path TEXT PRIMARY KEY
) WITHOUT ROWID;
