-- Makes the tables of a new file those of version 7.
ALTER TABLE requests RENAME TO new_requests;
ALTER TABLE jobs RENAME TO new_jobs;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    leased_until INTEGER NOT NULL,
    due INTEGER,
    parked TEXT,
    ended INTEGER,
    route TEXT,
    connection TEXT NOT NULL,
    module TEXT NOT NULL,
    status TEXT NOT NULL,
    callback TEXT,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    listed TEXT NOT NULL,
    code TEXT,
    reference TEXT,
    digest TEXT,
    delivery TEXT,
    request TEXT,
    state TEXT NOT NULL
) STRICT;
CREATE TABLE requests (
    id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    stored TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO jobs SELECT id, version, leased_until, due, parked, ended, route, connection, module, status, callback, created_at,
    finished_at, listed, code, reference, digest, delivery, request, state FROM new_jobs;
INSERT INTO requests SELECT id, stored FROM new_requests;
DROP TABLE new_requests;
DROP TABLE new_jobs;
CREATE INDEX jobs_ended ON jobs (ended) WHERE ended IS NOT NULL;
CREATE UNIQUE INDEX jobs_listed ON jobs (listed);
CREATE INDEX jobs_due_leased ON jobs (due, id, leased_until) WHERE due IS NOT NULL;
CREATE INDEX jobs_status ON jobs (status, listed);
CREATE INDEX jobs_route ON jobs (route, listed);
CREATE INDEX jobs_connection ON jobs (connection, listed);
CREATE INDEX jobs_reference ON jobs (reference, listed) WHERE reference IS NOT NULL;
CREATE INDEX jobs_code ON jobs (code, listed) WHERE code IS NOT NULL;
CREATE INDEX jobs_undeliverable ON jobs (listed) WHERE callback = 'undeliverable';
CREATE INDEX jobs_parked ON jobs (listed) WHERE parked IS NOT NULL;
PRAGMA user_version = 7;
