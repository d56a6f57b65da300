-- insert_job --
-- Keep a newly submitted job; its standing follows with update_job
INSERT INTO job (key, id, name, queue, definition, share, consumables, terminated_at, is_array, size, created_at, body, base, base_reason, base_at, counts, status, reason, settled, cancelled, halted,
                 failed_attempts, started_at, stopped_at, max_concurrent)
VALUES (:key, :id, :name, :queue, :definition, :share, :consumables, :terminated_at, :is_array, :size, :created_at, :body, :base, :base_reason, :base_at, :counts, :status, :reason, :settled, :cancelled, :halted,
        :failed_attempts, :started_at, :stopped_at, :max_concurrent);

-- update_job --
-- Write where a job stands now
UPDATE job SET base = :base, base_reason = :base_reason, base_at = :base_at, counts = :counts, status = :status, reason = :reason, settled = :settled,
               cancelled = :cancelled, terminated_at = :terminated_at, halted = :halted, failed_attempts = :failed_attempts, started_at = :started_at, stopped_at = :stopped_at,
               max_concurrent = :max_concurrent
WHERE key = :key;

-- save_child --
-- Write the row of a child that has moved by itself
INSERT OR REPLACE INTO child (key, position, status, attempt, round_start, reason, started_at, stopped_at, ends_at, environment, losses, instance_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- insert_attempt --
-- Keep an attempt that has ended; a second end of the same attempt is late news and changes nothing
INSERT OR IGNORE INTO attempt (key, position, attempt, started_at, stopped_at, kind, exit_code, signal, status_reason, reason, message, cpu_s, max_rss_kib,
                               instance, instance_ends_at, environment, instance_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

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

-- metas --
-- Facts about the store itself whose names begin alike
SELECT name, value FROM meta WHERE name LIKE :prefix;

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
SELECT position, status, attempt, round_start, reason, started_at, stopped_at, ends_at, environment, losses, instance_id FROM child WHERE key = ? ORDER BY position;

-- members --
-- The rows of a job's children with how the latest attempt of each ended
SELECT c.position, c.status, c.attempt, c.reason, c.started_at, c.stopped_at, c.ends_at, a.kind, a.exit_code, a.status_reason, a.reason, a.instance,
       a.instance_ends_at, a.stopped_at, coalesce(c.instance_id, a.instance_id) AS instance_id
FROM child c LEFT JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = :key AND c.position BETWEEN :low AND :high ORDER BY c.position;

-- attempts_of --
-- Every attempt that has ended of the children at some positions
SELECT position, attempt, started_at, stopped_at, kind, exit_code, signal, status_reason, reason, message, cpu_s, max_rss_kib, instance, instance_ends_at, instance_id
FROM attempt WHERE key = :key AND position BETWEEN :low AND :high ORDER BY position, attempt;

-- failures --
-- Children that failed, with how their latest attempt ended
SELECT c.position, c.attempt, c.reason, a.kind, a.exit_code, a.signal, a.status_reason, a.reason, a.message
FROM child c LEFT JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = ? AND c.status = 6 ORDER BY c.position;

-- incomplete --
-- Children that succeeded though more was said of how their attempt ended than how: what of it could not be kept
SELECT c.position, a.status_reason
FROM child c JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = :key AND c.status = 5 AND a.status_reason LIKE :ended || '; %' ORDER BY c.position;

-- latest_attempts --
-- How many attempts each moved child has had
SELECT position, attempt FROM child WHERE key = ?;

-- ended_positions --
-- Failed children whose latest attempt ended in this way
SELECT c.position FROM child c JOIN attempt a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = ? AND c.status = 6 AND a.kind = ? ORDER BY c.position;

-- by_instance --
-- The attempts that ran on an instance with a name of its own, under way or ended
SELECT key, position, attempt FROM child WHERE instance_id = :id UNION SELECT key, position, attempt FROM attempt WHERE instance_id = :id
ORDER BY key, position, attempt;

-- instances_between --
-- At most two ids of instances with names of their own that lie in a range
SELECT instance_id FROM (
    SELECT instance_id FROM child WHERE instance_id BETWEEN :low AND :high UNION SELECT instance_id FROM attempt WHERE instance_id BETWEEN :low AND :high
) LIMIT 2;

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

-- kept_without_end --
-- An instance that outlived its attempt and ends by other hands
SELECT key FROM attempt WHERE instance IN ('running', 'stopped') AND instance_ends_at IS NULL LIMIT 1;

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
INSERT OR REPLACE INTO definition (name, revision, active, gone_at, body) VALUES (?, ?, ?, ?, ?);

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

-- last_revision --
-- The highest revision that a name was ever given, gone ones included
SELECT revision FROM definition WHERE name = ? ORDER BY revision DESC LIMIT 1;

-- definition_of --
-- One revision of a job definition
SELECT body FROM definition WHERE name = ? AND revision = ?;

-- active_definition --
-- The latest active revision of a job definition
SELECT body FROM definition WHERE name = ? AND active ORDER BY revision DESC LIMIT 1;

-- definitions_of --
-- Revisions of one job definition below a given one, the newest first
SELECT body FROM definition
WHERE name = :name AND revision < :before AND (gone_at IS NULL OR gone_at > :now) AND (:active IS NULL OR active = :active)
ORDER BY revision DESC LIMIT :most;

-- definitions --
-- Job definitions after a given name and revision: by name, the newest revision first
SELECT body FROM definition
WHERE name >= :name AND (name > :name OR revision < :before) AND (gone_at IS NULL OR gone_at > :now) AND (:active IS NULL OR active = :active)
ORDER BY name, revision DESC LIMIT :most;

-- jobs_consuming --
-- Jobs that take from a consumable resource (`quoted`: its name in double quotes), the oldest first, after a given one
SELECT job.key, job.id, job.name, job.queue, job.definition, job.share, job.consumables, job.status, job.created_at, job.started_at,
       coalesce(job.reason, c.reason, a.status_reason, job.base_reason) AS reason
FROM job
LEFT JOIN child c ON c.key = job.key AND c.position = 0 AND NOT job.is_array
LEFT JOIN attempt a ON a.key = c.key AND a.position = 0 AND a.attempt = c.attempt
WHERE job.consumables IS NOT NULL AND (job.created_at, job.key) > (:created_at, :key) AND instr(job.consumables, :quoted) > 0
ORDER BY job.created_at, job.key LIMIT :most;

-- save_share_use --
-- Keep what a share of a queue has used, up to a time
INSERT OR REPLACE INTO share_use (queue, share, amount, at) VALUES (?, ?, ?, ?);

-- forget_share_use --
-- A share of a queue has used nothing that counts any more
DELETE FROM share_use WHERE queue = ? AND share = ?;

-- share_uses --
-- What the shares of queues have used
SELECT queue, share, amount, at FROM share_use;

-- save_head --
-- Keep who is at the head of a queue and cannot run
INSERT OR REPLACE INTO queue_head (queue, key, position, reason, since) VALUES (?, ?, ?, ?, ?);

-- forget_head --
-- Nobody at the head of a queue is kept from running any more
DELETE FROM queue_head WHERE queue = ?;

-- heads --
-- Who is at the head of a queue and cannot run
SELECT queue, key, position, reason, since FROM queue_head;

-- consumption --
-- How much of each consumable resource the attempts under way have taken
SELECT taken.key AS name, sum(taken.value * (json_extract(job.counts, '$[3]') + json_extract(job.counts, '$[4]'))) AS quantity
FROM job, json_each(job.consumables) AS taken
WHERE NOT job.settled AND job.consumables IS NOT NULL GROUP BY taken.key HAVING quantity > 0;

-- environment_use --
-- How many thousandths of a vCPU the attempts under way take in each compute environment
SELECT c.environment, sum(json_extract(CAST(j.body AS TEXT), '$.demand.cpus'))
FROM job j JOIN child c ON c.key = j.key WHERE NOT j.settled AND c.status IN (3, 4) GROUP BY c.environment;

-- jobs_by_ids --
-- The jobs of these ids (a JSON list)
SELECT * FROM job WHERE id IN (SELECT value FROM json_each(?));

-- demands --
-- What the children of each of these jobs (a JSON list of ids) take, as it stands in the body
SELECT id, json_extract(CAST(body AS TEXT), '$.demand') AS demand FROM job WHERE id IN (SELECT value FROM json_each(?));

-- children_at --
-- The rows of the children at these places (a JSON list of key and position)
SELECT c.key, c.position, c.status, c.attempt, c.reason, c.started_at, c.stopped_at, c.environment
FROM json_each(?) AS place CROSS JOIN child AS c ON c.key = json_extract(place.value, '$[0]') AND c.position = json_extract(place.value, '$[1]');

-- attempts_at --
-- Every attempt that has ended of the children at these places (a JSON list of key and position)
SELECT a.key, a.position, a.attempt, a.started_at, a.stopped_at, a.kind, a.exit_code, a.status_reason, a.reason, a.environment
FROM json_each(?) AS place CROSS JOIN attempt AS a ON a.key = json_extract(place.value, '$[0]') AND a.position = json_extract(place.value, '$[1]')
ORDER BY a.key, a.position, a.attempt;

-- listed_jobs --
-- Jobs of a queue in one status, the oldest first, after a given one; single jobs with how their latest attempt ended
SELECT j.key, j.id, j.name, j.is_array, j.definition, j.share, j.status, j.created_at, j.started_at, j.stopped_at, j.counts, j.cancelled, j.terminated_at,
       j.reason, j.base, j.base_reason, j.base_at, c.status AS child_status, c.attempt, c.reason AS child_reason, c.started_at AS child_started_at,
       c.stopped_at AS child_stopped_at, a.attempt AS ended, a.started_at AS began_at, a.stopped_at AS ended_at, a.kind, a.exit_code,
       a.status_reason, a.reason AS container_reason
FROM job AS j
LEFT JOIN child AS c ON c.key = j.key AND c.position = 0 AND NOT j.is_array
LEFT JOIN attempt AS a ON a.key = c.key AND a.position = 0 AND a.attempt = c.attempt
WHERE j.queue = :queue AND j.status = :status AND (j.created_at, j.key) > (:created_at, :key)
ORDER BY j.created_at, j.key LIMIT :most;

-- latest_listed_jobs --
-- Jobs of a queue, the newest first, before a given one and in a span of time; single jobs with how their latest attempt ended
SELECT j.key, j.id, j.name, j.is_array, j.definition, j.share, j.status, j.created_at, j.started_at, j.stopped_at, j.counts, j.cancelled, j.terminated_at,
       j.reason, j.base, j.base_reason, j.base_at, c.status AS child_status, c.attempt, c.reason AS child_reason, c.started_at AS child_started_at,
       c.stopped_at AS child_stopped_at, a.attempt AS ended, a.started_at AS began_at, a.stopped_at AS ended_at, a.kind, a.exit_code,
       a.status_reason, a.reason AS container_reason
FROM job AS j
LEFT JOIN child AS c ON c.key = j.key AND c.position = 0 AND NOT j.is_array
LEFT JOIN attempt AS a ON a.key = c.key AND a.position = 0 AND a.attempt = c.attempt
WHERE j.queue = :queue AND (j.created_at, j.key) < (:created_at, :key) AND j.created_at > :after
ORDER BY j.created_at DESC, j.key DESC LIMIT :most;

-- child_positions --
-- Where the children of a job are that have moved by themselves, from a position on: their status by position
SELECT position, status FROM child WHERE key = :key AND position > :after ORDER BY position LIMIT :most;

-- listed_children --
-- Children of a job that have moved by themselves and are in one status, by position, with how the latest attempt of each ended
SELECT c.position, c.status, c.attempt, c.reason, c.started_at, c.stopped_at, a.attempt AS ended, a.started_at AS began_at, a.stopped_at AS ended_at,
       a.kind, a.exit_code, a.status_reason, a.reason AS container_reason
FROM child AS c LEFT JOIN attempt AS a ON a.key = c.key AND a.position = c.position AND a.attempt = c.attempt
WHERE c.key = :key AND c.status = :status AND c.position BETWEEN :low AND :high ORDER BY c.position LIMIT :most;

-- begun_attempts --
-- Attempts of a job that have begun, by position or (`sign` -1) the other way round, after a given one
SELECT * FROM (
    SELECT position, attempt, started_at, stopped_at FROM attempt
    WHERE key = :key AND (:sign * position, :sign * attempt) > (:sign * :position, :sign * :attempt) AND started_at IS NOT NULL
    UNION ALL
    SELECT position, attempt, started_at, NULL FROM child
    WHERE key = :key AND (:sign * position, :sign * attempt) > (:sign * :position, :sign * :attempt) AND status = 4
)
ORDER BY :sign * position, :sign * attempt LIMIT :most;

-- begun_attempts_by_start --
-- Attempts of a job that have begun, in the order in which they began, after a given one, and that had not ended before a time
SELECT position, attempt, started_at, stopped_at FROM attempt
WHERE key = :key AND (started_at, position, attempt) > (:started_at, :position, :attempt) AND stopped_at >= :since
UNION ALL
SELECT position, attempt, started_at, NULL FROM child
WHERE key = :key AND (started_at, position, attempt) > (:started_at, :position, :attempt) AND status = 4
ORDER BY started_at, position, attempt LIMIT :most;

-- begun_attempt --
-- When an attempt began and ended, if it has begun
SELECT started_at, stopped_at FROM attempt WHERE key = :key AND position = :position AND attempt = :attempt AND started_at IS NOT NULL
UNION ALL
SELECT started_at, NULL FROM child WHERE key = :key AND position = :position AND attempt = :attempt AND status = 4;

-- ended_attempts --
-- Attempts that have begun and ended, by their end, after a given one
SELECT key, position, attempt, started_at, stopped_at FROM attempt
WHERE started_at IS NOT NULL AND (stopped_at, key, position, attempt) > (:stopped_at, :key, :position, :attempt)
ORDER BY stopped_at, key, position, attempt LIMIT :most;

-- last_ended_attempts --
-- Attempts that have begun and ended, by their end, the last one first, before a given one
SELECT key, position, attempt, started_at, stopped_at FROM attempt
WHERE started_at IS NOT NULL AND (stopped_at, key, position, attempt) < (:stopped_at, :key, :position, :attempt)
ORDER BY stopped_at DESC, key DESC, position DESC, attempt DESC LIMIT :most;

-- running_attempts --
-- Attempts that run, by key and position, after a given one
SELECT key, position, attempt, started_at, NULL AS stopped_at FROM child
WHERE status = 4 AND (key, position) > (:key, :position) ORDER BY key, position LIMIT :most;

-- last_running_attempts --
-- Attempts that run, by key and position, the highest ones first, before a given one
SELECT key, position, attempt, started_at, NULL AS stopped_at FROM child
WHERE status = 4 AND (key, position) < (:key, :position) ORDER BY key DESC, position DESC LIMIT :most;

-- definitions_of_jobs --
-- The job definitions of all jobs; each is found by a look into the index after the one before it
WITH RECURSIVE found (definition) AS (
    SELECT min(coalesce(definition, 'launch:1')) FROM job
    UNION ALL
    SELECT (SELECT min(coalesce(job.definition, 'launch:1')) FROM job WHERE coalesce(job.definition, 'launch:1') > found.definition)
    FROM found WHERE found.definition IS NOT NULL
)
SELECT definition FROM found WHERE definition IS NOT NULL;

-- jobs_of_definitions --
-- Jobs of these definitions (a JSON list) that have begun, by key, in a span of keys
SELECT key FROM job
WHERE coalesce(definition, 'launch:1') IN (SELECT value FROM json_each(:definitions)) AND key BETWEEN :low AND :high AND started_at IS NOT NULL
ORDER BY key LIMIT :most;

-- last_jobs_of_definitions --
-- Jobs of these definitions (a JSON list) that have begun, the highest key first, in a span of keys
SELECT key FROM job
WHERE coalesce(definition, 'launch:1') IN (SELECT value FROM json_each(:definitions)) AND key BETWEEN :low AND :high AND started_at IS NOT NULL
ORDER BY key DESC LIMIT :most;

-- jobs_under_way --
-- Jobs that had begun before a time and had not ended then
SELECT key, started_at, coalesce(definition, 'launch:1') AS definition FROM job INDEXED BY job_active
WHERE NOT settled AND started_at < :at
UNION ALL
SELECT key, started_at, coalesce(definition, 'launch:1') FROM job WHERE settled AND stopped_at >= :at AND started_at < :at;

-- jobs_begun_since --
-- Jobs in the order in which they began, from a time on (`key` -1), or after a given one
SELECT key, started_at, coalesce(definition, 'launch:1') AS definition FROM job
WHERE started_at IS NOT NULL AND (started_at, key) > (:started_at, :key) ORDER BY started_at, key LIMIT :most;

-- first_job --
-- When the first job was submitted
SELECT created_at FROM job ORDER BY created_at LIMIT 1;

-- child_environment --
-- The compute environment of a child's latest attempt
SELECT environment FROM child WHERE key = ? AND position = ?;
