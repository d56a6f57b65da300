-- insert_job --
-- Keep a newly submitted job; its standing follows with update_job
INSERT INTO job (key, id, name, queue, definition, share, terminated, is_array, size, created_at, body, base, base_reason, base_at, counts, status, reason, settled, cancelled, halted,
                 failed_attempts, started_at, stopped_at, max_concurrent)
VALUES (:key, :id, :name, :queue, :definition, :share, :terminated, :is_array, :size, :created_at, :body, :base, :base_reason, :base_at, :counts, :status, :reason, :settled, :cancelled, :halted,
        :failed_attempts, :started_at, :stopped_at, :max_concurrent);

-- update_job --
-- Write where a job stands now
UPDATE job SET base = :base, base_reason = :base_reason, base_at = :base_at, counts = :counts, status = :status, reason = :reason, settled = :settled,
               cancelled = :cancelled, terminated = :terminated, halted = :halted, failed_attempts = :failed_attempts, started_at = :started_at, stopped_at = :stopped_at,
               max_concurrent = :max_concurrent
WHERE key = :key;

-- save_child --
-- Write the row of a child that has moved by itself
INSERT OR REPLACE INTO child (key, position, status, attempt, round_start, reason, started_at, stopped_at, ends_at, environment)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- insert_attempt --
-- Keep an attempt that has ended; a second end of the same attempt is late news and changes nothing
INSERT OR IGNORE INTO attempt (key, position, attempt, started_at, stopped_at, kind, exit_code, signal, status_reason, reason, message, cpu_s, max_rss_kib,
                               instance, instance_ends_at, environment)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- record_late_exit --
-- Note how the process of an attempt ended that was settled before: recorded, changing nothing else
UPDATE attempt SET exit_code = coalesce(exit_code, :exit_code), signal = coalesce(signal, :signal), cpu_s = coalesce(cpu_s, :cpu_s),
                   max_rss_kib = coalesce(max_rss_kib, :max_rss_kib)
WHERE key = :key AND position = :position AND attempt = :attempt;

-- update_instance --
-- Write the state and the end of an instance that outlived its attempt
UPDATE attempt SET instance = ?, instance_ends_at = ? WHERE key = ? AND position = ? AND attempt = ?;

-- set_meta --
-- Keep a fact about the store itself
INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?);

-- get_meta --
-- A fact about the store itself
SELECT value FROM meta WHERE name = ?;

-- delete_attempts --
-- Forget the attempts of a job
DELETE FROM attempt WHERE key = ?;

-- delete_children --
-- Forget the children of a job
DELETE FROM child WHERE key = ?;

-- delete_job --
-- Forget a job
DELETE FROM job WHERE key = ?;

-- throw_away --
-- Have a directory deleted, now or after a restart
INSERT OR IGNORE INTO trash (path) VALUES (?);

-- trash --
-- Directories that are still to be deleted
SELECT path FROM trash;

-- thrown_away --
-- A directory has been deleted
DELETE FROM trash WHERE path = ?;

-- active_jobs --
-- Jobs that have not settled, oldest first
SELECT * FROM job WHERE NOT settled ORDER BY created_at, rowid;

-- job_by_id --
-- One job
SELECT * FROM job WHERE id = ?;

-- is_settled --
-- Whether a job has settled
SELECT settled FROM job WHERE id = ?;

-- job_by_key --
-- One job by the key in its instance ids
SELECT * FROM job WHERE key = ?;

-- jobs_between --
-- Jobs whose keys are in a range: one, unless too little of an instance id was given
SELECT * FROM job WHERE key BETWEEN ? AND ? LIMIT 2;

-- ids_like --
-- Ids that begin so
SELECT id FROM job WHERE id >= :low AND id < :high ORDER BY id LIMIT 100;

-- jobs_named --
-- Jobs of this name, those that have not settled first, the newest first
SELECT id, settled FROM job WHERE name = ? ORDER BY settled, created_at DESC, rowid DESC;

-- last_job --
-- The newest job
SELECT * FROM job ORDER BY created_at DESC, rowid DESC LIMIT 1;

-- all_jobs --
-- Every job, oldest first
SELECT * FROM job ORDER BY created_at, rowid;

