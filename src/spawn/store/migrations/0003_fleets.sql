-- Instances with names of their own (EC2), and what the spot market took.

ALTER TABLE child ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE child ADD COLUMN instance_id TEXT;
ALTER TABLE attempt ADD COLUMN instance_id TEXT;
CREATE INDEX child_by_instance ON child (instance_id) WHERE instance_id IS NOT NULL;
CREATE INDEX attempt_by_instance ON attempt (instance_id) WHERE instance_id IS NOT NULL;

-- news comes from several providers
UPDATE meta SET name = 'place:local' WHERE name = 'place';
