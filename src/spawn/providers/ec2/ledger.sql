-- The ledger of the provider ec2: private to it, one file a state directory. Texts are JSON where they say so; times are milliseconds.
CREATE TABLE meta (
    id TEXT NOT NULL, -- of this ledger: places of another one mean nothing here
    acknowledged INTEGER NOT NULL -- the last event that the store is known to have
);
CREATE TABLE array (
    key TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    body BLOB NOT NULL, -- the job, JSON
    account TEXT NOT NULL,
    access TEXT NOT NULL, -- JSON: variables by which credentials are found; secrets among them
    admitted INTEGER NOT NULL DEFAULT 0, -- grows each time another access is given
    refused INTEGER NOT NULL DEFAULT 0, -- whether AWS did not accept it when it was last used
    live INTEGER NOT NULL DEFAULT 0, -- whether there is anything to do or to watch
    forgotten INTEGER NOT NULL DEFAULT 0, -- whether the engine starts no more of it
    prepared TEXT, -- JSON: what was made for it before the first launch; null: not yet
    launches INTEGER NOT NULL DEFAULT 0, -- how many were written down
    queue TEXT, -- the URL of its SQS queue
    control TEXT NOT NULL DEFAULT '', -- control.json without its seq, as last written to the bucket, or read there
    control_seq INTEGER NOT NULL DEFAULT 0,
    control_etag TEXT, -- of that object; null: there was none
    control_due INTEGER NOT NULL DEFAULT 0,
    max_concurrent INTEGER, -- how many run at once at most; null: no cap
    limit_due INTEGER NOT NULL DEFAULT 0 -- whether array.json still has another cap
) WITHOUT ROWID;
CREATE TABLE attempt (
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    token TEXT, -- the launch it is a member of
    instance TEXT,
    stopping TEXT, -- stop or drop, where that was asked for
    grace_s REAL,
    told INTEGER NOT NULL DEFAULT 0, -- which events were told: 1 launched, 2 started, 4 completed
    recorded INTEGER NOT NULL DEFAULT 0, -- whether its outcome.json was read
    over_at INTEGER, -- when its end was told
    over_place INTEGER, -- the event that told it last
    PRIMARY KEY (key, position, attempt)
) WITHOUT ROWID;
CREATE INDEX attempt_open ON attempt (key, state) WHERE state <> 'over';
CREATE INDEX attempt_instance ON attempt (instance) WHERE instance IS NOT NULL;
CREATE INDEX attempt_token ON attempt (token) WHERE token IS NOT NULL;
CREATE INDEX attempt_stopping ON attempt (key) WHERE stopping IS NOT NULL AND state <> 'over';
CREATE TABLE launch (
    token TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    region TEXT NOT NULL,
    offer INTEGER NOT NULL, -- its place in the fleet's offers
    market TEXT NOT NULL,
    count INTEGER NOT NULL,
    members TEXT NOT NULL, -- JSON: by launch index, [[position, attempt], …]
    request TEXT NOT NULL, -- JSON: every parameter of the call
    state TEXT NOT NULL, -- open, done, refused
    asked INTEGER NOT NULL, -- whether a call may have reached EC2 without an answer that it did nothing
    made_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX launch_open ON launch (key) WHERE state = 'open';
CREATE TABLE instance (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    token TEXT NOT NULL,
    launch_index INTEGER NOT NULL,
    region TEXT NOT NULL,
    zone TEXT NOT NULL,
    type TEXT NOT NULL,
    vcpus INTEGER NOT NULL,
    market TEXT NOT NULL,
    state TEXT NOT NULL,
    told TEXT NOT NULL DEFAULT 'running', -- the state that the engine was told
    launched_at INTEGER NOT NULL,
    address TEXT,
    image TEXT NOT NULL DEFAULT '',
    key_name TEXT,
    seen_at INTEGER, -- when EC2 first listed it
    missed_at INTEGER, -- since when it does not
    missed INTEGER NOT NULL DEFAULT 0, -- how often since then it did not
    ended_at INTEGER,
    ended_said INTEGER NOT NULL DEFAULT 0, -- whether that time is EC2's word, and not when it was seen
    ended_code TEXT,
    ended_why TEXT,
    settled INTEGER NOT NULL DEFAULT 0, -- terminated, and everything that it left was read
    ending TEXT, -- why it is to be terminated
    asked_at INTEGER, -- when that was last asked of EC2
    checked_in_at INTEGER,
    heard_at INTEGER,
    ends_at INTEGER, -- as its agent confirms
    extended_to INTEGER, -- as its user wants, here or on another machine
    wished_to INTEGER, -- as its user wanted here last
    unsent TEXT,
    interrupted_at INTEGER,
    etag TEXT, -- of the last instances/ID.json that was read
    usd REAL NOT NULL DEFAULT 0,
    price_source TEXT NOT NULL DEFAULT '',
    price_as_of TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX instance_state ON instance (key, state);
CREATE INDEX instance_open ON instance (key) WHERE settled = 0;
CREATE TABLE span ( -- times for which an instance is on the bill
    instance TEXT NOT NULL,
    key TEXT NOT NULL,
    began INTEGER NOT NULL,
    ended INTEGER,
    sure INTEGER, -- up to when it was, where its end is not known for certain; null: to its end, or while it has none to the last look
    stopped INTEGER NOT NULL, -- whether only its volume was paid for
    usd REAL, -- an hour, what was really paid; null: what its offer said
    price_source TEXT,
    price_as_of TEXT,
    PRIMARY KEY (instance, began, stopped)
) WITHOUT ROWID;
CREATE INDEX span_key ON span (key);
CREATE TABLE look ( -- when EC2 last said how the instances of an array stand
    key TEXT NOT NULL,
    region TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (key, region)
) WITHOUT ROWID;
CREATE TABLE wish (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    what TEXT NOT NULL, -- stop, drop, release, extend
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    number REAL -- grace_s, or ends_at
);
CREATE TABLE event (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    facts TEXT NOT NULL -- JSON
);