-- job_counts --
-- How many jobs have not settled, and how many there are
SELECT (SELECT count(*) FROM job WHERE NOT settled), (SELECT count(*) FROM job);

-- children --
-- The rows of a job's children, by position
SELECT position, status, attempt, round_start, reason, started_at, stopped_at, ends_at, environment FROM child WHERE key = ? ORDER BY position;

-- members --
-- The rows of a job's children with how the latest attempt of each ended
SELECT c.position, c.status, c.attempt, c.reason, c.started_at, c.stopped_at, c.ends_at, a.kind, a.exit_code, a.status_reason, a.reason, a.instance,
       a.instance_ends_at, a.stopped_at
FROM child c LEFT JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = :key AND c.position BETWEEN :low AND :high ORDER BY c.position;

-- attempts_of --
-- Every attempt that has ended of the children at some positions
SELECT position, attempt, started_at, stopped_at, kind, exit_code, signal, status_reason, reason, message, cpu_s, max_rss_kib, instance, instance_ends_at
FROM attempt WHERE key = :key AND position BETWEEN :low AND :high ORDER BY position, attempt;

-- failures --
-- Children that failed, with how their latest attempt ended
SELECT c.position, c.attempt, c.reason, a.kind, a.exit_code, a.signal, a.status_reason, a.reason, a.message
FROM child c LEFT JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = ? AND c.status = 6 ORDER BY c.position;

-- latest_attempts --
-- How many attempts each moved child has had
SELECT position, attempt FROM child WHERE key = ?;

-- lost_positions --
-- Failed children whose latest attempt was lost
SELECT c.position FROM child c JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = ? AND c.status = 6 AND a.kind = 'lost' ORDER BY c.position;

-- lost_count --
-- How many failed children were lost
SELECT count(*) FROM child c JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = ? AND c.status = 6 AND a.kind = 'lost';

-- cancelled_count --
-- How many children failed because their user cancelled or terminated them
SELECT count(*) FROM child c LEFT JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = ? AND c.status = 6
  AND (CASE WHEN c.reason IS NULL THEN a.kind = 'stopped' ELSE c.reason <> 'Dependent Job failed' AND c.reason NOT LIKE 'Not started: %' END);

-- moved_count --
-- How many children have moved by themselves
SELECT count(*) FROM child WHERE key = ?;

-- instance_counts --
-- How many instances made for the latest attempts of settled children are in each state
SELECT a.instance, count(*) FROM child c JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = ? AND c.status >= 5 GROUP BY a.instance;

-- kept_of --
-- Instances of one job that outlived their attempts
SELECT key, position, attempt, instance_ends_at, instance FROM attempt WHERE key = ? AND instance IN ('running', 'stopped');

-- kept_due --
-- Instances that outlived their attempts and whose end has come
SELECT key, position, attempt, instance_ends_at, instance FROM attempt WHERE instance IN ('running', 'stopped') AND instance_ends_at <= ? LIMIT 2000;

-- next_end --
-- The earliest end of an instance that outlived its attempt
SELECT min(instance_ends_at) FROM attempt WHERE instance IN ('running', 'stopped');

-- finished_lately --
-- When the attempts of a job ended that ended last
SELECT count(*), min(stopped_at), max(stopped_at) FROM child WHERE key = :key AND status >= 5 AND stopped_at >= :since;

-- update_body --
-- Write a job anew whose tags were changed
UPDATE job SET body = ? WHERE key = ?;

-- save_definition --
-- Keep a revision of a job definition, or what changed of it
INSERT OR REPLACE INTO definition (name, revision, active, body) VALUES (?, ?, ?, ?);

-- revisions --
-- All revisions of a job definition, the newest first
SELECT body FROM definition WHERE name = ? ORDER BY revision DESC;

-- save_resource --
-- Keep a queue, compute environment, scheduling policy or consumable resource
INSERT OR REPLACE INTO resource (kind, name, body) VALUES (?, ?, ?);

-- delete_resource --
-- Let a queue, compute environment, scheduling policy or consumable resource be gone
DELETE FROM resource WHERE kind = ? AND name = ?;

-- resources --
-- Every queue, compute environment, scheduling policy and consumable resource
SELECT kind, body FROM resource ORDER BY kind, name;
