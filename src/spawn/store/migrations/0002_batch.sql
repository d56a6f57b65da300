-- What AWS Batch clients make and ask for: queues and where attempts were placed, job definitions, and the rest of the catalog.

ALTER TABLE job ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
ALTER TABLE job ADD COLUMN definition TEXT;
ALTER TABLE job ADD COLUMN share TEXT;
-- what each child takes of consumable resources, as JSON, by name
ALTER TABLE job ADD COLUMN consumables TEXT;
ALTER TABLE job ADD COLUMN terminated_at INTEGER;
CREATE INDEX job_by_queue ON job (queue, created_at);
CREATE INDEX job_consuming ON job (created_at, key) WHERE consumables IS NOT NULL;
CREATE INDEX job_by_status ON job (queue, status, created_at);
-- for log streams, which are looked for by their definition, and by when their jobs began and ended
CREATE INDEX job_by_definition ON job (coalesce(definition, 'launch:1'), key);
CREATE INDEX job_by_start ON job (started_at, key) WHERE started_at IS NOT NULL;
CREATE INDEX job_by_end ON job (stopped_at, started_at) WHERE settled;

ALTER TABLE child ADD COLUMN environment TEXT;
ALTER TABLE attempt ADD COLUMN environment TEXT;
-- for log streams in the order of their last events
CREATE INDEX child_running ON child (key, position) WHERE status = 4;
CREATE INDEX attempt_by_end ON attempt (stopped_at, key, position, attempt) WHERE started_at IS NOT NULL;

-- One row a revision; revisions of a name count up from 1 and are never given twice. From gone_at on it is not shown any more.
CREATE TABLE definition (
    name     TEXT NOT NULL,
    revision INTEGER NOT NULL,
    active   INTEGER NOT NULL,
    gone_at  INTEGER,
    body     BLOB NOT NULL,
    PRIMARY KEY (name, revision)
) WITHOUT ROWID;

-- Queues, compute environments, scheduling policies and consumable resources: few, and read as a whole.
CREATE TABLE resource (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

-- What each share of a queue has used: decayed vCPU-seconds up to a time. Since then it has used what the attempts under way take.
CREATE TABLE share_use (
    queue  TEXT NOT NULL,
    share  TEXT NOT NULL,
    amount REAL NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (queue, share)
) WITHOUT ROWID;

-- The child at the head of a queue with time limits that cannot run, why, and since when.
CREATE TABLE queue_head (
    queue    TEXT PRIMARY KEY,
    key      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    since    INTEGER NOT NULL
) WITHOUT ROWID;
