-- What AWS Batch clients make and ask for: queues and where attempts were placed, job definitions, and the rest of the catalog.

ALTER TABLE job ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
ALTER TABLE job ADD COLUMN definition TEXT;
ALTER TABLE job ADD COLUMN share TEXT;
ALTER TABLE job ADD COLUMN terminated INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_by_queue ON job (queue, created_at);
CREATE INDEX job_by_status ON job (queue, status, created_at);

ALTER TABLE child ADD COLUMN environment TEXT;
ALTER TABLE attempt ADD COLUMN environment TEXT;

-- One row a revision; revisions of a name count up from 1 and are never given twice.
CREATE TABLE definition (
    name     TEXT NOT NULL,
    revision INTEGER NOT NULL,
    active   INTEGER NOT NULL,
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
